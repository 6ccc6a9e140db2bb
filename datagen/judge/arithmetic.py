"""Plain arithmetic, evaluated exactly and, beside that, as a range.

A person who writes ``3.33 * 3 = 10`` has rounded before, and did not err. So an expression has two
values: the exact one of what is written, and the range of what may have been meant if its longer
decimals are rounded numbers. Percent signs are read in two ways for the same reason: after
``5/20 * 100`` both ``25`` and ``25%`` are good.

Everything is bounded (length, depth, size of powers), so no text takes long and none raises.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Final

NUMBER: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
TOKEN: Final = re.compile(rf"{NUMBER}|sqrt|[-+*/^()%∘]")
"""What an expression is made of; ``∘`` is the *of* in ``20% of 50``."""

_MAX_TOKENS: Final = 200
_MAX_DEPTH: Final = 30
_MAX_DIGITS: Final = 30
_MAX_BITS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression is worth.

    Attributes:
        exact: the value of what is written.
        low: least value that may have been meant; ``high`` the largest. They differ from ``exact``
            where decimals of two places or three digits may be rounded numbers.
        face: the value without regard to percent signs; ``25`` for ``25%``.
        ulp: what one unit in the last place is worth, if the expression is one decimal; else 0.
        n_operators: signs of operation.
        percent: whether a percent sign occurs.
        doubtful: whether people read such an expression in several ways (``100 + 20%``).
    """

    exact: Fraction
    low: Fraction
    high: Fraction
    face: Fraction
    ulp: Fraction = Fraction(0)
    n_operators: int = 0
    percent: bool = False
    doubtful: bool = False


class _Unreadable(Exception):
    """The text is no expression, or not one that is worth evaluating."""


def evaluate(text: str) -> Value | None:
    """Evaluate an expression of numbers, ``+ - * / ^ % ∘``, ``sqrt`` and parentheses.

    Returns ``None`` if the text is anything else, ambiguous (``6/2(1+2)``), undefined, or too
    large. Never raises.
    """
    tokens = list(TOKEN.finditer(text))
    if not 0 < len(tokens) <= _MAX_TOKENS:
        return None
    try:
        return _Parser(tokens).whole()
    except (_Unreadable, ZeroDivisionError):
        return None


class _Parser:
    """Recursive descent with the usual precedence; ``^`` binds to the right."""

    def __init__(self, tokens: list[re.Match[str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Value:
        value = self._sum()
        if self._at < len(self._tokens):
            raise _Unreadable
        return value

    def _peek(self) -> str:
        return self._tokens[self._at].group() if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _sum(self) -> Value:
        value = self._product()
        while (sign := self._peek()) and sign in "+-":
            self._at += 1
            other = self._product()
            doubtful = value.percent != other.percent
            value = _apply(sign, value, other)
            value = replace(value, doubtful=value.doubtful or doubtful)
        return value

    def _product(self) -> Value:
        value = self._signed()
        divided = False
        while True:
            token = self._peek()
            if token and token in "*/∘":
                self._at += 1
                divided = divided or token == "/"
                sign = "*" if token == "∘" else token
                value = _apply(sign, value, self._signed())
                # '20% of 50 + 30' may be of both.
                rest = {later.group() for later in self._tokens[self._at :]}
                if token == "∘" and rest & {"+", "-"}:
                    value = replace(value, doubtful=True)
            elif (
                token == "(" and self._tokens[self._at - 1].end() == self._tokens[self._at].start()
            ):
                if divided:
                    raise _Unreadable  # 6/2(1+2)
                value = _apply("*", value, self._power())
            else:
                return value

    def _signed(self) -> Value:
        if (sign := self._peek()) not in ("+", "-"):
            return self._power()
        self._at += 1
        bare = self._peek() != "("
        begin = self._at
        value = self._power()
        if bare and "^" in [token.group() for token in self._tokens[begin : self._at]]:
            value = replace(value, doubtful=True)  # -2^2
        return _negated(value) if sign == "-" else value

    def _power(self) -> Value:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._at += 1
        exponent = self._signed()
        if exponent.exact.denominator != 1:
            raise _Unreadable
        n = int(exponent.exact)
        ends = base.low, base.high
        if any(_bits(end) * abs(n) > _MAX_BITS for end in (*ends, base.exact)):
            raise _Unreadable
        powers = [end**n for end in ends] + ([Fraction(0)] if ends[0] < 0 < ends[1] else [])
        return Value(
            base.exact**n,
            min(powers),
            max(powers),
            base.face**n,
            n_operators=base.n_operators + exponent.n_operators + 1,
            percent=base.percent,
            doubtful=base.doubtful or exponent.percent,
        )

    def _atom(self) -> Value:
        token = self._take()
        if token == "(":
            value = self._group()
        elif token == "sqrt":
            value = _root(self._atom())
        elif token and (token[0].isdigit() or token[0] == "."):
            value = _literal(token)
        else:
            raise _Unreadable
        if self._peek() == "%":
            self._at += 1
            exact, low, high, ulp = (
                n / 100 for n in (value.exact, value.low, value.high, value.ulp)
            )
            value = replace(value, exact=exact, low=low, high=high, ulp=ulp, percent=True)
        return value

    def _group(self) -> Value:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _Unreadable
        value = self._sum()
        self._depth -= 1
        if self._take() != ")":
            raise _Unreadable
        return value


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def _literal(token: str) -> Value:
    digits = token.replace(",", "")
    whole, point, decimals = digits.partition(".")
    if len(digits) > _MAX_DIGITS:
        raise _Unreadable
    value = Fraction(digits)
    if not point:
        return Value(value, value, value, value)
    ulp = Fraction(1, 10 ** len(decimals))
    n_digits = len((whole + decimals).lstrip("0"))
    # 0.67 and 33.3 may be rounded; 2.5 and 0.2 are more often just these numbers.
    rounded = n_digits >= (2 if len(decimals) >= 2 else 3)
    slack = ulp / 2 if rounded else Fraction(0)
    return Value(value, value - slack, value + slack, value, ulp=ulp)


def _negated(value: Value) -> Value:
    return replace(value, exact=-value.exact, low=-value.high, high=-value.low, face=-value.face)


def _root(value: Value) -> Value:
    """The square root of a square; any other root is not a number that could be written down."""
    number = value.exact
    if number < 0 or value.percent:
        raise _Unreadable
    root = Fraction(isqrt(number.numerator), isqrt(number.denominator))
    if root * root != number:
        raise _Unreadable
    return Value(root, root, root, root, n_operators=value.n_operators + 1)


_OPERATIONS: Final[dict[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def _apply(sign: str, left: Value, right: Value) -> Value:
    operation = _OPERATIONS[sign]
    if sign == "/" and right.low <= 0 <= right.high:
        raise _Unreadable
    ends = [operation(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    if any(_bits(end) > _MAX_BITS for end in ends):
        raise _Unreadable
    return Value(
        operation(left.exact, right.exact),
        min(ends),
        max(ends),
        operation(left.face, right.face),
        n_operators=left.n_operators + right.n_operators + 1,
        percent=left.percent or right.percent,
        doubtful=left.doubtful or right.doubtful,
    )
