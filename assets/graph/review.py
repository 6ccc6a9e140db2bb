"""What people are asked, what they answer, and the labels with their word in them.

The surprising fact: the data goes in a circle that the graph may not. People answer the queue of
the *last* run, so decisions read that one from disk, and the new queue is made from decisions.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg
import polars as pl

from assets.metadata import counts, described, picture, sample
from assets.parquet_io import earlier_table
from assets.shards import OF_ALL, OR_EMPTY, RETRY, of_all
from assets.workspace import Workspace
from datagen.curate import kept
from datagen.pictures import label_reliability, value_by_step
from datagen.review.ask.queue import make_queue
from datagen.review.decide.adjudicate import adjudicate
from datagen.review.decide.apply import (
    apply_decisions,
    correct_tags,
    count_changes,
    without_refuted,
)
from datagen.review.decide.quality import measure_annotators, measure_reviews
from datagen.review.decide.recalibrate import recalibrate, recalibrated
from datagen.review.tools.collecting import collect_reviews
from datagen.show.samples import correction_samples

_Table = dg.Output[pl.DataFrame]


@dg.asset(group_name="review", retry_policy=RETRY)
def reviews(context: dg.AssetExecutionContext, workspace: Workspace) -> _Table:
    """What people have submitted, now and before."""
    earlier = earlier_table(workspace.out, "reviews")
    frame, problems = collect_reviews(workspace.review_tools(), earlier)
    for problem in problems:
        context.log.warning(f"{problem.where}: {problem.reason}")
    return dg.Output(
        frame,
        metadata=described(
            frame,
            *("trace_id", "annotator", "first_error", "answer_verdict", "comment"),
            annotators=counts(frame, "annotator"),
            problems=[f"{problem.where}: {problem.reason}" for problem in problems],
        ),
    )


@dg.multi_asset(
    outs={
        "decisions": dg.AssetOut(description="What people say of a trace together."),
        "annotators": dg.AssetOut(description="How far each of them can be relied on."),
    },
    group_name="review",
)
def decision_tables(workspace: Workspace, reviews: pl.DataFrame) -> tuple[_Table, _Table]:
    """Decide on the traces of the last queue that enough people have looked at."""
    settings = workspace.settings.review
    queue = earlier_table(workspace.out, "review_queue")
    decisions = adjudicate(
        reviews,
        queue,
        seniors=settings.seniors,
        min_annotators=settings.n_annotators,
        before=earlier_table(workspace.out, "decisions"),
    )
    annotators = measure_annotators(reviews, decisions, queue)
    return (
        dg.Output(
            decisions,
            metadata=described(
                decisions,
                *("trace_id", "first_error", "believed_first_error", "status", "answers"),
                statuses=counts(decisions, "status"),
                quality=_figures(measure_reviews(reviews, decisions)),
            ),
        ),
        dg.Output(
            annotators,
            metadata=described(annotators, "annotator", "n_reviews", "accuracy", "agreement"),
        ),
    )


@of_all(group_name="review", ins={"reviews": OR_EMPTY, "decisions": OR_EMPTY})
def review_queue(
    workspace: Workspace,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    critiques: pl.DataFrame,
    tags: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    corrections: pl.DataFrame,
    reviews: pl.DataFrame,
    decisions: pl.DataFrame,
) -> _Table:
    """The traces on which a minute of a person changes most labels, best first."""
    calibration = recalibrate(trace_labels, decisions)
    temperature = calibration.temperature if calibration.is_better else 1.0
    frame = make_queue(
        kept(traces, rejected_traces),
        *(step_labels, trace_labels, critiques, tags, code_thoughts, corrections),
        reviews=reviews,
        decisions=decisions,
        config=workspace.settings.review.queue_config(temperature=temperature),
    )
    return dg.Output(
        frame,
        metadata=described(
            frame,
            *("trace_id", "kind", "reason", "value", "first_error", "question"),
            reasons=counts(frame, "reason"),
            kinds=counts(frame, "kind"),
        ),
    )


@dg.asset(group_name="review", retry_policy=RETRY)
def offered(workspace: Workspace, review_queue: pl.DataFrame) -> dg.MaterializeResult[Any]:
    """The queue, put before people: in Argilla, or in files to be sent out."""
    tool = workspace.review_tool()
    pushed = tool.push(review_queue)
    n_forms = tool.offer_seeds(workspace.settings.review.n_seed_forms)
    return dg.MaterializeResult(
        metadata={**asdict(pushed), "n_seed_forms_added": n_forms, "tool": tool.name}
    )


@dg.multi_asset(
    outs={
        "reviewed_step_labels": dg.AssetOut(description="step_labels, with people's decisions."),
        "reviewed_trace_labels": dg.AssetOut(description="trace_labels, with people's decisions."),
        "reviewed_tags": dg.AssetOut(description="tags, with the factors that people named."),
        "reviewed_corrections": dg.AssetOut(
            description="corrections, without those in which people found a lasting error."
        ),
    },
    ins={"decisions": OR_EMPTY},
    group_name="review",
    **OF_ALL,
)
def reviewed_tables(
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    tags: pl.DataFrame,
    corrections: pl.DataFrame,
    decisions: pl.DataFrame,
) -> tuple[_Table, _Table, _Table, _Table]:
    """Put people's word into the labels, above all that was inferred."""
    calibration = recalibrate(trace_labels, decisions)
    beliefs, first_errors = recalibrated(step_labels, trace_labels, calibration)
    steps, labels = apply_decisions(beliefs, first_errors, decisions)
    new_tags = correct_tags(tags, decisions)
    sound = without_refuted(corrections, decisions)
    changes = count_changes(beliefs, steps)
    n_refused = corrections.height - sound.height
    return (
        dg.Output(
            steps,
            metadata=described(
                steps,
                *("text", "p_before_error", "hard_label", "label_source"),
                value_by_step=picture(value_by_step, steps, labels),
                labels=counts(steps, "label_source"),
                traces_decided=changes.n_decided,
                first_errors_changed=changes.n_first_errors,
                steps_changed=changes.n_steps,
                calibration=_figures(calibration),
            ),
        ),
        dg.Output(
            labels,
            metadata=described(
                labels,
                *("trace_id", "first_error", "human_first_error"),
                reliability=picture(label_reliability, labels, decisions),
            ),
        ),
        dg.Output(
            new_tags, metadata=described(new_tags, "text", "factor", "tagger", "needs_review")
        ),
        dg.Output(
            sound,
            metadata=described(sound, sample=sample(correction_samples, sound), refused=n_refused),
        ),
    )


def _figures(found: Any) -> dg.JsonMetadataValue:
    return dg.MetadataValue.json(asdict(found))
