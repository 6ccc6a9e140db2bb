"""What a search asks of a policy, in the reasoner's own markup: prompts, samples and readings.

Nothing is repaired here. A policy that was trained on the markup and leaves it has lost the thread,
and its text from there on is no step.
"""

from dataclasses import replace
from typing import Final

from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Sampling,
    Score,
    ScoreRequest,
    samples,
)
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.prompts.reading import (
    Reading,
    StepSurprisal,
    legal_factors,
    step_surprisals,
    text_of,
    token_costs,
)
from datagen.traces.markup import (
    THINK_END,
    ParsedTail,
    end_tag,
    parse_tail,
    render_step,
    render_thought,
    start_tag,
)
from datagen.traces.model import Trace

QUESTION: Final = "Question: "
_CHOICES: Final = (*(start_tag(factor) for factor in ACTIONS), THINK_END)


def prompt_of(state: Trace) -> str:
    """The text that the policy continues from ``state``."""
    return f"{QUESTION}{state.question}\n{render_thought(state.steps)}"


def prior_request(state: Trace) -> ChoiceRequest:
    """Ask for the distribution over the next thought factor."""
    return ChoiceRequest(prompt_of(state), _CHOICES)


def read_prior(answer: Choice, *, min_prior: float) -> dict[Factor, float]:
    """The legal factors and their priors, which sum to one; never empty.

    Ending the thought without an answer step is the same decision as answering, so its probability
    goes to :attr:`Factor.ANSWER`. Factors below ``min_prior`` are not worth a rollout and illegal.
    """
    mass = dict(zip(ACTIONS, answer.probabilities, strict=False))
    mass[Factor.ANSWER] += answer.probabilities[-1]
    return legal_factors(mass, min_prior=min_prior) or {Factor.OTHER: 1.0}


def rollout_requests(
    state: Trace, n: int, *, sampling: Sampling, first: int = 0
) -> list[CompletionRequest]:
    """Ask for ``n`` completions of ``state`` to the end."""
    return samples(prompt_of(state), n, sampling=sampling, first=first)


def segment_request(
    state: Trace, factor: Factor, *, temperature: float, max_tokens: int, sample_idx: int
) -> CompletionRequest:
    """Ask one replica for the next step under ``factor``.

    The answer is the last action, so its segment runs on through the visible answer.
    """
    stop = () if factor is Factor.ANSWER else (end_tag(factor),)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, stop=stop)
    return CompletionRequest(prompt_of(state) + start_tag(factor), sampling, sample_idx)


def read_rollout(completion: Completion) -> Reading:
    """Read a completion that began at the start of a step."""
    return _read(completion, parse_tail(text_of(completion)), shift=0)


def read_segment(completion: Completion, factor: Factor) -> Reading:
    """Read a completion that began inside a step of ``factor``, behind its opening tag.

    It is one step, whatever an engine that overran the stop string has added; only an answer runs
    on to the end.
    """
    opening = start_tag(factor)
    tail = parse_tail(opening + text_of(completion))
    if factor is not Factor.ANSWER:
        tail = replace(tail, steps=tail.steps[:1], offsets=tail.offsets[:1])
    return _read(completion, tail, shift=len(opening))


def _read(completion: Completion, tail: ParsedTail, *, shift: int) -> Reading:
    ranges = [(begin - shift, end - shift) for begin, end in tail.offsets]
    answer = tail.answer if completion.finish == "stop" else None
    return Reading(tail.steps, answer, tail.rest, *token_costs(completion, ranges))


def score_request(trace: Trace) -> ScoreRequest:
    """Ask how improbable the policy finds the steps of ``trace``, as if it had written them all."""
    text = "".join(map(render_step, trace.steps))
    return ScoreRequest(prompt_of(Trace(trace.question)), text)


def read_score(score: Score, trace: Trace) -> tuple[StepSurprisal, ...]:
    """Surprisal of each step, ``(n_steps,)``; the answer to :func:`score_request` of ``trace``."""
    lengths = [(len(start_tag(step.factor)), len(render_step(step))) for step in trace.steps]
    return step_surprisals(score, lengths)
