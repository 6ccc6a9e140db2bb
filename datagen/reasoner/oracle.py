"""The oracle: knows, of each step of any trace about a world problem, whether it is true.

It never follows a wrong value. After a mistake it waits at the event that went wrong until the one
equation appears that truly applies it; whatever is written meanwhile, however consistent, is not
trusted. So an error that the trace repairs leaves no mark on what follows, while two errors that
cancel out stay errors although the answer is right.

Traces are sampled from a model, so any text is judged and nothing raises: what cannot be read is
wrong. Judging is by the text alone: where two events are alike (``+5`` twice), leaving out the
first cannot be told from leaving out the second; the mistake is dated where it becomes visible.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from datagen.factors.taxonomy import Factor
from datagen.reasoner.world import Event, Problem, apply_sign
from datagen.traces.model import Step

MistakeKind = Literal[
    "arithmetic",  # the right operation with a wrong result
    "operation",  # another sign than the event has, or an equation that fits nothing
    "misread",  # another number than the question tells
    "skip",  # a later event before the one whose turn it is, or an answer before the last one
    "group",  # one lot where all the lots are meant
    "givens",  # a list of givens that differs from the question
    "plan",  # a plan that differs from the question
    "goal",  # a goal that is about something else
    "false_alarm",  # a complaint, or a check that does not fit, where all is well
    "missed_error",  # a check that fits although something is wrong, or that is untrue itself
    "result",  # a running result or an answer with a wrong number
    "unreadable",  # text that says nothing in the reasoner's language
    "out_of_place",  # a step that carries on from a mistake, or has no place in such a thought
]


@dataclass(frozen=True, slots=True)
class StepTruth:
    """What the oracle says of one step.

    Attributes:
        ok: the step's own claim is true and in place.
        sound: the state after this step can be trusted. A step can be ok in an unsound state
            (a complaint about a mistake, say); a step that is not ok always leaves an unsound one.
        mistake: what is wrong with the step; ``None`` exactly if it is ok.
        due: for a step with an equation or a running number, what ought to stand there: of the
            equations that have a place, the one that it comes nearest to in form.
    """

    ok: bool
    sound: bool
    mistake: MistakeKind | None
    due: str | None = None


def judge_trace(problem: Problem, steps: Sequence[Step]) -> tuple[StepTruth, ...]:
    """Judge every step of a trace about ``problem``; one verdict per step, never raises."""
    walk = _Walk(problem)
    return tuple(map(walk.take, steps))


def first_error(problem: Problem, steps: Sequence[Step]) -> int:
    """Index of the first step after which the trace cannot be trusted, -1 if there is none.

    0-based. It is the step that begins the unsound stretch in which the trace ends: mistakes that
    the trace itself has repaired before do not count. An unfinished trace that is sound so far has
    none; a finished one that has none is right.
    """
    truths = judge_trace(problem, steps)
    begin = len(truths)
    while begin and not truths[begin - 1].sound:
        begin -= 1
    return begin if begin < len(truths) else -1


def is_correct(problem: Problem, answer: str | None) -> bool:
    """Whether ``answer`` is the problem's answer, a bare whole number; ``None`` is not."""
    return answer is not None and _read_number(answer.strip()) == problem.answer


# Nine digits are far beyond the world's numbers, and keep int() from refusing very long ones.
_NUMBER: Final = r"-?[0-9]{1,9}"
_EQUATION: Final = re.compile(rf"({_NUMBER})([-+*/])({_NUMBER})=({_NUMBER})")
_LONE_NUMBER: Final = re.compile(r"(?<!\w)-?[0-9]{1,9}(?!\w)")
_MISFIT: Final = re.compile(r"(?:does not|doesn't) fit")
_INVERSE: Final = {"+": "-", "-": "+", "*": "/", "/": "*"}


def _read_number(text: str) -> int | None:
    return int(text) if re.fullmatch(_NUMBER, text) else None


class _Equation(NamedTuple):
    """``left sign right=result`` as it was written, true or not."""

    left: int
    sign: str
    right: int
    result: int

    @classmethod
    def read(cls, text: str) -> "_Equation | None":
        if (match := _EQUATION.fullmatch(text)) is None:
            return None
        left, sign, right, result = match.groups()
        return cls(int(left), sign, int(right), int(result))

    @property
    def true(self) -> bool:
        if self.sign == "/" and self.right == 0:
            return False
        return apply_sign(self.left, self.sign, self.right) == self.result

    def has_operands(self, left: int, sign: str, right: int) -> bool:
        """Whether the operands are those of ``left sign right``, in an order that it allows."""
        written = (self.left, self.right)
        return written == (left, right) or (sign in "+*" and written == (right, left))

    def computes(self, left: int, sign: str, right: int) -> bool:
        """Whether this is ``left sign right``, whatever the result."""
        return self.sign == sign and self.has_operands(left, sign, right)

    def computes_product(self, event: Event) -> bool:
        """Whether this is how many there are in all the lots of ``event``."""
        return event.grouped and self.computes(event.groups, "*", event.amount)

    def departs_from(self, left: int, sign: str, right: int) -> MistakeKind | None:
        """What is wrong, if this was meant to be ``left sign right``; ``None`` if it was not."""
        if self.has_operands(left, sign, right):
            return "arithmetic" if self.sign == sign else "operation"
        if self.sign == sign and (self.left == left or (sign in "+*" and self.right == left)):
            return "misread"
        return None


class _Walk:
    """How far a trace has truly come, and what began the unsound stretch that it is in."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.events = problem.events
        self.values = problem.values
        self.n_done = 0
        self.cause: MistakeKind | None = None

    def take(self, step: Step) -> StepTruth:
        text = step.text.strip()
        due = self._due(step.factor, text)
        mistake = self._judge(step.factor, text)
        self.cause = self.cause or mistake
        return StepTruth(ok=mistake is None, sound=self.cause is None, mistake=mistake, due=due)

    def _due(self, factor: Factor, text: str) -> str | None:
        """What ought to stand here instead of ``text``, or just this; ``None`` if unsaid."""
        if factor in (Factor.COMPUTE, Factor.CORRECT_ERROR):
            return self._due_equation(_Equation.read(text))
        if factor in (Factor.CONSOLIDATE, Factor.ANSWER):
            if factor is Factor.ANSWER and self.n_done < len(self.events):
                return self._due_equation(None)
            return str(self.values[self.n_done])
        return None

    def _due_equation(self, written: _Equation | None) -> str | None:
        """The equation of the event whose turn it is; a group's product if that is written."""
        if self.n_done == len(self.events):
            return None
        event, value = self.events[self.n_done], self.values[self.n_done]
        if event.grouped and written and written.sign == "*":
            m, k = event.groups, event.amount
            first, second = (k, m) if written.left == k else (m, k)
            return f"{first}*{second}={m * k}"
        return f"{value}{event.sign}{event.operand}={event.apply(value)}"

    def _judge(self, factor: Factor, text: str) -> MistakeKind | None:
        match factor:
            case Factor.RESTATE_GOAL:
                named = {self.problem.name, self.problem.item}
                return "goal" if named.isdisjoint(re.findall(r"\w+", text)) else None
            case Factor.EXTRACT_GIVENS:
                return None if text == self.problem.givens else "givens"
            case Factor.PLAN:
                return None if text == self.problem.plan else "plan"
            case Factor.COMPUTE | Factor.CORRECT_ERROR:
                return self._judge_equation(text)
            case Factor.CHECK_STEP:
                return self._judge_check(text)
            case Factor.DETECT_ERROR:
                return None if self.cause else "false_alarm"
            case Factor.CONSOLIDATE:
                return self._judge_running_result(text)
            case Factor.ANSWER:
                return self._judge_answer(text)
            case _:
                return "out_of_place"

    def _judge_equation(self, text: str) -> MistakeKind | None:
        equation = _Equation.read(text)
        if equation is None:
            return "unreadable"
        if not equation.true:
            return self._kind_of_wrong(equation)
        if self.n_done < len(self.events):
            event = self.events[self.n_done]
            if equation.computes(self.values[self.n_done], event.sign, event.operand):
                self.n_done += 1
                self.cause = None
                return None
            if equation.computes_product(event):
                return None
        if self.n_done:
            event = self.events[self.n_done - 1]
            if equation.computes(self.values[self.n_done - 1], event.sign, event.operand):
                # Written again, it settles an alarm about itself; it does not take back a
                # mistake about a later event.
                if self.cause == "false_alarm":
                    self.cause = None
                return None
            if equation.computes_product(event):
                return None
        return self._kind_of_wrong(equation)

    def _kind_of_wrong(self, equation: _Equation) -> MistakeKind:
        """Name the mistake in an equation that is untrue or that has no place here."""
        if self.n_done == len(self.events):
            return "out_of_place" if equation.true else "arithmetic"
        value = self.values[self.n_done]
        event, *later = self.events[self.n_done :]
        if equation.true and later:
            # The product of a following group betrays the skip before the sum does, unless it
            # merely carries on from another mistake.
            if equation.computes(value, later[0].sign, later[0].operand):
                return "skip"
            if equation.computes_product(later[0]):
                return "out_of_place" if self.cause else "skip"
        if event.grouped and equation.computes(value, event.sign, event.amount):
            return "group"
        mistake = equation.departs_from(value, event.sign, event.operand)
        if mistake is None and event.grouped and not self.cause:
            m, k = event.groups, event.amount
            mistake = equation.departs_from(m, "*", k) or equation.departs_from(k, "*", m)
        if mistake is None and equation.true:
            return "out_of_place" if self.cause else "operation"
        return mistake or "arithmetic"

    def _judge_check(self, text: str) -> MistakeKind | None:
        written, _, verdict = text.partition(", ")
        equation = _Equation.read(written)
        if equation is None:
            return "unreadable"
        if _MISFIT.fullmatch(verdict):
            return None if self.cause else "false_alarm"
        if verdict != "fits":
            return "unreadable"
        if self.cause or not self.n_done or not equation.true:
            return "missed_error"
        event, value = self.events[self.n_done - 1], self.values[self.n_done]
        undoes = equation.computes(value, _INVERSE[event.sign], event.operand)
        return None if undoes else "missed_error"

    def _judge_running_result(self, text: str) -> MistakeKind | None:
        numbers = _LONE_NUMBER.findall(text)
        if len(numbers) != 1:
            return "unreadable"
        # In an unsound state nobody can say which event the trace believes to have reached, so
        # the final number is as good as the last one that was truly reached.
        final = self.values[-1 if self.cause else self.n_done]
        return None if int(numbers[0]) in (self.values[self.n_done], final) else "result"

    def _judge_answer(self, text: str) -> MistakeKind | None:
        if (number := _read_number(text)) is None:
            return "unreadable"
        if not self.cause and self.n_done < len(self.events):
            return "skip"
        return None if number == self.values[-1] else "result"
