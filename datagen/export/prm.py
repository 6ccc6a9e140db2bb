r"""Makes step-labelled rows for process reward models out of traces and step labels.

The surprising fact: a row ends where knowledge ends. A step without a label cannot stand between
labelled ones (trainers have no way to say "unknown"), and calling it good or bad would be a guess,
so the trace is cut before its first unlabelled step.

Labels after the first wrong step are kept as the table has them. In a measured trace all of them
are wrong; in one that is labelled by bare counts a later step may well be good again: the trace
noticed its error, or rollouts got lucky. What consumers assume differs. Math-Shepherd and trainers
of token classifiers learn every label as it stands; PRM800K and ProcessBench know only a first
error and nothing after it. For the latter use ``after_first_error="drop"``.
"""

from typing import Final, Literal, get_args

import polars as pl

from datagen.errors import ConfigError, PublishError
from schemas import Prm

AfterFirstError = Literal["keep", "drop"]
AFTER_FIRST_ERROR: Final[tuple[AfterFirstError, ...]] = get_args(AfterFirstError)

_STEP: Final = ("trace_id", "step_idx")


def export_prm(
    traces: pl.DataFrame,
    step_labels: pl.DataFrame,
    *,
    after_first_error: AfterFirstError = "keep",
) -> pl.DataFrame:
    r"""Write the labelled head of each trace, right or wrong, as one row.

    ``labels`` are the hard labels. ``step_scores`` are the expected shares of right endings: by the
    posterior where a trace was measured, else the Monte-Carlo value, or 1 and 0 where a label rests
    on the trace's outcome alone, or on people who contradict the posterior. Steps of nothing but
    white space are left out, because no token of theirs could carry a label.

    Args:
        traces: table ``traces``. Traces without a labelled first step are left out.
        step_labels: table ``step_labels``. Labels of other traces are ignored.
        after_first_error: ``keep`` every label of the head, or ``drop`` the steps that come after
            the first wrong one.

    Returns:
        Table ``prm``, ordered by seed and trace; ``id`` is the ``trace_id``. The prompt ends with
        exactly one newline, and completions end without white space: join them with a newline.

    Raises:
        ConfigError: if an option is unknown.
        PublishError: if labels are of other steps than the traces have.
    """
    if after_first_error not in AFTER_FIRST_ERROR:
        raise ConfigError(
            f"after_first_error={after_first_error!r} is unknown; "
            f"use one of {', '.join(AFTER_FIRST_ERROR)}"
        )
    steps = explode_steps(traces)
    refuse_other_steps(step_labels.join(traces, on="trace_id", how="semi"), steps)
    text, is_good = pl.col("text").str.strip_chars_end(), pl.col("hard_label")
    n_unknown = is_good.is_null().cum_sum().over("trace_id")
    n_errors_before = (~is_good).cast(pl.Int32).cum_sum().shift(1, fill_value=0).over("trace_id")
    head = (
        steps.join(
            step_labels.select(*_STEP, "hard_label", "value", "mc_value", "label_source"),
            on=_STEP,
            how="left",
            maintain_order="left",
        )
        .with_columns(text)
        .filter(pl.col("text") != "")
        .filter(n_unknown == 0)
        .filter(after_first_error == "keep" or n_errors_before == 0)
    )
    counted = pl.when(pl.col("label_source") != "human").then("mc_value")
    rows = head.group_by("seed_id", "trace_id", maintain_order=True).agg(
        pl.col("text").alias("completions"),
        is_good.alias("labels"),
        pl.coalesce("value", counted, is_good.cast(pl.Float64))
        .cast(pl.Float32)
        .alias("step_scores"),
    )
    prompt = pl.col("question").str.strip_chars_end() + "\n"
    return Prm.validate(
        rows.join(
            traces.select("trace_id", prompt.alias("prompt")),
            on="trace_id",
            maintain_order="left",
        ).select(
            *("prompt", "completions", "labels"),
            pl.col("trace_id").alias("id"),
            *("seed_id", "step_scores"),
        )
    )


def explode_steps(traces: pl.DataFrame) -> pl.DataFrame:
    """One row per step: ``seed_id``, ``trace_id``, ``step_idx``, ``text``, in this order."""
    step_idx = pl.int_ranges(0, pl.col("steps").list.len(), dtype=pl.Int32)
    return (
        traces.filter(pl.col("steps").list.len() > 0)
        .select("seed_id", "trace_id", step_idx.alias("step_idx"), pl.col("steps").alias("text"))
        .sort("seed_id", "trace_id")
        .explode("step_idx", "text")
    )


def refuse_other_steps(step_labels: pl.DataFrame, steps: pl.DataFrame) -> None:
    """Raise if a label is not of the step that its trace has at that place.

    Tables of two different runs would otherwise join without a word, into wrong labels.
    """
    found = step_labels.select(*_STEP, "text").join(
        steps.select(*_STEP, actual="text"), on=_STEP, how="left"
    )
    strays = found.filter(pl.col("text").ne_missing(pl.col("actual"))).sort(*_STEP)
    if strays.height:
        first = strays.row(0, named=True)
        raise PublishError(
            f"{strays.height} of {step_labels.height} step labels are of steps that the traces do "
            f"not have, first: trace_id={first['trace_id']!r} step_idx={first['step_idx']!r} "
            f"text={first['text'][:40]!r}; make step_labels anew from these traces"
        )
