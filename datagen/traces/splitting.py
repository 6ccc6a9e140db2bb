"""Splits a thought into steps and keeps every character: ``"".join(split(x)) == x``.

The surprising fact: nothing is trimmed or normalised. A step keeps the white space that follows it,
so a prefix of steps is a prefix of the very text that the person wrote, and a model continues that
text instead of a tidied copy of it.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, Literal, get_args

from datagen.errors import ConfigError
from datagen.traces.protected import Span, protected_spans
from datagen.traces.sentences import blank_line_cuts, sentence_cuts
from datagen.traces.tagged import has_tags, is_wrapper, tagged_cuts

Splitting = Literal["auto", "markup", "blank_lines", "lines", "sentences"]
SPLITTINGS: Final[tuple[Splitting, ...]] = get_args(Splitting)


def split(text: str, strategy: Splitting = "auto") -> list[str]:
    """Cut ``text`` into steps, in order; the steps joined are ``text`` again.

    Args:
        text: any string. The empty string has no steps.
        strategy: ``markup`` cuts around each tagged step (tags included; text between steps is a
            step of its own); ``blank_lines``, ``lines`` and ``sentences`` cut after each of these;
            ``auto`` takes ``markup`` if there are tags, else the first of the other three, in
            this order, that gives at least two steps.

    Returns:
        Steps of which none is only white space, unless ``text`` is: such a piece goes to the step
        before it, or at the beginning to the step after it. Except for ``markup`` (where a tag is
        a tag wherever it stands) no cut goes through LaTeX or fenced code, see
        :func:`~datagen.traces.protected.protected_spans`.

    Raises:
        ConfigError: if ``strategy`` is unknown.
    """
    if strategy not in SPLITTINGS:
        raise ConfigError(f"splitting={strategy!r} is unknown; use one of {', '.join(SPLITTINGS)}")
    if strategy == "markup" or (strategy == "auto" and has_tags(text)):
        return _pieces(text, tagged_cuts(text), is_wrapper)
    spans = protected_spans(text)
    if strategy != "auto":
        return _pieces(text, _outside(spans, _CUTS[strategy](text)), _is_blank)
    steps: list[str] = []
    for find_cuts in _CUTS.values():
        steps = _pieces(text, _outside(spans, find_cuts(text)), _is_blank)
        if len(steps) > 1:
            break
    return steps


def _line_cuts(text: str) -> Iterable[int]:
    at = text.find("\n")
    while at >= 0:
        yield at + 1
        at = text.find("\n", at + 1)


# In the order in which ``auto`` tries them.
_CUTS: Final[dict[str, Callable[[str], Iterable[int]]]] = {
    "blank_lines": blank_line_cuts,
    "lines": _line_cuts,
    "sentences": sentence_cuts,
}


def _outside(spans: list[Span], cuts: Iterable[int]) -> Iterable[int]:
    """The rising ``cuts`` that are not strictly inside one of ``spans``."""
    at = 0
    for cut in cuts:
        while at < len(spans) and spans[at][1] <= cut:
            at += 1
        if at == len(spans) or cut <= spans[at][0]:
            yield cut


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _pieces(text: str, cuts: Iterable[int], is_empty: Callable[[str], bool]) -> list[str]:
    """Cut ``text`` at the rising ``cuts``; a piece that says nothing joins its neighbour."""
    starts: list[int] = []
    for low, high in pairwise([0, *cuts, len(text)]):
        if not is_empty(text[low:high]):
            starts.append(low if starts else 0)
    if not starts and text:
        starts = [0]
    return [text[low:high] for low, high in pairwise([*starts, len(text)])]
