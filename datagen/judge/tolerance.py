"""When two sides that differ may be meant to be equal.

``10/3 = 3.33`` is how one writes a rounded result, so it matches. ``10/3 = 3`` does not: it is no
rounding to the digits shown, but another number. Between these lie readings that prove nothing
(a result cut off, a conversion of units, a running calculation ``5 + 3 = 8 + 2 = 10``); they excuse
a difference without making it right.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from datagen.judge.arithmetic import TOKEN, Value, evaluate
from datagen.judge.equations import Equation
from datagen.verify.units import KNOWN_UNITS

_MONEY: Final = re.compile(
    r"[$€£¢%]|(?<![A-Za-z])(?:cents?|percent|pct)(?![A-Za-z])", re.IGNORECASE
)
_APPROXIMATE: Final = re.compile(
    r"(?<![A-Za-z])(?:round(?:ed|ing|s|(?= (?:up|down|off|to|it)))|approx\w*|about|around|roughly|"
    r"nearly|almost|nearest|estimate\w*)(?![A-Za-z])",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(
    r"(?<![A-Za-z])(?:whole|full|remainder|left ?over|floor|ceil\w*|at least|at most)(?![A-Za-z])",
    re.IGNORECASE,
)
_FIRST_WORD: Final = re.compile(r"\s*([A-Za-z]+)")
_CONVERSIONS: Final = frozenset(
    [3, 4, 7, 8, 10, 12, 14, 16, 24, 28, 30, 31, 36, 52, 60, 100, 144, 365, 366, 1000, 1440, 3600]
)
"""How many of a common unit make another."""


def matches(equation: Equation, left: Value, right: Value) -> bool:
    """Whether the sides are equal, the decimals shown on a side that is one number rounded.

    A result that ends in an ellipsis may also be cut off.
    """
    ellipsis = equation.after.startswith(("...", "…"))
    return any(
        a == b or 2 * abs(a - b) <= ulp or (ellipsis and _cut_off(a, b, ulp))
        for a, b, ulp in _readings(equation, left, right)
    )


def excuse(equation: Equation, left: Value, right: Value) -> str:
    """Why a difference between the sides proves nothing; empty if it proves an error."""
    if equation.note:
        return equation.note
    if not equation.exact:
        return "it is an approximation"
    if left.doubtful or right.doubtful:
        return "a percent sign or a sign before a power can be read in several ways"
    low = min(right.low, right.exact - right.ulp / 2)
    high = max(right.high, right.exact + right.ulp / 2)
    if left.low <= high and low <= left.high:
        return "it may hold for the numbers before they were rounded"
    if any(_cut_off(a, b, ulp) for a, b, ulp in _readings(equation, left, right)):
        return "the result may be cut off"
    if right.n_operators and (first := TOKEN.match(right_text := equation.right)):
        begin = evaluate(first.group())
        if begin is not None and begin.exact == left.exact and first.end() < len(right_text):
            return "it is a running calculation"
    near = abs(left.exact - right.exact) < 1
    if _APPROXIMATE.search(equation.sentence):
        near = near or 10 * abs(left.exact - right.exact) <= abs(left.exact)
    elif not _WHOLE.search(equation.sentence):
        near = False
    if near:
        return "the sentence speaks of rounding"
    return _other_unit(equation, left.exact, right.exact)


def _readings(
    equation: Equation, left: Value, right: Value
) -> Iterator[tuple[Fraction, Fraction, Fraction]]:
    """Pairs of values that may be meant, and what the last digit shown is worth."""
    ulp = max(left.ulp, right.ulp)
    yield left.exact, right.exact, ulp
    if left.percent or right.percent:
        yield left.face, right.face, 100 * ulp
    if equation.left.startswith("-"):
        # A dash, or the mark of a list item.
        rest = evaluate(equation.left[1:])
        if rest is not None:
            yield rest.exact, right.exact, right.ulp


def _cut_off(left: Fraction, right: Fraction, ulp: Fraction) -> bool:
    return left * right > 0 and 0 <= abs(left) - abs(right) < ulp


def _other_unit(equation: Equation, left: Fraction, right: Fraction) -> str:
    if not left or not right:
        return ""
    ratio = left / right if abs(left) > abs(right) else right / left
    if ratio == 100 and _MONEY.search(equation.sentence):
        return "the sides may be in cents or percent"
    unit = _FIRST_WORD.match(equation.after)
    if unit is not None and unit[1].lower() in KNOWN_UNITS and ratio in _CONVERSIONS:
        return f"the right side may be converted to {unit[1]!r}"
    return ""
