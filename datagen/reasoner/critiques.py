"""How a critique is written: the text from which the embedded reasoner learns to judge thoughts.

The oracle says which step is the first error; the critique walks there step by step.
"""

from collections.abc import Sequence
from typing import Final

from datagen.prompts.critique import Remark, render_critique
from datagen.reasoner.oracle import MistakeKind, StepTruth, first_error, judge_trace
from datagen.reasoner.world import Problem
from datagen.traces.model import Step, Trace
from schemas import StepVerdict

_REASONS: Final[dict[MistakeKind, str]] = {
    "arithmetic": "the result is wrong",
    "operation": "the operation is wrong",
    "misread": "the number is not the one told",
    "skip": "something was left out",
    "group": "one lot is not all of them",
    "givens": "the givens are not those told",
    "plan": "the plan is not what is told",
    "goal": "the goal is another",
    "false_alarm": "there was no error",
    "missed_error": "the check is wrong",
    "result": "the number is wrong",
    "unreadable": "it cannot be read",
    "out_of_place": "it does not belong here",
}


def write_critique(problem: Problem, steps: Sequence[Step]) -> Trace:
    """The true critique of a whole trace about ``problem``, as a trace without a question."""
    truths = judge_trace(problem, steps)
    error = first_error(problem, steps)
    remarks = [
        Remark(step.text, truth.due, _verdict(truth, wrong=idx == error))
        for idx, (step, truth) in enumerate(zip(steps, truths, strict=True))
    ]
    mistake = truths[error].mistake if error >= 0 else None
    return render_critique(remarks, _REASONS[mistake] if mistake else "")


def _verdict(truth: StepTruth, *, wrong: bool) -> StepVerdict:
    if wrong:
        return "wrong"
    return "holds" if truth.ok else "repaired"
