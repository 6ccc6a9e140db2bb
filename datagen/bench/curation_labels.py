"""What a made-up run knows of its steps: tags, labels and critiques.

The surprising fact: the labels are those of traces whose first error is known, with noise. So every
export finds rows of each kind: sure ones and doubtful ones, measured ones and counted ones.
"""

from typing import Final

import numpy as np
import polars as pl

from datagen.bench.curation_traces import ENGINE, hex_ids
from datagen.factors.taxonomy import TAXONOMY_VERSION
from schemas import Critique, StepLabel, Tag, Trace, TraceLabel

_MASS: Final = 0.92
"""Probability that the posterior gives to the first error."""


def label_tables(traces: pl.DataFrame, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Tables ``tags``, ``measured_traces``, ``step_labels``, ``trace_labels``, ``critiques``.

    Args:
        traces: what :func:`~datagen.bench.curation_traces.make_traces` made.
        rng: what chooses.
    """
    place = pl.int_range(pl.len()).over("seed_id", "outcome")
    decided = traces.filter(
        pl.col("provenance") == "model", pl.col("outcome").is_in(["correct", "wrong"])
    )
    measured = decided.filter(place < pl.when(pl.col("outcome") == "wrong").then(2).otherwise(1))
    steps = traces.select(
        *("trace_id", "seed_id", "outcome", "provenance", "first_error"),
        pl.col("trace_id").is_in(measured["trace_id"].implode()).alias("measured"),
        pl.int_ranges(0, pl.col("steps").list.len(), dtype=pl.Int32).alias("step_idx"),
        pl.col("steps").list.len().cast(pl.Int32).alias("n_steps"),
        pl.col("steps").alias("text"),
        pl.col("factors").alias("factor"),
        "step_source",
    ).explode("step_idx", "text", "factor", "step_source")
    own = steps.filter("measured")
    labels = _trace_labels(own, rng)
    return {
        "measured_traces": Trace.validate(measured.select(Trace.column_names())),
        "tags": _tags(steps, rng),
        "step_labels": _step_labels(steps, rng),
        "trace_labels": labels,
        "critiques": _critiques(own, labels, rng),
    }


def _tags(steps: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    sure = pl.Series("probability", 0.4 + 0.6 * rng.random(steps.height))
    return Tag.validate(
        steps.with_columns(sure).select(
            *("trace_id", "seed_id", "step_idx", "text", "factor", "probability"),
            runner_up=pl.lit("Deduce"),
            tagger=pl.lit("classifier"),
            needs_review=pl.col("probability") < 0.45,
            depends_on=pl.concat_list(pl.col("step_idx") - 1),
            taxonomy=pl.lit(TAXONOMY_VERSION),
        )
    )


def _step_labels(steps: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    n = steps.height
    measured = steps["measured"].to_numpy()
    good = (steps["first_error"] < 0).to_numpy() | (
        steps["step_idx"] < steps["first_error"]
    ).to_numpy()
    trials = np.where(measured, rng.integers(5, size=n), np.where(rng.random(n) < 0.15, 4, 0))
    successes = rng.binomial(trials, np.where(good, 0.8, 0.02))
    mean, low, high = _wilson(successes, trials)
    before_error = np.where(good, 0.9 + 0.1 * rng.random(n), 0.05 * rng.random(n))
    value = before_error * (0.6 + 0.3 * rng.random(n))
    previous = np.where(steps["step_idx"].to_numpy() == 0, 0.5, np.roll(value, 1))
    right = (steps["outcome"] == "correct").to_numpy()
    ends_wrong = (steps["outcome"] == "wrong").to_numpy() & (
        steps["step_idx"] == steps["n_steps"] - 1
    ).to_numpy()
    source = np.select(
        [measured, trials > 0, right | ends_wrong], ["posterior", "rollouts", "outcome"], "none"
    )
    label = np.select([measured, trials > 0], [good, successes > 0], right)
    posterior = {
        "surprisal": rng.exponential(1.0, size=n),
        "action_surprisal": rng.exponential(0.5, size=n),
        "p_before_error": before_error,
        "value": value,
        "advantage": value - previous,
        "prover_advantage": (value - previous) / 2,
        "relative_progress": value / previous,
        "confidence": np.maximum(before_error, 1 - before_error),
    }
    counted = {"mc_value": mean, "wilson_low": low, "wilson_high": high}
    return StepLabel.validate(
        steps.select(
            *("trace_id", "seed_id", "step_idx", "factor", "text", "provenance", "step_source"),
            pl.Series("n_trials", trials),
            pl.Series("n_successes", successes),
            *(_only(name, column, trials > 0) for name, column in counted.items()),
            *(_only(name, column, measured) for name, column in posterior.items()),
            _only("hard_label", label, source != "none"),
            pl.Series("label_source", source),
        )
    )


def _only(name: str, values: np.ndarray, where: np.ndarray) -> pl.Series:
    """A column that is null elsewhere."""
    return pl.Series(name, values).set(pl.Series(~where), None)


def _wilson(k: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share, and the two ends of its 95 % interval."""
    z, m = 1.96, np.maximum(n, 1)
    p = k / m
    middle = (p + z**2 / (2 * m)) / (1 + z**2 / m)
    half = z * np.sqrt(p * (1 - p) / m + z**2 / (4 * m**2)) / (1 + z**2 / m)
    return p, np.clip(middle - half, 0, p), np.clip(middle + half, p, 1)


def _trace_labels(own: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One row per measured trace; a judge errs in one of ten, and cannot tell in another."""
    first, n_steps = pl.col("first_error"), pl.col("n_steps")
    entry = pl.when(first < 0).then(n_steps).otherwise(first)
    frame = own.unique("trace_id", keep="first", maintain_order=True)
    place = pl.int_ranges(0, n_steps + 1)
    p = (
        frame.select("trace_id", entry.alias("entry"), "n_steps", place.alias("place"))
        .explode("place")
        .group_by("trace_id", maintain_order=True)
        .agg(
            pl.when(pl.col("place") == pl.col("entry"))
            .then(_MASS)
            .otherwise((1 - _MASS) / n_steps)
            .alias("p_first_error")
        )
    )
    luck = pl.Series("luck", rng.random(frame.height))
    other = pl.when(first == 0).then(1).otherwise(0)
    judged = pl.when(pl.col("luck") < 0.8).then(first).when(pl.col("luck") < 0.9).then(other)
    return TraceLabel.validate(
        frame.join(p, on="trace_id", maintain_order="left")
        .with_columns(luck)
        .with_columns(judged.cast(pl.Int32).alias("judge_first_error"))
        .with_columns((pl.col("judge_first_error") == first).alias("agrees"))
        .with_columns(pl.col("agrees").fill_null(False).alias("verified"))
        .select(
            *("trace_id", "seed_id", "outcome", "n_steps"),
            pl.lit(4, pl.Int64).alias("n_rollouts"),
            pl.lit(90, pl.Int64).alias("n_tokens"),
            "first_error",
            pl.lit(_MASS).alias("first_error_mass"),
            pl.col("p_first_error").list.get(-1).alias("no_error_mass"),
            "p_first_error",
            "judge_first_error",
            pl.when(pl.col("judge_first_error").is_not_null()).then(1.0).alias("judge_share"),
            pl.lit(2, pl.Int64).alias("n_votes"),
            "agrees",
            "verified",
            pl.when(~pl.col("verified"))
            .then((~pl.col("verified")).cum_sum() - 1)
            .cast(pl.Int32)
            .alias("review_rank"),
            human_first_error=None,
            n_reviews=None,
        )
    )


def _critiques(own: pl.DataFrame, labels: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One critique of each measured trace, by a model; it says what the judges say."""
    first = pl.col("judge_first_error")
    read = own.join(
        labels.select("trace_id", "judge_first_error"), on="trace_id", maintain_order="left"
    ).filter((first < 0) | first.is_null() | (pl.col("step_idx") <= first))
    is_wrong = pl.col("step_idx") == first
    remark = pl.struct(
        "step_idx",
        pl.format('"{}" is looked at', "text").alias("analysis"),
        pl.when(is_wrong).then(pl.lit("wrong")).otherwise(pl.lit("holds")).alias("verdict"),
    )
    found = read.group_by("trace_id", maintain_order=True).agg(
        pl.col("seed_id").first(),
        first.first().alias("first_error"),
        remark.alias("remarks"),
        pl.col("text").filter(is_wrong.fill_null(False)).first().fill_null("").alias("quote"),
    )
    return Critique.validate(
        found.with_columns(
            pl.lit("native_critique").alias("judge"),
            pl.lit(0, pl.Int32).alias("vote_idx"),
            pl.lit("the result is wrong").alias("reason"),
            pl.lit("as remarked").alias("text"),
            pl.lit(120, pl.Int64).alias("n_tokens"),
            hex_ids(found.height, rng, digits=32).alias("completion_key"),
            pl.lit(ENGINE).alias("engine"),
        )
    )
