"""Pieces of Markdown for the card.

The surprising fact: text from outside (names of sources, settings, notes) may hold anything, so it
is made one line in which no character ends a table cell or opens a tag.
"""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"[\\`|<>\[\]*_]")


def line(text: str) -> str:
    """Text from outside, as one line that reads as it was written."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def code(text: str) -> str:
    """Text from outside, set as code; it may stand in a table."""
    text = " ".join(text.split()).replace("`", "'").replace("|", r"\|")
    return f"`{text}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns of figures are set to the right."""
    cells = list(rows)
    figures = [all(_is_figure(row[i]) for row in cells) for i in range(len(header))]
    rule = ["---:" if is_figure else "---" for is_figure in figures]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *cells))


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)


def section(title: str, *parts: str) -> str:
    """A heading and its paragraphs, empty ones left out."""
    return "\n\n".join((f"## {title}", *filter(None, parts)))


def subsection(title: str, *parts: str) -> str:
    """A heading of lower rank and its paragraphs, empty ones left out."""
    return "\n\n".join((f"### {title}", *filter(None, parts)))


def block(language: str, *lines: str) -> str:
    """Lines of code."""
    return "\n".join((f"```{language}", *lines, "```"))


def share(part: int, whole: int) -> str:
    """A share in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "n/a"


def _is_figure(cell: str) -> bool:
    return re.fullmatch(r"[0-9,.]+(?: %)?|n/a|", cell) is not None
