"""Pieces of HTML and SVG. Text is escaped wherever it comes from, unless it was built here.

The surprising fact: what is safe is a type. :func:`tag` escapes every child that is a plain string,
so whoever forgets something shows too many ``&lt;`` and never runs what a model wrote.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_VOID: Final = frozenset({"br", "meta", "path", "rect", "line", "circle", "polyline"})
_STRONG: Final = re.compile(r"(\*\*|\*|`)(.+?)\1")
_ELEMENT: Final = {"**": "strong", "*": "em", "`": "code"}


class Markup(str):
    """HTML that was built by :func:`tag`, and may stand as it is."""

    __slots__ = ()


Child = Markup | str | int | None


def tag(name: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: what it holds; plain strings are text, ``None`` is nothing.
        attributes: a trailing underscore is dropped and others become hyphens, so that ``class_``
            and ``aria_label`` can be written. ``None`` and ``False`` leave an attribute out.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        called = key if key == "viewBox" else key.rstrip("_").replace("_", "-")
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        parts.append(called if value is True else f'{called}="{escape(shown)}"')
    if name in _VOID:
        return Markup(f"<{' '.join(parts)}>" if name in ("br", "meta") else f"<{' '.join(parts)}/>")
    return Markup(f"<{' '.join(parts)}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Children one after the other, plain strings escaped."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(str(child))
            for child in children
            if child is not None
        )
    )


def remark(text: str) -> Markup:
    """A paragraph with ``**strong**``, ``*emphasis*`` and code between backticks; no nesting."""
    parts: list[Child] = []
    end = 0
    for found in _STRONG.finditer(text):
        parts += [text[end : found.start()], tag(_ELEMENT[found[1]], found[2])]
        end = found.end()
    return tag("p", *parts, text[end:])


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    caption: str,
    text_columns: int = 1,
    total: Sequence[Child] | None = None,
    name: str = "",
) -> Markup:
    """A table: the first ``text_columns`` columns to the left, numbers to the right.

    Args:
        header: names of the columns.
        rows: their cells; the first of each row is its header.
        caption: what a screen reader announces.
        text_columns: see above.
        total: a last row, set off from the others.
        name: its class.
    """

    def line(cells: Sequence[Child]) -> Markup:
        first, *others = cells
        return tag(
            "tr",
            tag("th", first, scope="row"),
            *(
                tag("td", cell, class_=None if n < text_columns else "n", data_name=header[n])
                for n, cell in enumerate(others, start=1)
            ),
        )

    heads = (
        tag("th", name, scope="col", class_=None if n < text_columns else "n")
        for n, name in enumerate(header)
    )
    return tag(
        "table",
        tag("caption", caption, class_="hidden"),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *map(line, rows)),
        tag("tfoot", line(total)) if total else None,
        class_=name or None,
    )
