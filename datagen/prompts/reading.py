"""What every dialect reads from an answer: steps with their cost, surprisals, opinions.

A server need not tell log-probabilities. What is unknown is ``None``, never NaN: a NaN is unequal
to itself, sorts anywhere, and no table takes it.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from datagen.engines.protocol import Completion, Score
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step, Trace
from schemas import StepVerdict

_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Reading:
    """A completion, read.

    Attributes:
        steps: the whole steps that the completion adds.
        answer: the visible answer, if it came to one.
        rest: text that could not be read as steps.
        n_tokens: tokens per step, ``(n_steps,)``.
        min_logprobs: least token log-probability per step, ``(n_steps,)``; 0 for a step that took
            no token, ``None`` where the engine does not tell.
        sloppy: whether it left the form that was asked for, and had to be repaired.
    """

    steps: tuple[Step, ...]
    answer: str | None
    rest: str
    n_tokens: tuple[int, ...]
    min_logprobs: tuple[float | None, ...]
    sloppy: bool = False

    def step(self, idx: int, *, answer: str | None = None) -> "Reading":
        """Only step ``idx`` of it, 0-based."""
        return Reading(
            self.steps[idx : idx + 1],
            answer,
            "",
            self.n_tokens[idx : idx + 1],
            self.min_logprobs[idx : idx + 1],
            self.sloppy,
        )

    @property
    def min_logprob(self) -> float | None:
        """Least token log-probability of all; ``None`` if it is unknown, or there is no step."""
        known = [logprob for logprob in self.min_logprobs if logprob is not None]
        return min(known) if known and len(known) == len(self.min_logprobs) else None


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


@dataclass(frozen=True, slots=True)
class StepRemark:
    """What a critique says of one step.

    Attributes:
        step_idx: 0-based index of the step.
        analysis: the words about it, never empty; lines are kept, blank ones are not.
        verdict: whether the step stands.
    """

    step_idx: int
    analysis: str
    verdict: StepVerdict


@dataclass(frozen=True, slots=True)
class Opinion:
    """A critique, read.

    Attributes:
        first_error: 0-based index of the first wrong step, -1 for none; ``None`` if the text cannot
            be read, or names no step of the trace.
        quote: the words that it quotes from that step; empty if it quotes none.
        reason: why the step is wrong; the whole critique where its parts cannot be told apart.
        remarks: one per step, from the first to the first wrong one or the last; empty where the
            critique cannot be read step by step, though its verdict may be clear.
    """

    first_error: int | None
    quote: str = ""
    reason: str = ""
    remarks: tuple[StepRemark, ...] = ()


def text_of(completion: Completion) -> str:
    """What the completion says.

    A broken model or server can emit lone surrogates, which neither tables nor tokenizers take.
    Each becomes U+FFFD, one for one, so that token offsets stay true.
    """
    return _SURROGATES.sub("\ufffd", completion.text)


def states_along(state: Trace, steps: Sequence[Step]) -> list[Trace]:
    """The states that ``steps`` pass through, the one after all of them last."""
    return [state.extended(*steps[: n + 1]) for n in range(len(steps))]


def legal_factors(mass: Mapping[Factor, float], *, min_prior: float) -> dict[Factor, float]:
    """The factors worth a rollout and their priors, which sum to one.

    Those below ``min_prior`` are left out, but never all. Empty if nothing has any probability.
    """
    mass = {factor: p if math.isfinite(p) else 0.0 for factor, p in mass.items()}
    total = sum(mass.values())
    if total <= 0:
        return {}
    legal = {factor: p for factor, p in mass.items() if p / total >= min_prior}
    legal = legal or {max(mass, key=mass.__getitem__): 1.0}
    kept = sum(legal.values())
    return {factor: p / kept for factor, p in legal.items()}


def token_costs(
    completion: Completion, ranges: Iterable[tuple[int, int]]
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Tokens, and the least log-probability among them, of stretches of the text.

    Args:
        completion: the completion.
        ranges: half-open character ranges of its text, rising and disjoint. A token belongs to the
            one in which it ends; one may begin before the text, behind an opening tag.

    Returns:
        As :attr:`Reading.n_tokens` and :attr:`Reading.min_logprobs`.
    """
    counts: list[int] = []
    lowest: list[float | None] = []
    for begin, end in ranges:
        # A token of no width, such as the end of the text, belongs to what it ends.
        first = bisect_right(completion.ends, begin) if begin > 0 else 0
        last = max(first, bisect_right(completion.ends, end))
        logprobs = completion.logprobs[first:last]
        counts.append(last - first)
        known = all(map(math.isfinite, logprobs))
        lowest.append(min(logprobs, default=0.0) if known else None)
    return tuple(counts), tuple(lowest)


def step_surprisals(score: Score, lengths: Iterable[tuple[int, int]]) -> tuple[StepSurprisal, ...]:
    """Surprisal of each step of a scored text.

    A token belongs to the part in which it ends. Tokens that found no room in the context count for
    nothing, and so does what a server does not tell: a step without any scored token has
    surprisals of 0.

    Args:
        score: of the text.
        lengths: characters of each step's opening tag, and of the whole step; the text is made of
            these steps and nothing else.
    """
    surprisals: list[StepSurprisal] = []
    end = done = 0
    for tag, whole in lengths:
        opened = bisect_right(score.ends, end + tag)
        end += whole
        closed = bisect_right(score.ends, end)
        told = all(not math.isnan(logprob) for logprob in score.logprobs[done:closed])
        action = sum((-p for p in score.logprobs[done:opened] if told), 0.0)
        content = max((0.0, *(-p for p in score.logprobs[opened:closed] if told)))
        total = sum((-p for p in score.logprobs[done:closed]), 0.0)
        n_tokens = closed - done
        scored = told and n_tokens > 0
        surprisals.append(StepSurprisal(action, content, total if scored else math.inf, n_tokens))
        done = closed
    return tuple(surprisals)
