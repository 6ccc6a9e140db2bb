"""Consensus: what the judges say of a trace, and whether the rollouts say the same.

Rollouts and judges err in different ways, so a trace on which they agree is trusted (Zhang et al.
2025, arXiv 2501.07301, "consensus filtering" of Monte-Carlo estimates and an LLM judge), and one on
which they do not is what people should look at.

The checker is no voter among others. It proves that a step is wrong, so the first error is there
or before: an upper bound. Who finds the first error behind it, or none at all, has called every
step before the proven one right, and with the proof his opinion *is* the proven step. So later
votes are moved there before they are counted, and earlier ones stand.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl

CHECKER: Final = "checker"


class Opinion(Protocol):
    """What is counted: a :class:`~datagen.judge.vote.Vote` or a row that has these two."""

    @property
    def judge(self) -> str:
        """Who says so."""
        ...

    @property
    def first_error(self) -> int | None:
        """0-based index of the first wrong step, -1 for none, ``None`` for no opinion."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeVerdict:
    """What the judges say together.

    Attributes:
        first_error: 0-based index of the first wrong step, -1 for none; ``None`` if they are
            undecided.
        share: part of the counted votes that the most frequent opinion has; 0 without votes.
        n_votes: votes that were counted. A vote that cannot be read is not, and the checker's is
            only if there is no other.
    """

    first_error: int | None
    share: float
    n_votes: int


@dataclass(frozen=True, slots=True)
class _Ballot:
    judge: str
    first_error: int | None


def tally_votes(votes: Iterable[Opinion]) -> JudgeVerdict:
    """Count the votes on one trace; more than half of those that can be read make a verdict."""
    given = [(vote.judge, vote.first_error) for vote in votes if vote.first_error is not None]
    proven = [first for judge, first in given if judge == CHECKER and first >= 0]
    opinions = [first for judge, first in given if judge != CHECKER]
    if proven:
        bound = min(proven)
        opinions = [first if 0 <= first < bound else bound for first in opinions] or [bound]
    if not opinions:
        return JudgeVerdict(None, 0.0, 0)
    (first_error, count), *_ = Counter(opinions).most_common(1)
    share = count / len(opinions)
    return JudgeVerdict(first_error if 2 * count > len(opinions) else None, share, len(opinions))


def consensus(
    posteriors: pl.DataFrame, critiques: pl.DataFrame, *, min_mass: float = 0.5
) -> pl.DataFrame:
    """Compare, trace by trace, the first error by the rollouts with the one by the judges.

    Args:
        posteriors: one row per trace with ``trace_id``, ``first_error`` (-1 for none) and
            ``first_error_mass`` (its probability); further columns stay as they are.
        critiques: table ``critiques``; votes on other traces are ignored.
        min_mass: least ``first_error_mass`` with which an agreement counts as verified.

    Returns:
        ``posteriors`` in its own order with these columns more:

        - ``judge_first_error`` (int32), ``judge_share`` (float64): the judges' verdict; null
          without one.
        - ``n_votes`` (int64): votes counted.
        - ``agrees`` (bool): whether both name the same; null without a verdict.
        - ``verified`` (bool): they agree, and the rollouts are sure enough.
        - ``review_rank`` (int32): place in the queue for people, 0 first. Disagreements lead, those
          in which both sides are surest first (mass times share); then come the other traces that
          are not verified, the least sure posterior first. Null where verified.
        - ``human_first_error``, ``n_reviews`` (int32): null, for people have not been asked yet.
    """
    ballots: dict[str, list[_Ballot]] = {}
    columns = critiques.select("trace_id", "judge", "first_error")
    for trace_id, judge, first_error in columns.iter_rows():
        ballots.setdefault(trace_id, []).append(_Ballot(judge, first_error))
    verdicts = [tally_votes(ballots.get(trace_id, ())) for trace_id in posteriors["trace_id"]]
    decided = [verdict.first_error is not None for verdict in verdicts]
    judged = posteriors.with_columns(
        pl.Series("judge_first_error", [v.first_error for v in verdicts], pl.Int32),
        pl.Series(
            "judge_share",
            [v.share if known else None for v, known in zip(verdicts, decided, strict=True)],
            pl.Float64,
        ),
        pl.Series("n_votes", [v.n_votes for v in verdicts], pl.Int64),
    )
    agrees = pl.col("judge_first_error") == pl.col("first_error")
    sure = pl.col("first_error_mass") >= min_mass
    compared = judged.with_columns(
        agrees=agrees, verified=agrees.fill_null(False) & sure.fill_null(False)
    )
    unasked = (pl.lit(None, pl.Int32).alias(name) for name in ("human_first_error", "n_reviews"))
    return compared.with_columns(_review_rank(compared), *unasked)


def _review_rank(compared: pl.DataFrame) -> pl.Series:
    mass, share = pl.col("first_error_mass").fill_null(0.0), pl.col("judge_share").fill_null(0.0)
    disputed = ~pl.col("agrees").fill_null(True)
    queue = (
        compared.with_row_index("row")
        .filter(~pl.col("verified"))
        .select(
            "row", wanted=disputed, sureness=pl.when(disputed).then(mass * share).otherwise(-mass)
        )
        .sort("wanted", "sureness", "row", descending=[True, True, False])["row"]
    )
    ranks: list[int | None] = [None] * compared.height
    for rank, row in enumerate(queue):
        ranks[row] = rank
    return pl.Series("review_rank", ranks, pl.Int32)
