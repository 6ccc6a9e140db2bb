r"""How an answer is dressed: math delimiters, bold, quotes, TeX spacing.

Two depths. :func:`undress` takes off what stands *around* an answer and is safe for every kind of
answer; :func:`plain` also rewrites TeX inside it, which loses the difference between ``\text{m}``
and the variable ``m`` and so is only used to compare texts and to read numbers.

Every pattern here is linear in the length of the text: the input is whatever a model wrote.
"""

import re
from typing import Final

_PAIRS: Final = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("“", "”"),
    ("‘", "’"),
    ('"', '"'),
    ("'", "'"),
)
_BOXES: Final = (r"\boxed{", r"\fbox{")


def balanced_end(text: str, start: int, *, limit: int = 2_000) -> int:
    r"""Index just after the brace that closes the group whose inside begins at ``start``.

    Escaped braces (``\{``) do not count. Returns -1 if the group does not close within ``limit``
    characters; the bound keeps thousands of unclosed groups from costing quadratic time.
    """
    depth = 1
    at = start
    stop = min(len(text), start + limit)
    while at < stop:
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return -1


def _without_pair(text: str) -> str:
    for opening, closing in _PAIRS:
        inner = text[len(opening) : len(text) - len(closing)]
        if (
            len(text) > len(opening) + len(closing)
            and text.startswith(opening)
            and text.endswith(closing)
            # '$3$ or $4$' begins and ends with a dollar sign and is not one pair.
            and opening not in inner
            and closing not in inner
        ):
            return inner
    for opening in _BOXES:
        if text.startswith(opening) and balanced_end(text, len(opening)) == len(text):
            return text[len(opening) : -1]
    return text


def undress(text: str) -> str:
    """Take off white space, math delimiters, bold, quotes and final punctuation.

    An ellipsis stays, because ``0.333...`` and ``0.333`` are different numbers; so does ``!``,
    which may be a factorial.
    """
    while True:
        before = text
        text = text.strip().strip("*`")
        if text.endswith((".", ",", ";", ":", "。")) and not text.endswith(("..", "\\,", "\\;")):
            text = text[:-1]
        text = _without_pair(text)
        if text == before:
            return text


_TEXT_GROUP = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mbox|operatorname)"
    r"\s?\{([^{}]*)\}"
)
_REWRITES: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\!", ""),
        (r"\{,\}", ","),
        (r"\\(?:left|right|displaystyle|big|Big|bigg|Bigg)(?![A-Za-z])", ""),
        (r"\\[,;: ]|\\q?quad(?![A-Za-z])|~", " "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\^\s?\{?\s?\\circ\s?\}?|\\degree(?![A-Za-z])", "°"),
        (r"\\([%$€£#&])", r"\1"),
        (r"\\[()\[\]]", ""),
        # A pair of math delimiters; '$5 and $6' is two amounts of money.
        (r"\$([^$]+)\$(?![0-9])", r"\1"),
        (r"\*\*|`", ""),
        (r"[−–]", "-"),
        (r"\s+", " "),
    )
)


def plain(text: str) -> str:
    """Write an undressed answer with as little TeX as possible, on one line."""
    if text.isalnum():
        return text
    text = _TEXT_GROUP.sub(r" \1 ", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text.strip()
