r"""Numbers as people and models write them, read into exact fractions.

This is the fast path of verification: most golds and most answers are plain numbers, and comparing
two fractions is both a thousand times faster than symbolic algebra and free of its surprises
(math-verify reads ``1 8 apples`` as 9). Whatever is not certainly *one* number is ``None``.

Read are: ``18``, ``18.0``, ``-$1,234.50``, ``1 234``, ``1/2``, ``\frac12``, ``2 1/2``, ``½``,
``0.\overline{3}``, ``1.5e3``, ``3 \times 10^8``, ``1011_2``, ``50\%``, ``2 million``, ``50 cents``,
``18 red apples``, ``5 m^2``.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Final

from datagen.verify.notation import plain, undress
from datagen.verify.units import VALUE_CHANGING, Tail, read_tail

MAX_LENGTH: Final = 200
"""Longest text that is looked at as a number; also bounds the cost of every pattern below."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number.

    Attributes:
        value: the exact value, with percent and magnitudes applied.
        face: the number as it was written, without them; ``50`` in ``50%``.
        scale: what the face was multiplied by (0: the face was digits in another base).
        ulp: value of the last digit if the face was a decimal, else 0.
        n_digits: significant digits if the face was a decimal, else 0.
        unit: canonical unit, empty if there is none or it is not a known one.
    """

    value: Fraction
    face: Fraction
    scale: Fraction = Fraction(1)
    ulp: Fraction = Fraction(0)
    n_digits: int = 0
    unit: str = ""


_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{1,3}(?: [0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = rf"(?:{_INTEGER}(?:\.[0-9]*)?|\.[0-9]+)"
_SIGN = re.compile(
    r"(?:=|≈|\\approx|approximately|about|around|roughly|exactly)?\s*"
    r"(?P<sign>[-+]?)\s*"
    r"(?P<currency>(?:US|CA|AU)?[$€£¥₹]|USD|EUR|GBP|Rs\.?)?\s*"
    r"(?P<sign2>-?)",
)
_CURRENCIES: Final = {"$": "$", "US$": "$", "USD": "$", "€": "€", "EUR": "€"}
_FRAC_PART = r"\s?(?:\{{\s?(?P<{0}>-?[0-9]+(?:\.[0-9]+)?)\s?\}}|(?P<{0}1>[0-9]))"
_FRAC = re.compile(
    r"(?P<whole>[0-9]+)?\s?\\frac" + _FRAC_PART.format("num") + _FRAC_PART.format("den")
)
_MIXED = re.compile(r"(?P<whole>[0-9]+)(?: | ?and )(?P<num>[0-9]+)\s?/\s?(?P<den>[0-9]+)(?![0-9.])")
_RATIO = re.compile(rf"(?P<num>{_NUMBER})\s?/\s?(?P<den>{_NUMBER})")
_REPEATING = re.compile(
    r"(?P<int>[0-9]*)\.(?P<fix>[0-9]*)\\(?:overline|bar)\s?\{?(?P<rep>[0-9]+)\}?"
)
_VULGAR_SIGNS: Final = {
    sign: Fraction(unicodedata.numeric(sign)).limit_denominator(10) for sign in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
}
_VULGAR = re.compile(rf"(?P<whole>[0-9]*)\s?(?P<sign>[{''.join(_VULGAR_SIGNS)}])")
_BASED = re.compile(r"(?P<digits>[0-9]+)_\{?(?P<base>[0-9]{1,2})\}?(?![0-9])")
_DECIMAL = re.compile(
    rf"(?P<digits>{_NUMBER})(?:[eE](?P<exp>[+-]?[0-9]{{1,3}})(?![0-9]))?"
    r"(?:\s?(?:\\times|\\cdot|×|·|\*|x)\s?10\s?\^\s?(?:\{\s?(?P<pow>-?[0-9]{1,3})\s?\}|(?P<pow1>-?[0-9]{1,3})))?"
)


def _numeral(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _read_decimal(found: re.Match[str]) -> Quantity:
    digits = found["digits"].replace(",", "").replace(" ", "").rstrip(".")
    power = int(found["exp"] or 0) + int(found["pow"] or found["pow1"] or 0)
    value = Fraction(digits) * Fraction(10) ** power
    _, point, decimals = digits.partition(".")
    if not point:
        return Quantity(value, value)
    ulp = Fraction(10) ** (power - len(decimals))
    n_digits = len(digits.replace(".", "").lstrip("0"))
    return Quantity(value, value, ulp=ulp, n_digits=n_digits)


def _read_body(text: str) -> tuple[Quantity, int] | None:
    """The number that ``text`` begins with, without sign, and where it ends."""
    if (found := _FRAC.match(text)) or (found := _MIXED.match(text)):
        groups = found.groupdict()
        num = Fraction(groups["num"] or groups["num1"])
        den = Fraction(groups["den"] or groups["den1"])
        if groups["whole"] and num < 0:
            return None  # a product, and no mixed number
        value = int(groups["whole"] or 0) + num / den
    elif found := _REPEATING.match(text):
        fixed, repeated = found["fix"], found["rep"]
        value = Fraction(f"{found['int'] or 0}.{fixed or 0}") + Fraction(
            int(repeated), (10 ** len(repeated) - 1) * 10 ** len(fixed)
        )
    elif found := _VULGAR.match(text):
        value = int(found["whole"] or 0) + _VULGAR_SIGNS[found["sign"]]
    elif found := _BASED.match(text):
        face = Fraction(found["digits"])
        value = Fraction(int(found["digits"], int(found["base"])))
        return Quantity(value, face, scale=Fraction(0)), found.end()
    elif found := _RATIO.match(text):
        value = _numeral(found["num"]) / _numeral(found["den"])
    elif found := _DECIMAL.match(text):
        return _read_decimal(found), found.end()
    else:
        return None
    return Quantity(value, value), found.end()


def read_quantity(text: str) -> Quantity | None:
    """Read a text that is one number, with or without sign, currency, unit and TeX dress.

    Returns ``None`` for everything that is not certainly one number: expressions, lists, numbers
    side by side, words that change a value. Never raises.
    """
    # Checked before the cache, which would otherwise hold thousands of hostile texts.
    return None if len(text) > MAX_LENGTH else _read(text)


@lru_cache(maxsize=16_384)
def _read(text: str) -> Quantity | None:
    text = plain(undress(text))
    if text.isascii() and text.isdigit():
        value = Fraction(int(text))
        return Quantity(value, value)
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    prefix = _SIGN.match(text)
    at = prefix.end() if prefix else 0
    try:
        body = _read_body(text[at:])
    except (ValueError, ZeroDivisionError):
        return None  # a base that does not fit its digits, a denominator of zero
    if prefix is None or body is None or (prefix["sign"] and prefix["sign2"]):
        return None
    number, length = body
    tail = read_tail(text[at + length :])
    if tail is None:
        return None
    currency = _CURRENCIES.get(prefix["currency"] or "", "")
    return _finished(number, tail, currency, negative="-" in (prefix["sign"] + prefix["sign2"]))


def _finished(number: Quantity, tail: Tail, currency: str, *, negative: bool) -> Quantity:
    sign = -1 if negative else 1
    return replace(
        number,
        value=sign * number.value * tail.scale,
        face=sign * number.face,
        scale=number.scale * tail.scale,
        ulp=number.ulp * tail.scale,
        unit=tail.unit or currency,
    )


_NOT_ONE_EQUATION = re.compile(
    r",(?![0-9]{3}(?![0-9]))|[;<>≤≥≠\n]|\\(?:le|ge|leq|geq|ne|neq)(?![A-Za-z])|!="
    r"|(?<![A-Za-z])(?:or|and)(?![A-Za-z])"
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
_UNKNOWN_IN_EXPRESSION = re.compile(r"[A-Za-z)]\s?[-+*/^]|[-+*/^]\s?[A-Za-z]|[0-9)]\s?[A-Za-z]")


def is_unsolved(text: str) -> bool:
    """Whether a text is an equation such as ``x + 1 = 5``, whose right end is no answer."""
    left, equals, _ = text.partition("=")
    left = _COMMAND.sub(" ", plain(left)) if equals else ""
    return any(char.isalpha() for char in left) and bool(_UNKNOWN_IN_EXPRESSION.search(left))


def value_side(text: str) -> str:
    """The right end of ``x = 5`` or ``3 * 6 = 18``; other texts as they are."""
    if "=" not in text:
        return text
    text = plain(text)
    _, _, value = text.rpartition("=")
    if not value.strip() or _NOT_ONE_EQUATION.search(text) or is_unsolved(text):
        return text
    return value


_EVERY_NUMBER = re.compile(rf"-?[$€£¥₹]?{_NUMBER}")
_OPERATORS = re.compile(r"[=+*/^\\<>×÷√_|{}\[\]]")
_WORD = re.compile(r"[A-Za-z]+")


def sole_quantity(text: str) -> Quantity | None:
    """Read the number of a sentence that holds exactly one, as in ``Tom has 18 apples left``.

    A second number, an operator or a word that changes values (*half*, *or*, *six*) makes it
    ``None``.
    """
    if len(text) > MAX_LENGTH:
        return None
    text = plain(undress(text))
    numbers = list(_EVERY_NUMBER.finditer(text))
    if len(numbers) != 1 or _OPERATORS.search(text):
        return None
    start = numbers[0].start()
    before = text[:start]
    if before and not before[-1].isspace() and before[-1] not in "(:":
        return None  # part of a word such as 'x2'
    if any(word.lower() in VALUE_CHANGING for word in _WORD.findall(before)):
        return None
    return read_quantity(text[start:])


_MIN_ROUNDED_DIGITS: Final = 6
_FLOAT_NOISE: Final = Fraction(1, 10**12)


def _rounds_to(rounded: Quantity, exact: Quantity) -> bool:
    """Whether ``rounded`` is the other number with six or more digits, rounded or cut off."""
    if rounded.n_digits < _MIN_ROUNDED_DIGITS:
        return False
    distance = abs(rounded.value - exact.value)
    cut_off = 0 <= abs(exact.value) - abs(rounded.value) < rounded.ulp
    noise = distance <= _FLOAT_NOISE * abs(exact.value)
    return 2 * distance <= rounded.ulp or noise or (cut_off and rounded.value * exact.value > 0)


def same_number(gold: Quantity, answer: Quantity) -> bool:
    """Whether two quantities are the same number, units aside.

    Equality is exact, but a decimal of six or more digits stands for what it rounds
    (``0.333333`` is 1/3, ``0.33`` is not). Where only one side carries a scale, the faces may
    agree instead: to *what percentage?* both ``50`` and ``50%`` are good answers.
    """
    if gold.value == answer.value:
        return True
    if _rounds_to(answer, gold) or _rounds_to(gold, answer):
        return True
    if (gold.scale == 1) == (answer.scale == 1):
        return False
    # 0.5% is no way to write the probability 0.5.
    return gold.face == answer.face and (gold.face.denominator == 1 or abs(gold.face) > 1)


def units_conflict(gold: Quantity, answer: Quantity) -> bool:
    """Whether both sides name a known unit, and not the same one."""
    return bool(gold.unit and answer.unit and gold.unit != answer.unit)
