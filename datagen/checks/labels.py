"""Checks of the labels: do judges agree, and are labels as good as those of other shards?

The surprising fact: calibration is compared with that of accepted shards, and not with the truth.
How often judges agree with a first error that rollouts are 0.95 sure of depends on judges and model
as much as on the rollouts, and is no failure at 0.8. That it was 0.8 in all shards so far and is
0.5 in this one says that something has changed.

At this point no person has looked at the shard. What people say is measured and put right later, by
:mod:`datagen.review.decide.recalibrate`.
"""

from dataclasses import replace
from math import sqrt
from typing import Final

import polars as pl

from datagen.checks.finding import Figure, Finding
from datagen.checks.shares import Share, at_least
from datagen.report.labels import MASSES
from datagen.report.numbers import share as percent

_MIN_QUESTIONS: Final = 20
"""Judged questions of a shard, below which a difference is no news."""

_MIN_HISTORY: Final = 50
"""The same of all accepted shards together."""

_PRIOR: Final = 20.0
"""Traces' worth of the history as a whole that each bin of it is drawn towards."""

_Z: Final = 1.96
"""Of the standard normal, at 95 %, since a shard may differ either way."""


def agreement(trace_labels: pl.DataFrame, *, min_share: float) -> Finding:
    """Whether judges and rollouts name the same first errors.

    Wrong traces and right ones are held to the limit each by itself: a judge that never finds an
    error agrees about nearly all right traces, and one that always does about many wrong ones.

    Args:
        trace_labels: table ``trace_labels``; ``seed_id``, ``outcome`` and ``agrees`` are read.
        min_share: of the traces of which the judges came to a verdict.
    """
    judged = trace_labels.filter(pl.col("agrees").is_not_null())
    kinds = {
        name: judged.filter(pl.col("outcome") == outcome)
        for name, outcome in (("wrong", "wrong"), ("right", "correct"))
    }
    findings = [
        at_least(
            "agreement",
            Share.by_question(own, pl.col("agrees")),
            min_share,
            what=f"of the first errors of {own.height:,} {kind} traces with a verdict are those "
            "that the judges name",
            setting="checks.min_agreement",
            fix="see table critiques: either the judge is too weak (engine.model, "
            "labels.n_critiques), or the rollouts say too little (labels.max_rollouts)",
        )
        for kind, own in kinds.items()
    ]
    worse = min(findings, key=lambda finding: finding.passed)
    figures: dict[str, Figure] = {"measured": trace_labels.height, "limit": min_share}
    for (kind, own), finding in zip(kinds.items(), findings, strict=True):
        figures |= {kind: finding.figures["share"], f"{kind}_judged": own.height}
    return replace(worse, figures=figures)


def calibration(trace_labels: pl.DataFrame, accepted: pl.DataFrame, *, max_drift: float) -> Finding:
    """Whether equally sure first errors are agreed with as often as in the accepted shards.

    Traces are put in bins by the probability of their first error. The share of each bin that
    judges agreed with in the accepted shards is what is expected of this shard's traces in it; the
    drift is the mean of what came, less what was expected. It counts beyond its 95 % interval, in
    which each question is one toss (see :mod:`datagen.checks.shares`).

    Args:
        trace_labels: table ``trace_labels``; ``seed_id``, ``first_error_mass`` and ``agrees`` are
            read.
        accepted: the same of the other shards that are accepted.
        max_drift: of the shares, in either direction.
    """
    own, others = (_judged(table) for table in (trace_labels, accepted))
    n, n_others = own["seed_id"].n_unique(), others["seed_id"].n_unique()
    claimed = {
        "claimed": _mean(own["first_error_mass"]),
        "agreed": _mean(own["agrees"]),
        "questions": n,
        "accepted_questions": n_others,
    }
    if n < _MIN_QUESTIONS or n_others < _MIN_HISTORY:
        detail = (
            f"not compared: {n:,} questions have judged traces and {n_others:,} in accepted shards "
            f"do; {_MIN_QUESTIONS} and {_MIN_HISTORY} are needed"
        )
        return Finding("calibration", True, detail, claimed)
    level = _mean(others["agrees"])
    usual = others.group_by("place").agg(
        expected=(pl.col("agrees").sum() + _PRIOR * level) / (pl.len() + _PRIOR)
    )
    means = (
        own.join(usual, on="place", how="left")
        .with_columns(pl.col("expected").fill_null(level))
        .group_by("seed_id", maintain_order=True)
        .agg(pl.col("agrees", "expected").mean())
    )
    agreed, expected = _mean(means["agrees"]), _mean(means["expected"])
    drift = agreed - expected
    chance = _Z * sqrt(expected * (1 - expected) * (1 / n + 1 / n_others))
    passed = abs(drift) - chance <= max_drift
    detail = (
        f"judges agree with {percent(agreed)} of the first errors, and did with "
        f"{percent(expected)} of equally sure ones in accepted shards; they may differ by "
        f"{percent(max_drift)} (checks.max_drift), and by {percent(chance)} by chance"
    )
    if not passed:
        detail += (
            ": see whether model, judges, prompts or labels.* have changed, or these questions are "
            "of another kind; have some traces reviewed before you trust first_error_mass"
        )
    figures = {**claimed, "expected": expected, "drift": drift, "chance": chance}
    return Finding("calibration", passed, detail, {**figures, "limit": max_drift})


def _judged(trace_labels: pl.DataFrame) -> pl.DataFrame:
    """Those with a verdict, and the bin of their probability."""
    judged = trace_labels.filter(pl.col("agrees").is_not_null())
    bins = [(pl.col("first_error_mass") >= low).cast(pl.Int64) for low in MASSES]
    return judged.select(
        "seed_id", "first_error_mass", pl.col("agrees").cast(pl.Float64), place=sum(bins)
    )


def _mean(values: pl.Series) -> float:
    return float(values.mean() or 0.0)  # pyright: ignore[reportArgumentType]
