"""How one answer is chosen out of several: by majority, or by what a verifier says of each.

A verifier can be used in many ways, and which one serves it best is no property of the test
questions: each verifier is given the way that did best for it on the development questions.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal, NamedTuple

import numpy as np

from datagen.bench.downstream.students import Floats, is_right
from datagen.search.evidence import Rollout

Fold = Literal["least", "product", "last"]
Use = Literal["best", "vote"]

FOLDS: Final[dict[Fold, Callable[[Sequence[float]], float]]] = {
    "least": min,
    "product": math.prod,
    "last": lambda values: values[-1],
}
"""What a reply is worth by the values of its steps (Lightman et al. 2023, appendix E; Wang et al.
2024, section 3.4)."""

USES: Final[tuple[Use, ...]] = ("best", "vote")
"""Take the reply that is worth most, or the answer whose replies are worth most together (Li et
al. 2023, "weighted voting")."""


class Rule(NamedTuple):
    """One way to use a verifier."""

    fold: Fold
    use: Use

    def __str__(self) -> str:
        return f"{self.use} by {self.fold}"


RULES: Final = tuple(Rule(fold, use) for use in USES for fold in FOLDS)


@dataclass(frozen=True, slots=True)
class Ballot:
    """The replies to one question, in the order of sampling.

    Attributes:
        answers: what each came to, as the verifier of answers reads it; ``None`` if it cannot.
        right: whether that is right.
    """

    answers: Sequence[str | None]
    right: Sequence[bool]

    @classmethod
    def of(cls, rollouts: Sequence[Rollout]) -> "Ballot":
        """The ballot of a question's rollouts."""
        return cls(
            [r.verdict.extracted.strip() if r.ended and r.verdict.extracted else None
             for r in rollouts],
            [is_right(rollout) for rollout in rollouts],
        )  # fmt: skip


def majority(ballot: Ballot, members: Sequence[int]) -> bool:
    """Whether the answer that most of these replies give is right; of equals the first."""
    return _voted(ballot, members, [1.0] * len(ballot.answers))


def choose(
    ballot: Ballot, members: Sequence[int], worth: Sequence[float], use: Use = "best"
) -> bool:
    """Whether the answer that a verifier chooses among these replies is right.

    Args:
        ballot: the replies.
        members: which of them there are to choose from.
        worth: of each reply of the ballot.
        use: how.
    """
    if use == "vote":
        return _voted(ballot, members, worth)
    readable = [idx for idx in members if ballot.answers[idx] is not None]
    return bool(readable) and ballot.right[max(readable, key=lambda idx: worth[idx])]


def _voted(ballot: Ballot, members: Sequence[int], weights: Sequence[float]) -> bool:
    total: dict[str, float] = {}
    first: dict[str, int] = {}
    for idx in members:
        answer = ballot.answers[idx]
        if answer is not None:
            total[answer] = total.get(answer, 0.0) + weights[idx]
            first.setdefault(answer, idx)
    return bool(total) and ballot.right[first[max(total, key=lambda answer: total[answer])]]


def groups(n_samples: int, n: int) -> Iterator[range]:
    """The samples in groups of ``n``, one after the other; what is left over is left out."""
    return (range(start, start + n) for start in range(0, n_samples - n + 1, n))


def accuracy(
    ballots: Sequence[Ballot], n: int, decide: Callable[[int, Sequence[int]], bool]
) -> Floats:
    """How often ``decide`` is right over the groups of ``n`` replies of each question.

    Args:
        ballots: of the questions.
        n: replies to choose from.
        decide: takes the index of a question and those of the replies.

    Returns:
        Shares, ``(n_questions,)``.
    """
    return np.array(
        [
            fmean(decide(row, members) for members in groups(len(ballot.answers), n))
            for row, ballot in enumerate(ballots)
        ]
    )


def by_rule(
    ballots: Sequence[Ballot], values: Sequence[Sequence[Sequence[float]]], n: int, rule: Rule
) -> Floats:
    """How often a verifier chooses right among ``n`` replies, ``(n_questions,)``.

    Args:
        ballots: of the questions.
        values: of each step of each reply; a reply without any is worth nothing.
        n: replies to choose from.
        rule: how its values are used.
    """
    fold = FOLDS[rule.fold]
    worth = [[fold(steps) if steps else 0.0 for steps in replies] for replies in values]
    return accuracy(
        ballots, n, lambda row, members: choose(ballots[row], members, worth[row], rule.use)
    )


def best_rule(scores: Mapping[Rule, float]) -> Rule:
    """The rule of the highest score; of equals the first."""
    return max(scores, key=lambda rule: scores[rule])
