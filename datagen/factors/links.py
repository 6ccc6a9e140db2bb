"""Which earlier steps a step builds on: those whose values or names it uses again.

A value belongs to the step that came to it, not to every step that mentions it. So a number leads
back to the last step that states it as a result (behind an equality sign, or "gives") or brings it
in anew, and a number that stands in the question and was never found again leads to the question
itself. A name leads to the step that introduces it, or that last gave it a value. What is said in
other words leaves no link.
"""

import re
from collections.abc import Container, Sequence
from typing import Final

from datagen.traces.model import Step

QUESTION_IDX: Final = -1
"""Stands for the question in the links of a step."""

_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
# Behind "=", but neither a coefficient nor the beginning of a further expression.
_RESULT: Final = re.compile(
    r"(?:[=≈→⇒]|\b(?:gives|equals|makes|yields|leaves)\b)[ \t]{0,3}[^\w\s=(\[{]{0,2}[ \t]{0,3}"
    r"(\d+(?:,\d{3})*(?:\.\d+)?)"
    r"(?![\w!]|[.,]\d|[ ]?(?:[-+−*×·/÷^]|\\(?:times|cdot|div))[ ]?(?:[\d($\\]|[^\W\d]\b))"
)
_LABEL: Final = re.compile(r"\A\s*(?:(?:step|case|part)\s*)?[#(]?\d{1,2}[.):](?=\s)", re.IGNORECASE)
"""The number of a step or case, which is no value."""

_NAME: Final = re.compile(r"(?<![A-Za-z_.\\'’])[^\W\d]\w*")
_CLAUSE: Final = re.compile(
    r"\b(?:let(?!['’]s| me| us)|denote|call|define|write)\b([^.;\n]{1,60})", re.IGNORECASE
)
"""Where every symbol of one letter that is new is introduced."""

_SYMBOL: Final = re.compile(r"(?<![\w.\\'’])[^\W\d_][\d₀-₉]?(?!\w)")
_INTRODUCED: Final = re.compile(
    r"\blet\s+\$?([^\W\d]\w{0,30})\$?\s+be\b|\bdef\s+(\w{1,30})\("
    r"|(?P<operator>[-+*/×·−^][ ]?)?(?<![\w.\\'’])([^\W\d]\w{0,30})[$`]?[ ]?(?::=|≈|=(?!=))",
    re.IGNORECASE,
)
_WORDS: Final = frozenset({"a", "i", "be", "it", "the", "is", "and", "so", "us", "there", "this"})
"""Too common in prose to be told from a name."""


def links(question: str, steps: Sequence[Step]) -> list[list[int]]:
    """For each step the indices of what it builds on, rising; ``(n_steps, any)``.

    Indices are 0-based and smaller than the step's own; :data:`QUESTION_IDX` is the question.
    """
    value_from = dict.fromkeys(_numbers(question), QUESTION_IDX)
    name_from = dict.fromkeys(_introduced(question, ()), QUESTION_IDX)
    found: list[list[int]] = []
    for idx, step in enumerate(steps):
        text = _LABEL.sub("", step.text)
        numbers = _numbers(text)
        results = {_plain(number) for number in _RESULT.findall(text)}
        # Results that stand there without anything they come from are told again.
        used = {n for n in numbers if n not in results or results.issuperset(numbers)}
        sources = {value_from[n] for n in used if n in value_from}
        sources |= {name_from[name] for name in _NAME.findall(text) if name in name_from}
        found.append(sorted(sources))
        value_from |= {n: idx for n in numbers if n in results or n not in value_from}
        name_from |= dict.fromkeys(_introduced(text, name_from), idx)
    return found


def _numbers(text: str) -> list[str]:
    return [_plain(number) for number in _NUMBER.findall(text)]


def _introduced(text: str, known: Container[str]) -> set[str]:
    """Names that are given a value, and symbols that are said for the first time to stand for one.

    A name behind an operator is the end of an equation, which is not about it alone.
    """
    valued = {m[1] or m[2] or m[4] for m in _INTRODUCED.finditer(text) if not m["operator"]}
    symbols = {s for clause in _CLAUSE.findall(text) for s in _SYMBOL.findall(clause)}
    new = valued | {symbol for symbol in symbols if symbol not in known}
    return {name for name in new if name.lower() not in _WORDS}


def _plain(number: str) -> str:
    """``1,200`` and ``1200.0`` are both ``1200``."""
    bare = number.replace(",", "")
    return bare.rstrip("0").rstrip(".") if "." in bare else bare
