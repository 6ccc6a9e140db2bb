r"""What a search asks of a model that follows instructions: conversations whose reply is begun.

The prompt explains the form (:mod:`datagen.prompts.tag_lines`), and the reply is opened with the
thought so far, so that the model goes on from a state to the letter, as from a text of its own. All
is said in the user's turn, since not every chat template takes a system turn.
"""

from collections.abc import Mapping
from typing import Final

from datagen.engines.protocol import (
    Chat,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    Sampling,
    Score,
    ScoreRequest,
    samples,
)
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.prompts.reading import StepSurprisal, legal_factors, step_surprisals, text_of
from datagen.prompts.sloppy import reply_of
from datagen.prompts.tag_lines import STOP, opening, render_step, render_steps, tags
from datagen.traces.model import Step, Trace

_TAGS: Final = "\n".join(f"{opening(factor)} {factor.definition}" for factor in ACTIONS)

_REPLY: Final = """\
An example. For the problem "A box holds 6 pens. Ann buys 3 boxes and gives away 4 pens. How many \
pens does she keep?" the reply could be:

[ExtractGivens] 3 boxes of 6 pens, 4 pens given away
[Plan] Count all pens, then take away the 4.
[Compute] 3 * 6 = 18
[Compute] 18 - 4 = 14
[CheckResult] 14 + 4 = 18 = 3 * 6, so nothing is lost.
[Answer] Ann keeps \\boxed{14} pens.
"""

# An example must not show tags that are out of use; then each tag in use is shown by itself.
_EXAMPLE: Final = (
    _REPLY
    if {tag.factor for tag in tags(_REPLY)} <= {*ACTIONS}
    else "Examples of steps, each from another problem:\n\n"
    + render_steps(Step(factor.example, factor) for factor in ACTIONS)
)

TASK: Final = (
    """\
Solve the problem at the end of this message, and write down your thoughts as a list of steps.

Each step begins on a new line with a tag, which is a name in square brackets that says what kind \
of step it is. A step holds one thought and may run over several lines. These are the tags:

"""
    + _TAGS
    + """

Begin with the first tag, and write nothing outside of the steps: no headings, no numbers before \
the tags, no bold face. If you notice a mistake, leave it and correct it in a step of its own. The \
last step is [Answer], which holds the final answer in \\boxed{} and ends your reply.

"""
    + _EXAMPLE
    + """
The problem:

"""
)
"""What stands before the question."""

SUMMARY_TASK: Final = """\
Below are a question and the steps of somebody's solution of it. Say in at most three plain \
sentences how the solution goes about it. Then end with the sentence "The answer is", followed by \
the answer that the solution comes to; leave that sentence out if the answer is a program. Do not \
judge whether it is right, do not solve the question yourself, do not mention the names in square \
brackets, and write nothing but the summary.

Question:
"""
"""What stands before the trace to be summarised."""


def prompt_of(state: Trace) -> Chat:
    """The conversation whose reply the policy continues from ``state``."""
    return _chat(state, render_steps(state.steps))


def _chat(state: Trace, prefill: str) -> Chat:
    return Chat((Message("user", TASK + state.question),), prefill)


def rollout_requests(
    state: Trace, n: int, *, sampling: Sampling, first: int = 0
) -> list[CompletionRequest]:
    """Ask for ``n`` completions of ``state`` to the end."""
    return samples(prompt_of(state), n, sampling=sampling, first=first)


def segment_request(
    state: Trace, factor: Factor, *, temperature: float, max_tokens: int, sample_idx: int
) -> CompletionRequest:
    """Ask one replica for the next step under ``factor``.

    The answer is the last step, and runs on to the end of the reply.
    """
    stop = () if factor is Factor.ANSWER else (STOP,)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, stop=stop)
    prompt = _chat(state, render_steps(state.steps) + opening(factor))
    return CompletionRequest(prompt, sampling, sample_idx)


def prior_request(state: Trace) -> ChoiceRequest:
    """Ask for the distribution over the next thought factor.

    The bracket is opened in the prompt: whether the model writes a tag at all is not the question.
    """
    prompt = _chat(state, render_steps(state.steps) + "[")
    return ChoiceRequest(prompt, tuple(opening(factor).removeprefix("[") for factor in ACTIONS))


def read_prior(answer: Choice, *, min_prior: float) -> dict[Factor, float]:
    """The legal factors and their priors, which sum to one; never empty.

    If the server tells no probabilities, all actions are equally likely, and all are legal.
    """
    mass = dict(zip(ACTIONS, answer.probabilities, strict=False))
    flat: Mapping[Factor, float] = dict.fromkeys(ACTIONS, 1.0)
    return legal_factors(mass, min_prior=min_prior) or legal_factors(flat, min_prior=0.0)


def score_request(trace: Trace) -> ScoreRequest:
    """Ask how improbable the policy finds the steps of ``trace``, as if it had written them all."""
    return ScoreRequest(prompt_of(Trace(trace.question)), render_steps(trace.steps))


def read_score(score: Score, trace: Trace) -> tuple[StepSurprisal, ...]:
    """Surprisal of each step, ``(n_steps,)``; the answer to :func:`score_request` of ``trace``."""
    lengths = [(len(opening(step.factor)), len(render_step(step))) for step in trace.steps]
    return step_surprisals(score, lengths)


def summary_request(trace: Trace, *, sampling: Sampling, sample_idx: int) -> CompletionRequest:
    """Ask for a neutral summary of a trace."""
    text = f"{SUMMARY_TASK}{trace.question.strip()}\n\nSolution:\n{render_steps(trace.steps)}"
    if trace.answer is not None:
        text += f"\nAnswer: {trace.answer.strip()}\n"
    return CompletionRequest(Chat((Message("user", text),)), sampling, sample_idx)


def read_summary(completion: Completion) -> str | None:
    """The summary on one line; ``None`` if it was cut off or says nothing."""
    words = reply_of(text_of(completion)).removeprefix("Summary:").split()
    return " ".join(words) if words and completion.finish == "stop" else None
