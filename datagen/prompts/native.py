"""What a search asks of a policy, in the reasoner's own markup: prompts, samples and readings.

The only place where states turn into prompts and completions into steps. A policy that thinks in
other words than native tags needs another module with these functions, and nothing else.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.factors.taxonomy import Factor
from datagen.traces.markup import (
    THINK_END,
    ParsedTail,
    end_tag,
    parse_tail,
    render_step,
    render_thought,
    start_tag,
)
from datagen.traces.model import Step, Trace

QUESTION: Final = "Question: "
_ACTIONS: Final = (*(start_tag(factor) for factor in Factor), THINK_END)
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def prompt_of(state: Trace) -> str:
    """The text that the policy continues from ``state``."""
    return f"{QUESTION}{state.question}\n{render_thought(state.steps)}"


def prior_request(state: Trace) -> ChoiceRequest:
    """Ask for the distribution over the next thought factor."""
    return ChoiceRequest(prompt_of(state), _ACTIONS)


def read_prior(answer: Choice, *, min_prior: float) -> dict[Factor, float]:
    """The legal factors and their priors, which sum to one; never empty.

    Ending the thought without an answer step is the same decision as answering, so its probability
    goes to :attr:`Factor.ANSWER`. Factors below ``min_prior`` are not worth a rollout and illegal.
    """
    mass = dict(zip(Factor, answer.probabilities, strict=False))
    mass[Factor.ANSWER] += answer.probabilities[-1]
    total = sum(mass.values())
    if total <= 0:
        return {Factor.OTHER: 1.0}
    legal = {factor: p for factor, p in mass.items() if p / total >= min_prior}
    legal = legal or {max(mass, key=mass.__getitem__): 1.0}
    kept = sum(legal.values())
    return {factor: p / kept for factor, p in legal.items()}


def rollout_requests(
    state: Trace, n: int, *, sampling: Sampling, first: int = 0
) -> list[CompletionRequest]:
    """Ask for ``n`` completions of ``state`` to the end."""
    prompt = prompt_of(state)
    return [CompletionRequest(prompt, sampling, first + idx) for idx in range(n)]


def segment_request(
    state: Trace, factor: Factor, *, temperature: float, max_tokens: int, sample_idx: int
) -> CompletionRequest:
    """Ask one replica for the next step under ``factor``.

    The answer is the last action, so its segment runs on through the visible answer.
    """
    stop = () if factor is Factor.ANSWER else (end_tag(factor),)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, stop=stop)
    return CompletionRequest(prompt_of(state) + start_tag(factor), sampling, sample_idx)


@dataclass(frozen=True, slots=True)
class Reading:
    """A completion, read.

    Attributes:
        steps: the whole steps that the completion adds.
        answer: the visible answer, if it came to one.
        rest: text that could not be read as steps.
        n_tokens: tokens per step, ``(n_steps,)``.
        min_logprobs: least token log-probability per step, ``(n_steps,)``; 0 for a step that took
            no token.
    """

    steps: tuple[Step, ...]
    answer: str | None
    rest: str
    n_tokens: tuple[int, ...]
    min_logprobs: tuple[float, ...]


def text_of(completion: Completion) -> str:
    """What the completion says.

    A broken model or server can emit lone surrogates, which neither tables nor tokenizers take.
    Each becomes U+FFFD, one for one, so that token offsets stay true.
    """
    return _SURROGATES.sub("\ufffd", completion.text)


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
    counts: list[int] = []
    lowest: list[float] = []
    at = 0
    for _, end in tail.offsets:
        begin = at
        while at < completion.n_tokens and completion.ends[at] <= end - shift:
            at += 1
        counts.append(at - begin)
        lowest.append(min(completion.logprobs[begin:at], default=0.0))
    answer = tail.answer if completion.finish == "stop" else None
    return Reading(tail.steps, answer, tail.rest, tuple(counts), tuple(lowest))


def score_request(trace: Trace) -> ScoreRequest:
    """Ask how improbable the policy finds the steps of ``trace``, as if it had written them all."""
    text = "".join(map(render_step, trace.steps))
    return ScoreRequest(prompt_of(Trace(trace.question)), text)


@dataclass(frozen=True, slots=True)
class StepSurprisal:
    """How little the policy expected a step, in nats; both are at least 0.

    Attributes:
        action: negative log-probability of the opening tag, that is, of the thought factor.
        content: the largest surprisal of a single token among the words and the closing tag.
        total: of the whole step: exp(-total) is the probability of writing it just so; infinite
            if it was not scored.
        n_tokens: tokens that the step took.
    """

    action: float
    content: float
    total: float = math.inf
    n_tokens: int = 0


def read_score(score: Score, trace: Trace) -> tuple[StepSurprisal, ...]:
    """Surprisal of each step, ``(n_steps,)``; the answer to :func:`score_request` of ``trace``.

    A token belongs to the part in which it ends. Tokens that found no room in the context count for
    nothing: a step without any scored token has surprisals of 0.
    """
    surprisals: list[StepSurprisal] = []
    end = done = 0
    for step in trace.steps:
        opened = bisect_right(score.ends, end + len(start_tag(step.factor)))
        end += len(render_step(step))
        closed = bisect_right(score.ends, end)
        action = sum((-logprob for logprob in score.logprobs[done:opened]), 0.0)
        content = max((0.0, *(-logprob for logprob in score.logprobs[opened:closed])))
        total = sum((-logprob for logprob in score.logprobs[done:closed]), 0.0)
        n_tokens = closed - done
        surprisals.append(StepSurprisal(action, content, total if n_tokens else math.inf, n_tokens))
        done = closed
    return tuple(surprisals)


def states_along(state: Trace, steps: Sequence[Step]) -> list[Trace]:
    """The states that ``steps`` pass through, the one after all of them last."""
    return [state.extended(*steps[: n + 1]) for n in range(len(steps))]
