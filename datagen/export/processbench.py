"""Makes rows of ProcessBench (Zheng et al. 2024, arXiv 2412.06559), to measure step judges on.

The surprising fact: a step may be wrong before the wrong step that is known. So a first error
counts only if people decided so, if two kinds of evidence agree on it, rollouts and judges, or if a
run of the program contradicts it and no step before it is left undecided.
"""

import polars as pl

from datagen.export.prm import explode_steps, refuse_other_steps
from schemas import ProcessBench


def export_processbench(
    traces: pl.DataFrame, step_labels: pl.DataFrame, trace_labels: pl.DataFrame
) -> pl.DataFrame:
    """Write each trace whose first wrong step, or lack of one, is known for sure.

    Left out are traces that could not be judged, and wrong ones without a known wrong step. One
    that ends right in spite of an error stays. Unlike in ``prm``, a row has all steps of its trace,
    but for those of white space, which are not counted.

    Args:
        traces: table ``traces``.
        step_labels: table ``step_labels``, for what runs and people say. Labels of other traces are
            ignored.
        trace_labels: table ``trace_labels``, for what is verified. The same holds.

    Returns:
        Table ``processbench``, ordered by seed and trace; ``id`` is the ``trace_id``.

    Raises:
        PublishError: if labels are of other steps than the traces have.
    """
    agreed = trace_labels.filter("verified").select("trace_id", "first_error")
    decided = pl.col("label_source").is_in(["execution", "human"])
    run = step_labels.filter(decided).select("trace_id")
    judged = traces.filter(pl.col("outcome").is_in(["correct", "wrong"])).join(
        pl.concat([agreed.select("trace_id"), run]), on="trace_id", how="semi"
    )
    steps = explode_steps(judged)
    labels = step_labels.join(judged, on="trace_id", how="semi")
    refuse_other_steps(labels, steps)
    said = steps.with_columns(pl.col("text").str.strip_chars_end()).filter(pl.col("text") != "")
    # These traces were agreed upon or run: what the first part lacks is for a run or people to say.
    known = pl.concat([agreed, _shown(said, labels)]).unique(
        "trace_id", keep="first", maintain_order=True
    )
    first_error, place = pl.col("first_error"), pl.int_range(pl.len(), dtype=pl.Int64)
    rows = (
        said.join(known, on="trace_id", maintain_order="left")
        .group_by("seed_id", "trace_id", maintain_order=True)
        .agg(
            pl.col("text").alias("steps"),
            place.filter(pl.col("step_idx") == first_error).first().alias("wrong"),
            first_error.first(),
        )
        .join(judged.drop("seed_id", "steps"), on="trace_id", maintain_order="left")
    )
    is_right = pl.col("outcome") == "correct"
    return ProcessBench.validate(
        rows.filter(pl.col("wrong").is_not_null() | (is_right & (first_error < 0))).select(
            pl.col("trace_id").alias("id"),
            pl.coalesce("engine", "provenance").alias("generator"),
            pl.col("question").alias("problem"),
            "steps",
            is_right.alias("final_answer_correct"),
            pl.col("wrong").fill_null(-1).alias("label"),
            "seed_id",
        )
    )


def _shown(steps: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """``trace_id``, ``first_error`` where every step is labelled, or all up to a wrong one."""
    is_good, at = pl.col("hard_label"), pl.col("step_idx")
    return (
        steps.join(
            labels.select("trace_id", "step_idx", "hard_label"),
            on=["trace_id", "step_idx"],
            how="left",
        )
        .group_by("trace_id")
        .agg(
            at.filter(is_good.is_null()).min().alias("unknown"),
            at.filter(~is_good).min().alias("wrong"),
        )
        .filter(pl.col("unknown").is_null() | (pl.col("wrong") < pl.col("unknown")))
        .select("trace_id", pl.col("wrong").fill_null(-1).alias("first_error"))
    )
