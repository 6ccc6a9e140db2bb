"""First pits: the step of a wrong trace after which it was lost (Setlur et al. 2024, per-step DPO).

Setlur et al. (arXiv 2406.14532) call the first step of a wrong reply whose advantage is clearly
low, so that rollouts from it hardly ever end right, its first pit; the steps before it are not to
blame. The surprising fact: most wrong traces of a run have no pit here. A few rollouts that all
fail look like a pit and are mostly bad luck, so what is not known stays unknown.
"""

from typing import Final

import polars as pl

from datagen.export.prm import explode_steps, refuse_other_steps
from datagen.verify import Outcome

_LOST: Final = 0.05
"""A state is lost whose expected share of right endings is at most this."""

_CLEAR_FALL: Final = 0.25
"""Least fall of the value in one step that singles this step out."""


def first_pits(
    traces: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    *,
    min_mass: float = 0.5,
) -> pl.DataFrame:
    """Find where each wrong trace was lost, if that is known.

    The first of these that applies:

    1. A run of the program contradicts a step (label source ``execution``), or people call it wrong
       (``human``): that step.
    2. The trace was measured, and its first error is ``verified`` or has ``min_mass``: that step.
    3. The first step by which the value falls clearly to nothing. Of measured steps: to 0.05 or
       less, by 0.25 or more. Of counted ones: it is labelled wrong, and the Wilson interval of its
       value lies below that of the step before.

    Args:
        traces: table ``traces``.
        step_labels: table ``step_labels``. Labels of other traces are ignored.
        trace_labels: table ``trace_labels``. The same holds.
        min_mass: least probability of a first error on which rollouts and judges do not agree.

    Returns:
        ``trace_id`` and ``pit`` (int32, 0-based index of the step) of all ``traces``, in their
        order; -1 where the trace is not wrong, or nobody knows.

    Raises:
        PublishError: if labels are of other steps than the traces have.
    """
    wrong = traces.filter(pl.col("outcome") == Outcome.WRONG.value)
    steps = step_labels.join(wrong, on="trace_id", how="semi").sort("trace_id", "step_idx")
    refuse_other_steps(steps, explode_steps(wrong))
    is_bad = pl.col("hard_label").eq_missing(pl.lit(False))
    before = pl.col("wilson_low").shift(1)  # within the trace, since groups are aggregated below
    contradicted = is_bad & pl.col("label_source").is_in(["execution", "human"])
    fell = (pl.col("value") <= _LOST) & (pl.col("advantage") <= -_CLEAR_FALL)
    failed = is_bad & (pl.col("label_source") == "rollouts") & (pl.col("wilson_high") < before)
    step_idx = pl.col("step_idx")
    seen = steps.group_by("trace_id").agg(
        step_idx.filter(contradicted).min().alias("contradicted"),
        step_idx.filter(fell | failed).min().alias("fallen"),
    )
    found = (
        wrong.select("trace_id")
        .join(seen, on="trace_id", how="left")
        .join(localised(trace_labels, min_mass=min_mass), on="trace_id", how="left")
        .select("trace_id", pl.coalesce("contradicted", "first_error", "fallen").alias("pit"))
    )
    return (
        traces.select("trace_id")
        .join(found, on="trace_id", how="left", maintain_order="left")
        .with_columns(pl.col("pit").cast(pl.Int32).fill_null(-1))
    )


def localised(trace_labels: pl.DataFrame, *, min_mass: float) -> pl.DataFrame:
    """``trace_id`` and ``first_error`` of the traces whose first error is known well enough."""
    sure = pl.col("verified") | (pl.col("first_error_mass") >= min_mass)
    return trace_labels.filter(pl.col("first_error") >= 0, sure).select("trace_id", "first_error")
