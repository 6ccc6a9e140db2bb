r"""Arithmetic as people and models write it, rewritten in one notation.

``\frac{1}{2}``, ``½``, ``3 × 4``, ``2**3`` and ``20 percent of 50`` become what the parser knows.
What is not certainly arithmetic stays as it is, and is then a number for nobody.
"""

import re
import unicodedata
from typing import Final

from datagen.verify.notation import plain

_FRACTION_OF: Final = re.compile(r"(%|[0-9]\s?/\s?[0-9]+\)?)\s+of\s+(?=\$?[0-9.(])")
_REWRITES: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:times|cdot|ast)(?![A-Za-z])|[×·⋅∗✕✖]", "*"),
        (r"\\div(?![A-Za-z])|÷", "/"),
        (r"\\(?:approx|simeq|sim)(?![A-Za-z])|[≃≅]", "≈"),
        (r"\\sqrt\s?\{([^{}]*)\}|√\s?\(([^()]*)\)", r"sqrt(\1\2)"),
        (r"√\s?(?=[0-9])", "sqrt "),
        (r"(?<![0-9.])([0-9]+)\s?\\frac\s?\{([0-9]+)\}\s?\{([0-9]+)\}", r"(\1+\2/\3)"),
        (r"\\frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}", r"((\1)/(\2))"),
        (r"\\frac\s?([0-9])\s?([0-9])", r"(\1/\2)"),
        (r"\^\s?\{([^{}]*)\}", r"^(\1)"),
        (r"²", "^2"),
        (r"³", "^3"),
        (r"(?<=[0-9])\s?per ?cent(?![A-Za-z])", "%"),
        (r"(?<=[0-9)%])\s+[xX]\s+(?=\$?[0-9.(])|(?<=[0-9%])[xX](?=\s?\$?[0-9.])", "*"),
    )
)
_POWER: Final = re.compile(r"(?<=[0-9A-Za-z)])( ?)\*\*\1(?=[0-9A-Za-z(])")
_VULGAR: Final = re.compile(r"([0-9]*)([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])")
_LIST_MARK: Final = re.compile(r"^(?:\(?[0-9]{1,2}[.):](?!\S)|[*•](?=\s)|#+(?=\s))\s*")


def _vulgar(found: re.Match[str]) -> str:
    ratio = unicodedata.numeric(found[2])
    den = next(den for den in (2, 3, 4, 5, 6, 8) if abs(ratio * den - round(ratio * den)) < 1e-9)
    part = f"{round(ratio * den)}/{den}"
    return f"({found[1]}+{part})" if found[1] else f"({part})"


def normalised(line: str) -> str:
    """One line in one notation; never raises."""
    # Before bold is taken off, which would make 23 of 2**3.
    line = plain(_POWER.sub("^", line))
    line = _VULGAR.sub(_vulgar, line)
    for pattern, replacement in _REWRITES:
        line = pattern.sub(replacement, line)
    return _FRACTION_OF.sub(r"\1 ∘ ", _LIST_MARK.sub("", line))
