"""What a step states, apart from how it is worded.

A step that merely says the same in other words, or skips ahead, is no error. So two steps are
compared by their equations, and without any by their numbers; which of two equal factors comes
first does not matter.
"""

import re
from collections.abc import Hashable
from fractions import Fraction
from typing import Final

from datagen.factors.taxonomy import Factor
from datagen.judge.arithmetic import NUMBER, TOKEN, evaluate
from datagen.judge.checker import checker
from datagen.judge.equations import find_equations
from datagen.traces.distance import normal
from datagen.traces.model import Step, Trace

_NUMBER: Final = re.compile(NUMBER)
_SIDE: Final = r"(-?[0-9(][0-9.,+\-*/^() ]{0,80}?)"
_DENIAL: Final = re.compile(
    rf"(?<![\w.+*/^-]){_SIDE},?\s+(?:is\s+not|isn't|not)\s+{_SIDE}\s*(?:[.,;:!?](?!\d)|$)"
)
"""*A is not B* where nothing else is said of B, which might make another number of it."""


def equations_in(text: str) -> frozenset[Hashable]:
    """The equations of a step: what is calculated in any order, and the result."""
    found: set[Hashable] = set()
    for equation in find_equations(text):
        left = sorted(_plain(token.group()) for token in TOKEN.finditer(equation.left))
        value = equation.right_value
        right = value.exact if value else equation.right.replace(" ", "")
        found.add((tuple(left) if equation.left_value else equation.left.replace(" ", ""), right))
    return frozenset(found)


def statement(text: str) -> Hashable:
    """What a step states: its equations, or else its numbers; empty if it has neither."""
    return equations_in(text) or tuple(_plain(found.group()) for found in _NUMBER.finditer(text))


def carries(text: str, due: str) -> bool:
    """Whether a step states what ``due`` does: all its equations, or without any, its words."""
    equations = equations_in(due)
    return equations <= equations_in(text) if equations else normal(text) == normal(due)


def denies_what_is_true(text: str) -> bool:
    """Whether it says *a is not b* of two equal numbers or calculations."""
    for found in _DENIAL.finditer(text):
        left, right = evaluate(found[1].strip(" ,")), evaluate(found[2].strip(" .,"))
        if left and right and left.exact == right.exact:
            return True
    return False


def states_a_falsehood(text: str) -> bool:
    """Whether a step asserts a false equation, whatever its factor."""
    return proven_wrong(Trace("", (Step(text, Factor.OTHER),))) is not None


def proven_wrong(trace: Trace) -> int | None:
    """Index of the first step that arithmetic proves wrong and the trace does not take back."""
    try:
        next(checker(trace))
    except StopIteration as end:
        return end.value[0].first_error
    raise AssertionError("the checker asks nobody")


def _plain(token: str) -> str:
    return str(Fraction(token.replace(",", ""))) if token[-1].isdigit() else token
