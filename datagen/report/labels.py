"""How far the labels can be trusted: by judges, by people, by runs of programs.

The surprising fact: what the pipeline believed is compared as it was before people decided. A
decision takes the place of the first error, and a belief that is replaced by its correction would
always look right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from datagen.publish.curation import LabelAgreement, curation
from datagen.report.positions import ByOutcome, by_position

Tables = Mapping[str, pl.DataFrame]

MASSES: Final = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Where the bins of probability begin; most traces are asked about until they lie near 1."""

_MAX_BINS: Final = 8
_MIN_PER_BIN: Final = 10


@dataclass(frozen=True, slots=True)
class MassBin:
    """Measured traces whose first error has about the same probability.

    Attributes:
        n_agreed: of these the judges name the same first error.
        n_differing: the judges name another.
        n_unjudged: there is no verdict.
    """

    n_agreed: int
    n_differing: int
    n_unjudged: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Probabilities that the pipeline gave, against what turned out to be true.

    Attributes:
        bins: ``(n, mean predicted, share true)``, from the least to the most probable; of about
            equal counts.
        gap: mean difference of the last two, weighted by ``n``: an expected calibration error.
        at_random: whether what was compared was drawn at random, and so speaks for all.
    """

    bins: tuple[tuple[int, float, float], ...]
    gap: float
    at_random: bool = True

    @property
    def n(self) -> int:
        """How many were compared."""
        return sum(n for n, _, _ in self.bins)


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """What is known of the labels.

    Attributes:
        n_measured: traces whose first error rollouts sought.
        n_judged: those of which the judges came to a verdict.
        n_agreed: those of which both name the same first error.
        n_verified: those that are sure enough as well, and those that people decided.
        sources: what the labels of steps rest on → steps, most frequent first.
        masses: the measured traces by the probability of their first error, see :data:`MASSES`.
        values: outcome → mean value by position of the step.
        by_judges: probability of the first error against the share of judges that agree.
        by_people: probability that a step comes before the first error, against people's word.
        by_runs: share of programs written from a thought that pass the tests, against whether the
            run of the program bears out all that the thought claims.
    """

    n_measured: int
    n_judged: int
    n_agreed: int
    n_verified: int
    sources: Mapping[str, int]
    masses: tuple[MassBin, ...]
    values: ByOutcome
    by_judges: Reliability | None
    by_people: Reliability | None
    by_runs: Reliability | None

    @property
    def agreed_share(self) -> float | None:
        """Of the judged; ``None`` if none was."""
        return self.n_agreed / self.n_judged if self.n_judged else None

    @property
    def verified_share(self) -> float | None:
        """Of the measured; ``None`` if none was."""
        return self.n_verified / self.n_measured if self.n_measured else None


def reviewed_labels(found: Tables) -> pl.DataFrame:
    """Table ``reviewed_trace_labels``, or what comes before it in a run that was stopped."""
    reviewed = found["reviewed_trace_labels"]
    return found["trace_labels"] if reviewed.is_empty() else reviewed


def label_figures(found: Tables) -> LabelFigures:
    """Count, from all of :data:`datagen.report.figures.REPORT_TABLES`."""
    labels, steps = reviewed_labels(found), found["reviewed_step_labels"]
    agreement = curation(trace_labels=labels).labels
    sources = steps.group_by("label_source").len().sort(["len", "label_source"], descending=True)
    return LabelFigures(
        n_measured=agreement.n_measured if agreement else 0,
        n_judged=agreement.n_judged if agreement else 0,
        n_agreed=agreement.n_agreed if agreement else 0,
        n_verified=agreement.n_verified if agreement else 0,
        sources=dict(sources.iter_rows()),
        masses=by_mass(labels),
        values=by_position(steps, labels),
        by_judges=_of_claims(agreement),
        by_people=held_to_people(labels, found["decisions"]),
        by_runs=held_to_runs(found["code_thoughts"]),
    )


def by_mass(labels: pl.DataFrame) -> tuple[MassBin, ...]:
    """Traces of table ``trace_labels`` by the probability of their first error: a bin per mass."""
    p = pl.col("p_first_error").list
    idx = p.arg_max().cast(pl.Int64)
    believed = pl.when(idx < pl.col("n_steps")).then(idx).otherwise(-1)
    judged = pl.col("judge_first_error")
    rows = (
        labels.select(
            place=pl.sum_horizontal((p.max() >= low).cast(pl.Int64) for low in MASSES) - 1,
            agreed=judged == believed,
        )
        .group_by("place", "agreed")
        .len()
    )
    counts: dict[tuple[int, bool | None], int] = {
        (place, agreed): n for place, agreed, n in rows.iter_rows()
    }
    return tuple(
        MassBin(*(counts.get((place, agreed), 0) for agreed in (True, False, None)))
        for place in range(len(MASSES))
    )


def held_to_judges(labels: pl.DataFrame) -> Reliability | None:
    """Probability of the first error against the share of judges that agree, of ``trace_labels``.

    ``None`` if they came to no verdict.
    """
    return _of_claims(curation(trace_labels=labels).labels)


def held_to_people(labels: pl.DataFrame, decisions: pl.DataFrame) -> Reliability | None:
    """Every step of the decided traces; of those drawn at random alone, where there are any.

    Args:
        labels: table ``trace_labels``, before or after people's decisions.
        decisions: table ``decisions``.

    Returns:
        ``None`` if no measured trace is decided.
    """
    decided = decisions.filter(pl.col("status") == "decided")
    drawn = decided.filter("is_random")
    at_random = drawn.height > 0
    p = pl.col("p_first_error")
    steps = (
        labels.join(
            (drawn if at_random else decided).select("trace_id", truth="first_error"), on="trace_id"
        )
        .sort("trace_id")
        .select(
            "truth",
            step_idx=pl.int_ranges(pl.col("n_steps").cast(pl.Int64)),
            # What is left of the belief after each step; its last entry stands for no step.
            predicted=p.list.head("n_steps").list.eval(1.0 - pl.element().cum_sum()),
        )
        .filter(pl.col("step_idx").list.len() > 0)
        .explode("step_idx", "predicted")
        .select(
            pl.col("predicted").clip(0.0, 1.0),
            true=(pl.col("truth") < 0) | (pl.col("step_idx") < pl.col("truth")),
        )
    )
    return _reliability(steps, at_random=at_random)


def held_to_runs(thoughts: pl.DataFrame) -> Reliability | None:
    """Share of right programs against claims borne out, of table ``code_thoughts``.

    ``None`` if no program was written from a thought.
    """
    tried = thoughts.filter(pl.col("n_round_trips") > 0).sort("thought_id")
    return _reliability(
        tried.select(
            predicted=pl.col("n_passed") / pl.col("n_round_trips"),
            true=pl.col("first_error") < 0,
        )
    )


def _reliability(events: pl.DataFrame, *, at_random: bool = True) -> Reliability | None:
    """Bins of about equal counts; equal probabilities are never in two of them."""
    if events.is_empty():
        return None
    n_bins = max(1, min(_MAX_BINS, events.height // _MIN_PER_BIN))
    rank = (pl.col("predicted").rank("min") - 1).cast(pl.Int64)
    bins = (
        events.group_by(place=rank * n_bins // pl.len())
        .agg(n=pl.len(), predicted=pl.col("predicted").mean(), true=pl.col("true").mean())
        .sort("place")
    )
    parts = [(int(n), float(p), float(t)) for _, n, p, t in bins.iter_rows()]
    gap = sum(n * abs(p - t) for n, p, t in parts) / events.height
    return Reliability(tuple(parts), gap, at_random)


def _of_claims(agreement: LabelAgreement | None) -> Reliability | None:
    if agreement is None or not agreement.n_judged:
        return None
    parts = tuple((part.n, part.mean_claimed, part.share_agreed) for part in agreement.bins)
    return Reliability(parts, agreement.mean_gap)
