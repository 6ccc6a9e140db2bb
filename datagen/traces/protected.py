r"""Finds the stretches of a text that no cut may go through: LaTeX and fenced code.

The surprising fact: **an opener without its closer protects nothing.** Human and model text is full
of stray ``$`` and cut-off ``\[``; reading them as TeX would, up to the end of the file, would turn
the rest of a document into one step. So every span needs both of its ends, and a ``$`` also has to
look like mathematics, because most dollars in word problems are money.

All scans run in linear time: each closer is looked for in a stretch that no other opener searches.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final

Span = tuple[int, int]

# The look-behinds make a run match at its first character only; without them a long run that leads
# nowhere would be tried again from each of its characters.
_FENCE: Final = re.compile(r"(?<!`)`{3,}+")
_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n")
_OPENER: Final = re.compile(r"\\begin\{[A-Za-z]+\*?\}|\\.|\$\$?", re.DOTALL)
_COMMAND: Final = re.compile(r"\\(?:(begin|end)\{([A-Za-z]+\*?)\}|.)", re.DOTALL)
_DOLLAR: Final = re.compile(r"\\.|\$", re.DOTALL)
_DOUBLE_DOLLAR: Final = re.compile(r"\\.|\$\$", re.DOTALL)
_MATH_SIGN: Final = re.compile(r"[\\=^_{}<>+*/|]")
_AMOUNT: Final = re.compile(r"\.?\d")
_BRACKETS: Final = {r"\]": r"\[", r"\)": r"\("}


def protected_spans(text: str) -> list[Span]:
    r"""Half-open character ranges of ``text`` that must stay whole, in order and disjoint.

    They are: fenced code, ``$$…$$``, ``\[…\]``, ``\(…\)``, ``\begin{x}…\end{x}`` (with its inner
    environments) and ``$…$``. Code holds no LaTeX; of nested LaTeX the outermost span counts.
    """
    spans: list[Span] = []
    at = 0
    for start, end in _fences(text):
        spans += _latex(text, at, start)
        spans.append((start, end))
        at = end
    spans += _latex(text, at, len(text))
    return spans


def _fences(text: str) -> Iterator[Span]:
    """Each run of three or more backticks up to the next run that is at least as long."""
    runs = [match.span() for match in _FENCE.finditer(text)]
    closing: list[int | None] = [None] * len(runs)
    waiting: list[int] = []  # indices of runs in order of falling length, nearest last
    for i in reversed(range(len(runs))):
        length = runs[i][1] - runs[i][0]
        while waiting and runs[waiting[-1]][1] - runs[waiting[-1]][0] < length:
            waiting.pop()
        closing[i] = waiting[-1] if waiting else None
        waiting.append(i)
    i = 0
    while i < len(runs):
        closer = closing[i]
        if closer is None:
            i += 1
        else:
            yield runs[i][0], runs[closer][1]
            i = closer + 1


def _latex(text: str, low: int, high: int) -> Iterator[Span]:
    """The LaTeX spans of ``text[low:high]``, outermost only."""
    pairs = _command_pairs(text, low, high)
    doubles = [m.start() for m in _DOUBLE_DOLLAR.finditer(text, low, high) if m[0] == "$$"]
    at = low
    while opener := _OPENER.search(text, at, high):
        start = opener.start()
        if opener[0] == "$":
            end = _inline_end(text, start, high)
        elif opener[0] == "$$":
            end = _display_end(text, start, doubles)
        else:
            end = pairs.get(start)
        if end is not None:
            yield start, end
        at = opener.end() if end is None else end


def _command_pairs(text: str, low: int, high: int) -> dict[int, int]:
    r"""Start of each closed ``\[``, ``\(`` and ``\begin`` → end of its closer.

    A second ``\[`` before any ``\]`` shows that the first was never closed; environments nest.
    """
    pairs: dict[int, int] = {}
    brackets: dict[str, int] = {}
    environments: list[tuple[str, int]] = []
    n_open = Counter[str]()
    for match in _COMMAND.finditer(text, low, high):
        kind, name = match[1], match[2]
        if kind == "begin":
            environments.append((name, match.start()))
            n_open[name] += 1
        elif kind == "end":
            while n_open[name]:
                inner, start = environments.pop()
                n_open[inner] -= 1
                if inner == name:
                    pairs[start] = match.end()
                    break
        elif match[0] in _BRACKETS.values():
            brackets[match[0]] = match.start()
        elif (start := brackets.pop(_BRACKETS.get(match[0], ""), None)) is not None:
            pairs[start] = match.end()
    return pairs


def _display_end(text: str, start: int, doubles: list[int]) -> int | None:
    """End of the ``$$…$$`` that opens at ``start``, or ``None`` if it is not closed.

    Both ends look alike, so one stray ``$$`` would swap inside and outside from there on. As long
    as an odd number remains, a pair is believed only where no blank line parts it.
    """
    i = bisect_left(doubles, start)
    if i + 1 >= len(doubles) or doubles[i] != start:
        return None
    close = doubles[i + 1]
    is_balanced = (len(doubles) - i) % 2 == 0
    if not is_balanced and _BLANK_LINE.search(text, start, close):
        return None
    return close + 2


def _inline_end(text: str, start: int, high: int) -> int | None:
    """End of the ``$…$`` that opens at ``start``, or ``None`` if that dollar is money.

    The rule is Pandoc's (``tex_math_dollars``: no space inside the dollars, no digit after them, no
    blank line), widened to ``$ x = 1 $`` where the body stays on its line and holds a math sign.
    """
    dollars = (m.start() for m in _DOLLAR.finditer(text, start + 1, high) if m[0] == "$")
    close = next(dollars, None)
    if close is None or close == start + 1 or _AMOUNT.match(text, close + 1):
        return None
    body = text[start + 1 : close]
    is_tight = not body[0].isspace() and not body[-1].isspace()
    if not is_tight and ("\n" in body or not _MATH_SIGN.search(body)):
        return None
    return None if _BLANK_LINE.search(body) else close + 1
