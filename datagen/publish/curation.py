"""What was left out of a dataset, what it was compared with, and how far its labels are trusted.

The surprising fact: like the lineage, this holds counts and no table, so that nothing that curation
took out can be published by accident.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from datagen.publish.manifest import Benchmark, RejectionCount
from schemas import REJECTION_KINDS, REJECTION_RULES, BenchmarkCheck, Rejection, TraceLabel

_MAX_BINS: Final = 5
_MIN_PER_BIN: Final = 20
"""With fewer traces in a bin its share says nothing."""


@dataclass(frozen=True, slots=True)
class ClaimBin:
    """Measured traces with a verdict whose rollouts were about equally sure.

    Attributes:
        n: traces.
        mean_claimed: mean probability that the rollouts gave to their first error.
        share_agreed: share of which the judges named the same.
    """

    n: int
    mean_claimed: float
    share_agreed: float


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """Of table ``trace_labels``: what rollouts and judges say of the same traces.

    Attributes:
        n_measured: traces that rollouts have measured.
        n_judged: those of which the judges came to a verdict.
        n_agreed: those of which both name the same first error.
        n_verified: those of which the rollouts are sure enough as well, and what people decided.
        n_decided: measured traces that people decided.
        bins: the judged ones in bins of equal counts, from the least to the most sure.
    """

    n_measured: int
    n_judged: int
    n_agreed: int
    n_verified: int
    n_decided: int
    bins: tuple[ClaimBin, ...]

    @property
    def mean_gap(self) -> float:
        """Mean difference of claimed and agreed, by bins: an expected calibration error."""
        gaps = (part.n * abs(part.mean_claimed - part.share_agreed) for part in self.bins)
        return sum(gaps) / self.n_judged if self.n_judged else 0.0


@dataclass(frozen=True, slots=True)
class Curation:
    """What is known of how a dataset was cleaned.

    Attributes:
        rejections: per kind and rule, in the order of the vocabulary.
        n_rejected: per kind, questions and traces that broke any rule.
        benchmarks: what the questions were compared with, in alphabetical order.
        labels: what rollouts and judges say, or ``None`` if no trace was measured.
    """

    rejections: tuple[RejectionCount, ...] = ()
    n_rejected: tuple[RejectionCount, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    labels: LabelAgreement | None = None


def curation(
    *rejections: pl.DataFrame,
    benchmark_checks: pl.DataFrame | None = None,
    trace_labels: pl.DataFrame | None = None,
) -> Curation:
    """Count what curation did.

    Args:
        rejections: tables of contract ``Rejection``, of questions and of traces.
        benchmark_checks: table ``benchmark_checks``.
        trace_labels: table ``trace_labels``, before or after people's decisions: rollouts and
            judges are compared by what they said before.

    Raises:
        ContractError: if a table breaks its contract.
    """
    rejected = pl.concat([Rejection.empty(), *(Rejection.validate(table) for table in rejections)])
    checks = BenchmarkCheck.empty() if benchmark_checks is None else benchmark_checks
    rows = BenchmarkCheck.validate(checks).sort("name").iter_rows(named=True)
    labels = TraceLabel.empty() if trace_labels is None else TraceLabel.validate(trace_labels)
    return Curation(
        rejections=_by_rule(rejected),
        n_rejected=_by_kind(rejected),
        benchmarks=tuple(Benchmark(**row) for row in rows),
        labels=_agreement(labels) if labels.height else None,
    )


def _by_rule(rejected: pl.DataFrame) -> tuple[RejectionCount, ...]:
    counts = {
        (kind, rule): n
        for kind, rule, n in rejected.group_by("kind", "rule").agg(pl.len()).iter_rows()
    }
    return tuple(
        RejectionCount(kind, rule, counts[kind, rule])
        for kind in REJECTION_KINDS
        for rule in REJECTION_RULES
        if (kind, rule) in counts
    )


def _by_kind(rejected: pl.DataFrame) -> tuple[RejectionCount, ...]:
    found = dict(rejected.group_by("kind").agg(pl.col("id").n_unique()).iter_rows())
    return tuple(
        RejectionCount(kind, "any", found[kind]) for kind in REJECTION_KINDS if kind in found
    )


def _agreement(labels: pl.DataFrame) -> LabelAgreement:
    labels = _before_people(labels)
    judged = labels.filter(pl.col("agrees").is_not_null())
    n_bins = max(1, min(_MAX_BINS, judged.height // _MIN_PER_BIN))
    # By rank, so that bins have equal counts even where many are equally sure.
    rank = pl.int_range(pl.len())
    bins = (
        judged.sort("first_error_mass", "trace_id")
        .group_by((rank * n_bins // pl.len()).alias("bin"))
        .agg(
            n=pl.len(),
            mean_claimed=pl.col("first_error_mass").mean(),
            share_agreed=pl.col("agrees").mean(),
        )
        .sort("bin")
        .drop("bin")
    )
    return LabelAgreement(
        n_measured=labels.height,
        n_judged=judged.height,
        n_agreed=int(judged["agrees"].sum()),
        n_verified=int(labels["verified"].sum()),
        n_decided=labels["human_first_error"].count(),
        bins=tuple(ClaimBin(**row) for row in bins.iter_rows(named=True)),
    )


def _before_people(labels: pl.DataFrame) -> pl.DataFrame:
    """What rollouts said of the traces that people decided, and whether judges agreed with it.

    A decision takes the place of the first error, and leaves its probabilities as they were.
    """
    p = pl.col("p_first_error").list
    idx = p.arg_max().cast(pl.Int32)
    said = {
        "first_error": pl.when(idx < pl.col("n_steps")).then(idx).otherwise(-1),
        "first_error_mass": p.max(),
    }
    decided = pl.col("human_first_error").is_not_null()
    return labels.with_columns(
        pl.when(decided).then(before).otherwise(name).alias(name) for name, before in said.items()
    ).with_columns(agrees=pl.col("judge_first_error") == pl.col("first_error"))
