"""The code jobs in the reasoner's own markup: code to thought, thought to code, and revision.

Code is the visible answer behind a thought, so "thought to code" is nothing but going on where the
thought has ended; only back-translation has prompts of its own. A thought that failed is shown
again with what was wrong about it, and written anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from datagen.engines.protocol import Completion, CompletionRequest, Sampling, samples
from datagen.prompts.native import QUESTION
from datagen.prompts.reading import text_of
from datagen.traces.markup import THINK_END, THINK_START, parse_tail, render_thought
from datagen.traces.model import Step, Trace

CODE: Final = "Code:\n"
EXECUTION: Final = "Execution:\n"
FAILED: Final = "Failed:\n"
THOUGHT: Final = "Thought:\n"

MAX_REASONS: Final = 6
"""Most reasons that are told of a failed thought."""


@dataclass(frozen=True, slots=True)
class ThoughtJob:
    """What a model is given to write the thought that leads to ``code``.

    Attributes:
        question: what was asked for.
        code: the solution.
        execution: a run of it, as lines; empty to leave it out.
        failed: a thought that is to be revised, if any.
        reasons: what was wrong with it, a line each.
    """

    question: str
    code: str
    execution: str = ""
    failed: tuple[Step, ...] = ()
    reasons: tuple[str, ...] = ()


def thought_prompt(job: ThoughtJob) -> str:
    """Ask for a thought."""
    parts = [f"{QUESTION}{job.question}\n{CODE}{job.code.rstrip()}\n"]
    if job.execution:
        parts.append(EXECUTION + job.execution)
    if job.reasons:
        told = "".join(f"{reason}\n" for reason in job.reasons)
        parts.append(f"{THOUGHT}{render_thought(job.failed)}{FAILED}{told}")
    return "".join([*parts, THOUGHT, THINK_START])


def thought_request(job: ThoughtJob, *, sampling: Sampling, sample_idx: int) -> CompletionRequest:
    """Ask for one sample of the thought."""
    return CompletionRequest(thought_prompt(job), sampling, sample_idx)


def read_thought(completion: Completion) -> tuple[Step, ...] | None:
    """The steps; ``None`` if there is none, or the thought does not come to its end."""
    tail = parse_tail(text_of(completion))
    return tail.steps if tail.steps and tail.answer is not None else None


def code_prompt(question: str, thought: Sequence[Step] = ()) -> str:
    """Ask for code where the thought (an empty one, if there is none) has ended."""
    state = Trace(question, tuple(thought))
    return f"{QUESTION}{question}\n{render_thought(state.steps)}{THINK_END}"


def code_requests(
    question: str, thought: Sequence[Step], n: int, *, sampling: Sampling
) -> list[CompletionRequest]:
    """Ask ``n`` times for code, from question and thought alone."""
    return samples(code_prompt(question, thought), n, sampling=sampling)


def read_code(completion: Completion) -> str | None:
    """The code; ``None`` if it was cut off."""
    code = text_of(completion).strip()
    return code if code and completion.finish == "stop" else None


def output_question(code: str, call: str) -> str:
    """Ask what a call returns."""
    return f"What does {call} return?\n{code}"


def input_question(code: str, entry_point: str, returned: str) -> str:
    """Ask for a call that gives a result."""
    return f"Which call of {entry_point} returns {returned}?\n{code}"


def value_reason(step: str, subject: str, actual: str, claimed: str) -> str:
    """What is wrong with a step that tells a false value; one line."""
    return f"{step}: {subject} is {actual}, not {claimed}"
