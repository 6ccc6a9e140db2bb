"""Makes per-step rewards for reinforcement learning: what each step changed the value by.

The surprising fact: steps of white space stay, which ``prm`` leaves out. There a label needs words
to stand on; here what is rewarded is the action, the thought factor, and its tag has tokens.
"""

from typing import Final

import polars as pl

from datagen.errors import ConfigError
from datagen.export.pits import first_pits
from datagen.export.prm import explode_steps, refuse_other_steps
from schemas import Advantage

_MEASURED: Final = "posterior"
_RUN: Final = "execution"
_PEOPLE: Final = "human"
_STEP: Final = ("trace_id", "step_idx")
_KNOWN: Final = (
    *("label_source", "hard_label", "n_trials", "mc_value"),
    *("value", "advantage", "prover_advantage"),
)


def export_advantages(
    traces: pl.DataFrame,
    questions: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    *,
    min_trials: int = 1,
    min_mass: float = 0.5,
) -> pl.DataFrame:
    """Write one row for each trace of which more is known than how it ended.

    Those are the measured traces, the ones with a rollout from any of their steps, thoughts about
    code that a run has checked, and what people have reviewed. V_k is the value after step k by the
    posterior, else the share of right rollouts; after the last step, how the trace ended.
    A_k = V_k - V_{k-1}, and before the first step stands the solve rate of the question: the
    posterior's, else its pass rate.

    Args:
        traces: table ``traces``.
        questions: table ``questions``, for the pass rates.
        step_labels: table ``step_labels``. Labels of other traces are ignored.
        trace_labels: table ``trace_labels``. The same holds.
        min_trials: fewest rollouts whose share of right ones is taken for a value.
        min_mass: see :func:`~datagen.export.pits.first_pits`, as for ``pit``.

    Returns:
        Table ``advantages``, ordered by seed and trace; ``id`` is the ``trace_id``. An unknown
        value is null, and so is each advantage on either side of it.

    Raises:
        ConfigError: if an option is out of range.
        PublishError: if labels are of other steps than the traces have.
    """
    if min_trials < 1:
        raise ConfigError(f"min_trials={min_trials!r} must be at least 1")
    labels = step_labels.join(traces, on="trace_id", how="semi")
    all_steps = explode_steps(traces)
    refuse_other_steps(labels, all_steps)
    steps = (
        all_steps.join(
            labels.select(*_STEP, *_KNOWN),
            on=_STEP,
            how="left",
            maintain_order="left",
        )
        .join(
            traces.select("trace_id", "outcome"), on="trace_id", how="left", maintain_order="left"
        )
        .join(
            questions.select(pl.col("question_id").alias("seed_id"), "pass_rate"),
            on="seed_id",
            how="left",
            maintain_order="left",
        )
    )
    is_last = pl.col("step_idx") == pl.col("step_idx").max().over("trace_id")
    # A trace may end right in spite of an error that people found.
    source = pl.col("label_source")
    ending = (
        pl.when(is_last & (source == "outcome"))
        .then(pl.col("hard_label").cast(pl.Float64))
        .when(is_last & (source == _PEOPLE) & pl.col("outcome").is_in(["correct", "wrong"]))
        .then((pl.col("outcome") == "correct").cast(pl.Float64))
    )
    is_counted = pl.col("n_trials") >= min_trials
    v = pl.coalesce("value", ending, pl.when(is_counted).then("mc_value"))
    before = v.shift(1).over("trace_id")
    root = pl.when(pl.col("step_idx") == 0).then("pass_rate")
    rows = (
        steps.with_columns(
            v.alias("v"), pl.coalesce("advantage", v - pl.coalesce(before, root)).alias("a")
        )
        .group_by("seed_id", "trace_id", maintain_order=True)
        .agg(
            pl.col("text").str.strip_chars_end().alias("completions"),
            pl.col("v").cast(pl.Float32).alias("values"),
            pl.col("a").cast(pl.Float32).alias("advantages"),
            pl.col("prover_advantage").cast(pl.Float32).alias("prover_advantages"),
            (source == _MEASURED).any().alias("is_measured"),
            (source == _RUN).any().alias("is_run"),
            (source == _PEOPLE).any().alias("is_reviewed"),
            is_counted.any().alias("is_counted"),
        )
        .filter(pl.any_horizontal("is_measured", "is_run", "is_reviewed", "is_counted"))
    )
    pits = first_pits(traces, step_labels, trace_labels, min_mass=min_mass)
    return Advantage.validate(
        rows.join(
            traces.select("trace_id", "question", "factors", "outcome"),
            on="trace_id",
            maintain_order="left",
        )
        .join(pits, on="trace_id", maintain_order="left")
        .select(
            pl.col("trace_id").alias("id"),
            "seed_id",
            (pl.col("question").str.strip_chars_end() + "\n").alias("prompt"),
            *("completions", "factors", "values", "advantages", "prover_advantages"),
            *("pit", "outcome"),
            pl.when("is_reviewed")
            .then(pl.lit(_PEOPLE))
            .when("is_measured")
            .then(pl.lit(_MEASURED))
            .when("is_run")
            .then(pl.lit(_RUN))
            .otherwise(pl.lit("rollouts"))
            .alias("label_source"),
        )
    )
