"""People's decisions, put into the labels: people before consensus, consensus before posterior.

Rows of other traces stay as they are, to the bit. In a decided trace what was measured stays as
well, the counts, the surprisal and the posterior over first errors; what follows from a belief that
people have refuted goes: a value computed with another first error is no value.
"""

from dataclasses import dataclass

import polars as pl

from schemas import StepLabel, Tag, TraceLabel


@dataclass(frozen=True, slots=True)
class Changes:
    """What decisions did to the labels.

    Attributes:
        n_decided: traces whose labels are people's.
        n_first_errors: traces among them that have another first error than before; where nobody
            knew one before, that is a change too.
        n_steps: steps whose hard label is another one.
        trace_ids: the traces with any such step, sorted.
        n_elsewhere: steps of undecided traces that differ in any column, or that only one of the
            tables has; never anything but 0.
    """

    n_decided: int
    n_first_errors: int
    n_steps: int
    trace_ids: tuple[str, ...]
    n_elsewhere: int


def settled(decisions: pl.DataFrame) -> pl.DataFrame:
    """The decisions that change labels: neither disputes nor traps."""
    return decisions.filter(pl.col("status") == "decided", pl.col("trap_first_error").is_null())


def apply_decisions(
    step_labels: pl.DataFrame, trace_labels: pl.DataFrame, decisions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the decided traces the first errors that people found.

    Args:
        step_labels: table ``step_labels``, before any decision.
        trace_labels: table ``trace_labels``, likewise.
        decisions: table ``decisions``. Those about traces without labels, such as corrections,
            change nothing here.

    Returns:
        Both tables in the same order. Steps of decided traces have the source ``human``, and a hard
        label each; the decided traces that were measured are verified.
    """
    people = settled(decisions).select(
        "trace_id", pl.col("first_error").alias("people"), pl.col("n_reviews").alias("people_n")
    )
    return _steps(step_labels, people), _traces(trace_labels, people)


def _steps(step_labels: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    said, idx, before = pl.col("people"), pl.col("step_idx"), pl.col("hard_label")
    decided = said.is_not_null()
    believed = idx.filter(before == False).min().over("trace_id").fill_null(-1)  # noqa: E712 # nulls
    is_good = (said < 0) | (idx < said)
    refuted = decided & (believed != said)
    valued = ("value", "advantage", "prover_advantage", "relative_progress")
    return StepLabel.validate(
        step_labels.join(people, on="trace_id", how="left", maintain_order="left")
        .with_columns(
            *(pl.when(~refuted.fill_null(False)).then(name).alias(name) for name in valued),
            pl.when(~decided).then("confidence").alias("confidence"),
            pl.when(decided)
            .then(is_good.cast(pl.Float64))
            .otherwise("p_before_error")
            .alias("p_before_error"),
            pl.when(decided).then(is_good).otherwise("hard_label").alias("hard_label"),
            pl.when(decided).then(pl.lit("human")).otherwise("label_source").alias("label_source"),
        )
        .drop("people", "people_n")
    )


def _traces(trace_labels: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    said = pl.col("people")
    first = pl.coalesce("people", "first_error")
    mass = pl.col("p_first_error").list.get(first, null_on_oob=True)
    return TraceLabel.validate(
        trace_labels.join(people, on="trace_id", how="left", maintain_order="left")
        .with_columns(
            first_error=first,
            first_error_mass=pl.when(said.is_null()).then("first_error_mass").otherwise(mass),
            agrees=pl.when(said.is_null())
            .then("agrees")
            .otherwise(pl.col("judge_first_error") == said),
            verified=pl.col("verified") | said.is_not_null(),
            review_rank=pl.when(said.is_null()).then("review_rank"),
            human_first_error=pl.coalesce("people", "human_first_error"),
            n_reviews=pl.coalesce("people_n", "n_reviews"),
        )
        .drop("people", "people_n")
    )


def count_changes(before: pl.DataFrame, after: pl.DataFrame) -> Changes:
    """Compare two tables ``step_labels`` of the same steps.

    Args:
        before: as the pipeline made it, recalibrated if ``after`` is.
        after: with decisions applied.
    """
    keys = ["trace_id", "step_idx"]
    decided = (pl.col("label_source_after") == "human").fill_null(False)
    others = [name for name in before.columns if name not in keys]
    both = before.join(after, on=keys, how="full", coalesce=True, suffix="_after")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_after")) for name in others)
    idx = pl.col("step_idx")
    traces = (
        both.filter(decided)
        .group_by("trace_id")
        .agg(
            was=idx.filter(pl.col("hard_label") == False).min().fill_null(-1),  # noqa: E712
            known=pl.col("hard_label").is_not_null().all(),
            now=idx.filter(~pl.col("hard_label_after")).min().fill_null(-1),
            n_steps=pl.col("hard_label").ne_missing(pl.col("hard_label_after")).sum(),
        )
    )
    changed = traces.filter(pl.col("n_steps") > 0)["trace_id"].sort()
    # Without a wrong step and with unknown ones, nobody knew of a first error, nor of none.
    other = (pl.col("was") != pl.col("now")) | (~pl.col("known") & (pl.col("was") < 0))
    return Changes(
        n_decided=traces.height,
        n_first_errors=traces.filter(other).height,
        n_steps=int(traces["n_steps"].sum()),
        trace_ids=tuple(changed),
        n_elsewhere=both.filter(~decided & ~same).height,
    )


def decided_by_people(step_labels: pl.DataFrame) -> pl.Series:
    """Ids of the traces whose labels are people's."""
    own = step_labels.filter(pl.col("label_source") == "human")
    return own["trace_id"].unique(maintain_order=True)


def correct_tags(tags: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Table ``tags`` with the thought factors that people named.

    Args:
        tags: table ``tags``.
        decisions: table ``decisions``. Factors of steps that have no tag are ignored.
    """
    named = (
        settled(decisions)
        .select("trace_id", "factors")
        .explode("factors")
        .drop_nulls("factors")
        .unnest("factors")
        .rename({"factor": "named"})
    )
    said = pl.col("named").is_not_null()
    return Tag.validate(
        tags.join(named, on=["trace_id", "step_idx"], how="left", maintain_order="left")
        .with_columns(
            factor=pl.coalesce("named", "factor"),
            probability=pl.when(said).then(1.0).otherwise("probability"),
            runner_up=pl.when(~said).then("runner_up"),
            tagger=pl.when(said).then(pl.lit("human")).otherwise("tagger"),
            needs_review=pl.col("needs_review") & ~said,
        )
        .drop("named")
    )


def without_refuted(traces: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Traces without the right ones in which people found an error that stays, or a wrong answer.

    They are examples of nothing. Wrong traces stay: people have but said where they go wrong.

    Args:
        traces: table ``traces`` or ``corrections``.
        decisions: table ``decisions``.
    """
    bad = settled(decisions).filter(
        (pl.col("first_error") >= 0) | (pl.col("answer_verdict") == "wrong")
    )
    is_refuted = pl.col("trace_id").is_in(bad["trace_id"].implode())
    return traces.filter(~is_refuted | (pl.col("outcome") != "correct"))
