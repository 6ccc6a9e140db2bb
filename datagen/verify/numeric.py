"""The verifier ``numeric``: numbers within a tolerance, for measured and rounded results.

It reads exactly what ``math`` reads on its fast path and never starts a process; the tolerance is
relative to the gold, so that it means the same for 0.001 and for a million.
"""

from fractions import Fraction
from typing import Final

from datagen.verify.quantity import read_quantity, same_number, sole_quantity, value_side
from datagen.verify.quantity import units_conflict as conflict
from datagen.verify.verdict import Verdict, correct, shown, unverifiable, wrong

_AT_ZERO: Final = Fraction(1, 10**9)


def numeric(answer_text: str, gold: str, /, *, rel_tol: float = 1e-6) -> Verdict:
    """Compare two numbers.

    Args:
        answer_text: a number, with or without unit, currency, percent sign and separators; an
            equation counts by its right side, a sentence by its only number.
        gold: the number expected.
        rel_tol: largest difference that still counts as equal, as a part of the gold number.
            Beside a gold of zero the difference may be at most 1e-9.
    """
    expected = read_quantity(value_side(gold))
    if expected is None:
        return unverifiable(answer_text, f"the gold answer {shown(gold)} is not one number")
    answer = read_quantity(value_side(answer_text)) or sole_quantity(answer_text)
    if answer is None:
        return unverifiable(answer_text, f"no single number in {shown(answer_text)}")
    if conflict(expected, answer):
        return unverifiable(
            answer_text, f"units differ: {answer.unit!r} in the answer, {expected.unit!r} in gold"
        )
    allowed = abs(expected.value) * Fraction(rel_tol) if expected.value else _AT_ZERO
    if abs(answer.value - expected.value) <= allowed or same_number(expected, answer):
        return correct(answer_text, f"equal within {rel_tol:g}")
    return wrong(answer_text, f"{shown(answer_text)} is not {shown(gold)} within {rel_tol:g}")
