"""The critique job in the reasoner's own markup: a walk over a trace's steps to its first error.

A critique is a thought about a thought. Each of its ``CheckStep`` steps quotes one step, for an
equation says what was due there, and ends with a verdict; after the first step that is ``wrong`` a
``DetectError`` step says why, and the visible answer quotes it (``-1`` if nothing is wrong). What
was wrong at first but is put right by the trace itself is ``repaired``. Saying what is due before
the verdict lets a small model do again what it can do anyway, and then merely compare.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from datagen.factors.taxonomy import Factor
from datagen.prompts.native import QUESTION
from datagen.prompts.reading import Opinion, StepRemark
from datagen.traces.markup import THINK_START, parse_tail, render
from datagen.traces.model import Step, Trace
from schemas import STEP_VERDICTS, StepVerdict

CUE: Final = "\nCritique:\n"
NO_ERROR: Final = "-1"
_VERDICTS: Final[dict[str, StepVerdict]] = {verdict: verdict for verdict in STEP_VERDICTS}


@dataclass(frozen=True, slots=True)
class Remark:
    """What a critique says of one step.

    Attributes:
        quote: the step's text.
        due: the equation or number that ought to stand there, where the step has one.
        verdict: whether it stands.
    """

    quote: str
    due: str | None
    verdict: StepVerdict

    def __str__(self) -> str:
        due = "" if self.due is None else f" due {self.due}"
        return f"{self.quote}{due} {self.verdict}"


def critique_prompt(trace: Trace) -> str:
    """Ask for a critique of a whole trace."""
    return f"{QUESTION}{trace.question}\n{render(trace)}{CUE}{THINK_START}"


def render_critique(remarks: Iterable[Remark], reason: str) -> Trace:
    """A critique as a trace without a question; ``reason`` is ignored where nothing is wrong."""
    steps: list[Step] = []
    answer = NO_ERROR
    for remark in remarks:
        steps.append(Step(str(remark), Factor.CHECK_STEP))
        if remark.verdict == "wrong":
            steps.append(Step(reason, Factor.DETECT_ERROR))
            answer = remark.quote
            break
    return Trace("", tuple(steps), answer)


def read_critique(text: str, trace: Trace) -> Opinion:
    """Read what a model wrote after :func:`critique_prompt`; never raises.

    A critique that leaves the markup, or quotes anything but the steps in order, has no opinion.
    """
    unread = Opinion(None, "", text)
    tail = parse_tail(text)
    if tail.answer is None:
        return unread
    checks = [step.text for step in tail.steps if step.factor is Factor.CHECK_STEP]
    quoted = [step.text for step in trace.steps[: len(checks)]]
    if len(quoted) < len(checks) or not all(
        check.startswith(f"{quote} ") for check, quote in zip(checks, quoted, strict=True)
    ):
        return unread
    verdicts = [check.rpartition(" ")[2] for check in checks]
    reason = " ".join(step.text for step in tail.steps if step.factor is Factor.DETECT_ERROR)
    remarks = _remarks(checks, quoted, reason)
    if "wrong" not in verdicts:
        complete = len(checks) == len(trace.steps) and tail.answer == NO_ERROR
        return Opinion(-1, remarks=remarks) if complete else unread
    wrong = verdicts.index("wrong")
    named = wrong == len(checks) - 1 and tail.answer == quoted[wrong]
    return Opinion(wrong, quoted[wrong], reason, remarks) if named else unread


def _remarks(checks: Sequence[str], quoted: Sequence[str], reason: str) -> tuple[StepRemark, ...]:
    """The checks in a reader's words; none if a verdict among them is no word for one."""
    remarks: list[StepRemark] = []
    for idx, (check, quote) in enumerate(zip(checks, quoted, strict=True)):
        verdict = _VERDICTS.get(check.rpartition(" ")[2])
        if verdict is None:
            return ()
        due = check[len(quote) : -len(verdict)].strip().removeprefix("due ")
        remarks.append(StepRemark(idx, _in_words(quote, due, reason, verdict), verdict))
    return tuple(remarks)


def _in_words(quote: str, due: str, reason: str, verdict: StepVerdict) -> str:
    if not due:
        words = f'"{quote}"'
    elif due == quote:
        words = f'"{quote}" is what is due'
    else:
        words = f'"{quote}" stands where {due} is due'
    return f"{words}: {reason}" if reason and verdict == "wrong" else words
