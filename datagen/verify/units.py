"""What may stand behind a number: units, counted things, percent signs, magnitudes.

The reader is strict on purpose. ``18 red apples`` is the number 18, but ``2 pi``, ``3 x``,
``18 or more`` and ``5 and a half`` are not 2, 3, 18 and 5: anything that could change the value is
refused, and the caller falls back to a slower way or to *unverifiable*.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_ALIASES: Final = {
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yds yard yards",
    "mi": "mi mile miles",
    "mg": "mg milligram milligrams",
    "g": "g gram grams",
    "kg": "kg kgs kilogram kilograms kilo kilos",
    "oz": "oz ounce ounces",
    "lb": "lb lbs pound pounds",
    "ton": "ton tons tonne tonnes",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "l": "l liter liters litre litres",
    "gal": "gal gallon gallons",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "°": "° deg degree degrees",
    "rad": "rad radian radians",
    "$": "$ usd dollar dollars buck bucks",
    "€": "€ eur euro euros",
    "mph": "mph",
    "km/h": "km/h kmh kph",
}
KNOWN_UNITS: Final = {
    alias: unit for unit, aliases in _ALIASES.items() for alias in aliases.split()
}

_VALUE_CHANGING = """
or plus minus pi sqrt root sin cos tan log ln exp mod factorial squared cubed power twice double
triple negative remainder between versus vs except not if least most fewer
half halves third thirds fourth fourths quarter quarters fifth fifths sixth sixths tenth tenths
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
hundred hundreds thousand thousands million millions billion billions trillion trillions
dozen dozens percent pct cent cents
"""
VALUE_CHANGING: Final = frozenset(_VALUE_CHANGING.split())
"""Words beside a number that make it another number, or only a part of the answer."""

_MAGNITUDES: Final = {
    "%": Fraction(1, 100),
    "percent": Fraction(1, 100),
    "pct": Fraction(1, 100),
    "cent": Fraction(1, 100),
    "cents": Fraction(1, 100),
    "¢": Fraction(1, 100),
    "dozen": Fraction(12),
    "hundred": Fraction(100),
    "thousand": Fraction(10**3),
    "million": Fraction(10**6),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
}
_SHORT_WORDS = "a an of per in on at by to is and the st nd rd th sq cu"
_HARMLESS_SHORT: Final = frozenset(_SHORT_WORDS.split())
_POWER_WORDS: Final = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
_WORD = re.compile(r"([A-Za-z]+|°|\$|€|£)(?:\^?\{?([23²³])\}?)?\.?")
_LEADING_MAGNITUDE = re.compile(
    r"(?:%|¢|(?:per ?cent|pct|cents?|dozen|[a-z]+lion|hundred|thousand)\b)", re.IGNORECASE
)
_MAX_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands behind a number.

    Attributes:
        scale: what the number is multiplied by: 1/100 for percent and cents, 10⁶ for million.
        unit: canonical unit such as ``cm2``, or empty for none and for counted things (apples).
    """

    scale: Fraction = Fraction(1)
    unit: str = ""


def read_tail(text: str) -> Tail | None:
    """Read the text behind a number; ``None`` if it might change the number's value."""
    rest = text.strip()
    if not rest:
        return Tail()
    scale = Fraction(1)
    unit = ""
    magnitude = _LEADING_MAGNITUDE.match(rest)
    if magnitude is not None:
        word = magnitude.group().lower().replace(" ", "")
        if word not in _MAGNITUDES:
            return None
        scale = _MAGNITUDES[word]
        unit = "$" if word in ("¢", "cent", "cents") else ""
        rest = rest[magnitude.end() :].strip()
    elif text[0].isalpha() and len(rest.split(maxsplit=1)[0]) == 1:
        return None  # '5m' may be five times m; '5 m' is five metres
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1]
    words = [_WORD.fullmatch(word) for word in re.split(r"[\s/·-]+", rest) if word]
    if len(words) > _MAX_WORDS:
        return None
    names: list[tuple[str, str]] = []
    for word in words:
        if word is None:
            return None
        names.append((word.group(1).lower(), word.group(2) or ""))
    if not all(_is_harmless(name) for name, _ in names) or (
        len(names) == 1 and names[0][0] in ("a", "an")
    ):
        return None
    return Tail(scale, unit or _canonical_unit(rest, names))


def _is_harmless(word: str) -> bool:
    if word in VALUE_CHANGING:
        return False
    return len(word) > 2 or word in KNOWN_UNITS or word in _HARMLESS_SHORT or word == "£"


def _canonical_unit(text: str, names: list[tuple[str, str]]) -> str:
    """The unit if it is one that we know, with its power; empty for everything else."""
    if text.lower() in KNOWN_UNITS:
        return KNOWN_UNITS[text.lower()]
    power = ""
    if len(names) == 2 and names[0][0] in _POWER_WORDS:
        power = _POWER_WORDS[names[0][0]]
        names = names[1:]
    if len(names) != 1 or names[0][0] not in KNOWN_UNITS:
        return ""
    power = power or {"²": "2", "³": "3"}.get(names[0][1], names[0][1])
    return KNOWN_UNITS[names[0][0]] + power
