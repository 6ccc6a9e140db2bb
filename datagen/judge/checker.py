"""The judge that is never mistaken on purpose: steps that a machine can decide.

It can prove a step wrong and can never vouch for a trace: a thought whose every equation is true
may still answer another question. So its vote is an index or ``None``, and never -1. False alarms
are what would make it useless, so whatever can be read in two ways is *undecided*: an equation in
unknowns may be a definition or a hypothesis, a difference may be rounding or another unit.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final, Literal

from datagen.engines.protocol import Answer, Request
from datagen.factors.taxonomy import Factor
from datagen.judge.equations import Equation, find_equations, letters
from datagen.judge.tolerance import excuse, matches
from datagen.judge.vote import Vote
from datagen.traces.model import Step, Trace
from datagen.verify.symbolic import Algebra, refusal

Status = Literal["true", "false", "undecided"]

_QUOTES_ERRORS: Final = frozenset(
    {Factor.DETECT_ERROR, Factor.HYPOTHESISE, Factor.BACKTRACK, Factor.SWITCH_APPROACH}
)
"""Factors whose steps may hold what they do not assert."""

_NOTHING_FOUND: Final = "nothing found, which does not mean that all is well"

_MAX_SHOWN: Final = 12

_ALGEBRA: Final = Algebra(limit_s=2.0, n_workers=1)


@dataclass(frozen=True, slots=True)
class Check:
    """What a machine can say of a step.

    Attributes:
        status: ``false`` if it holds a claim that is false; ``true`` if it holds claims and all are
            true; ``undecided`` otherwise.
        claim: the equation that settled it, as it was read; empty if there is none.
        reason: one line for people who audit labels.
    """

    status: Status
    claim: str
    reason: str


def check_step(text: str, factor: Factor = Factor.OTHER) -> Check:
    """Decide the equations of one step.

    Arithmetic is exact; equations in unknowns are compared by the algebra system, in a process that
    is killed after two seconds, and are ``true`` if they hold identically and else ``undecided``.

    Raises:
        DatagenError: if the algebra system cannot be started; never because of the text.
    """
    if factor in _QUOTES_ERRORS:
        return Check("undecided", "", f"a step of {factor.value} may quote what is wrong")
    if wrong := _Checked.read(Step(text, factor)).wrong:
        return Check("false", str(wrong[0]), _why_false(wrong[0]))
    check = Check("undecided", "", "there is no equation to decide")
    for equation in find_equations(text):
        decided = _decide(equation)
        if decided.status == "false":
            continue  # further on it is written again, correctly
        check = decided
        if check.status == "undecided":
            if not _holds_identically(equation):
                break
            check = Check("true", str(equation), "holds for all values of its letters")
    return check


def checker(trace: Trace) -> Generator[Sequence[Request], Sequence[Answer], list[Vote]]:
    """Judge: the first step with a false claim that the trace does not take back by itself.

    A claim is taken back if a later step writes its left side again with the right value, or if
    the very next steps detect an error and then correct it or go back.
    """
    yield from ()
    # Without the algebra system, since an equation in unknowns is never false.
    checks = [_Checked.read(step) for step in trace.steps]
    right_later: set[str] = set()
    first: Vote | None = None
    for idx in range(len(checks) - 1, -1, -1):
        wrong = [e for e in checks[idx].wrong if _squeezed(e.left) not in right_later]
        if wrong and not _goes_back(trace.steps, checks, idx):
            step = trace.steps[idx]
            first = Vote("checker", 0, idx, quote=step.text, reason=_why_false(wrong[0]))
        right_later |= checks[idx].right
    return [first or Vote("checker", 0, None, reason=_NOTHING_FOUND)]


@dataclass(frozen=True, slots=True)
class _Checked:
    """The equations of a step that could be decided without algebra.

    Attributes:
        wrong: those that are false and not written again, correctly, further on in the step.
        right: the left sides of those that are true.
    """

    wrong: tuple[Equation, ...] = ()
    right: frozenset[str] = frozenset()

    @classmethod
    def read(cls, step: Step) -> "_Checked":
        wrong: list[Equation] = []
        right: set[str] = set()
        for equation in reversed(list(find_equations(step.text))):
            left, status = _squeezed(equation.left), _decide(equation).status
            if status == "true":
                right.add(left)
            elif status == "false" and left not in right and step.factor not in _QUOTES_ERRORS:
                wrong.insert(0, equation)
        return cls(tuple(wrong), frozenset(right))


def _squeezed(side: str) -> str:
    return "".join(char for char in side if char not in " $€£,")


def _goes_back(steps: Sequence[Step], checks: Sequence[_Checked], idx: int) -> bool:
    """Whether the steps right behind ``idx`` detect an error and then mend it or go back."""
    if len(steps) < idx + 3 or steps[idx + 1].factor is not Factor.DETECT_ERROR:
        return False
    if steps[idx + 2].factor is Factor.CORRECT_ERROR:
        return not checks[idx + 2].wrong
    return steps[idx + 2].factor in (Factor.BACKTRACK, Factor.SWITCH_APPROACH)


def _decide(equation: Equation) -> Check:
    left, right = equation.left_value, equation.right_value
    claim = str(equation)
    if left is None or right is None:
        return Check("undecided", claim, "it has unknowns, or is not plain arithmetic")
    if not left.n_operators and not right.n_operators and left.exact != right.exact:
        return Check("undecided", claim, "nothing is calculated")
    if matches(equation, left, right):
        return Check("true", claim, "holds")
    if why := excuse(equation, left, right):
        return Check("undecided", claim, why)
    return Check("false", claim, _why_false(equation))


def _why_false(equation: Equation) -> str:
    left, right = equation.left_value, equation.right_value
    assert left is not None and right is not None
    if right.n_operators:
        return f"{equation} is false: {_shown(left.exact)} is not {_shown(right.exact)}"
    return f"{equation} is false: the left side is {_shown(left.exact)}"


def _shown(number: Fraction) -> str:
    """A number as a person would write it, exactly where that is short."""
    exact = str(number)
    return exact if len(exact) <= _MAX_SHOWN else f"about {_decimal(number)}"


def _decimal(number: Fraction) -> str:
    with localcontext() as context:
        context.prec = 6
        return f"{Decimal(number.numerator) / Decimal(number.denominator)}"


def _holds_identically(equation: Equation) -> bool:
    """Whether both sides are the same for all values of their letters."""
    left, right = equation.left, equation.right
    if min(len(left), len(right)) < 2 or letters(left) != letters(right):
        return False  # a definition such as 'x = 3'
    if refusal(left) is not None or refusal(right) is not None:
        return False
    return _ALGEBRA.compare(left.replace("∘", "*"), right.replace("∘", "*")) == "equal"
