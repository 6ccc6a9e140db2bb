"""Best-of-n: independent completions of one state, ranked.

The ranking never looks at the gold answer, or it could not be used where there is none: whether an
answer is right is recorded beside the rank. By default the completions vote (self-consistency, Wang
et al. 2023, section 2); with a ``score`` a verifier decides (Cobbe et al. 2021, section 4.2).
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from statistics import fmean
from typing import cast

from datagen.engines.protocol import Answer, Completion, Request, Sampling
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.search.evidence import Rollout, Verify
from datagen.search.tree import SearchTree, TreeNode
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Trace

Score = Callable[[Rollout], float]
"""How good a completion is, more being better: a PRM or an ORM, for example."""


@dataclass(frozen=True, slots=True)
class BestOfNConfig:
    """Settings of one search.

    Attributes:
        n: completions.
        rollout: how they are sampled. Any temperature but 1 makes them off-policy.
        dialect: how the policy is asked.
    """

    n: int = 16
    rollout: Sampling = field(default_factory=Sampling)
    dialect: Dialect = NATIVE


@dataclass(frozen=True, slots=True)
class Ranked:
    """A completion and what it was ranked by.

    Attributes:
        rollout: the completion, right or wrong.
        score: what it was ranked by first; ``None`` if its answer cannot be read.
        vote_share: share of all readable answers whose text equals its own; 0 if it has none.
        mean_logprob: mean log-probability of its tokens, the end-of-text token included, untempered
            and in nats; -inf if the engine does not report them all.
    """

    rollout: Rollout
    score: float | None
    vote_share: float
    mean_logprob: float


@dataclass(slots=True, eq=False, repr=False)
class BestOfN(SearchTree[TreeNode]):
    """What the search leaves behind; its tree is the root alone.

    Attributes:
        ranked: all completions, best first. Empty if the budget was spent.
    """

    ranked: list[Ranked] = field(default_factory=list[Ranked])


def best_of_n(
    root: Trace,
    *,
    n: int,
    sampling: Sampling,
    verify: Verify,
    score: Score | None = None,
    dialect: Dialect = NATIVE,
) -> Generator[Sequence[Request], Sequence[Answer], BestOfN]:
    """Draw ``n`` completions of ``root`` and rank them.

    Of equal scores the one with the higher vote share comes first, then the one with the higher
    mean log-probability, then the earlier sample. Completions whose answer cannot be read come
    last, in the same order.

    Args:
        root: the state to complete.
        n: how many completions.
        sampling: how they are drawn.
        verify: judges a completion, and reads its answer.
        score: what to rank by; ``None`` for the share of votes. Not called for a completion whose
            answer cannot be read.
        dialect: how the policy is asked.

    Raises:
        ValueError: if ``score`` returns NaN, which has no rank.
    """
    found = BestOfN(TreeNode(root))
    requests = dialect.rollout_requests(root, n, sampling=sampling)
    try:
        answers = yield requests
    except BudgetSpent:
        return found
    completions = [cast(Completion, answer) for answer in answers]
    found.rollouts = [
        Rollout.read("best_of_n", root, request, completion, verify, dialect)
        for request, completion in zip(requests, completions, strict=True)
    ]
    found.ranked = rank(found.rollouts, [_mean_logprob(c) for c in completions], score=score)
    return found


def _mean_logprob(completion: Completion) -> float:
    mean = fmean(completion.logprobs) if completion.logprobs else nan
    return float("-inf") if isnan(mean) else mean  # a NaN has no rank


def rank(
    rollouts: Sequence[Rollout], mean_logprobs: Sequence[float], *, score: Score | None = None
) -> list[Ranked]:
    """Rank rollouts of one question, best first; see :func:`best_of_n`.

    Args:
        rollouts: in the order of sampling.
        mean_logprobs: one per rollout.
        score: as there.
    """
    votes = Counter(_vote(rollout) for rollout in rollouts)
    del votes[None]
    ranked: list[Ranked] = []
    for rollout, mean_logprob in zip(rollouts, mean_logprobs, strict=True):
        vote = _vote(rollout)
        share = 0.0 if vote is None else votes[vote] / votes.total()
        value = None if vote is None else share if score is None else score(rollout)
        if value is not None and isnan(value):
            raise ValueError(
                f"score gave {value!r} for sample {rollout.request.sample_idx!r}; "
                "let it return a number"
            )
        ranked.append(Ranked(rollout, value, share, mean_logprob))
    return sorted(
        ranked,
        key=lambda r: (
            r.score is not None,
            0.0 if r.score is None else r.score,
            r.vote_share,
            r.mean_logprob,
        ),
        reverse=True,
    )


def _vote(rollout: Rollout) -> str | None:
    """The answer that it votes for, as the verifier read it; ``None`` if it could not."""
    extracted = rollout.verdict.extracted
    return extracted.strip() if extracted is not None and rollout.verdict.is_trial else None
