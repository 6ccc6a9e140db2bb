"""What is left out of the datasets, and in which split the rest goes."""

import dagster as dg
import polars as pl

from assets.metadata import counts, described, picture
from assets.shards import by_shard
from assets.workspace import Workspace
from datagen.curate import curate_questions_by_difficulty, curate_traces, describe_questions
from datagen.pictures import pass_rate_histogram


@by_shard(group_name="curation")
def questions(
    workspace: Workspace,
    seeds: pl.DataFrame,
    code_seeds: pl.DataFrame,
    code_tasks: pl.DataFrame,
    rollouts: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Every question with its split, and how hard it turned out to be."""
    config = workspace.settings.curation.curate_config()
    frame = describe_questions(seeds, code_seeds, code_tasks, rollouts, config=config)
    return dg.Output(
        frame,
        metadata=described(
            frame,
            "question_id",
            "split",
            "difficulty",
            pass_rates=picture(pass_rate_histogram, frame),
            splits=counts(frame, "split"),
            difficulties=counts(frame, "difficulty"),
        ),
    )


@by_shard(group_name="curation")
def rejected_traces(workspace: Workspace, traces: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Traces that say what another one of the same question says, and the like."""
    frame = curate_traces(traces, config=workspace.settings.curation.curate_config())
    return dg.Output(
        frame, metadata=described(frame, "id", "rule", "other", rules=counts(frame, "rule"))
    )


@by_shard(group_name="curation")
def rejected_by_difficulty(
    workspace: Workspace, questions: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Questions too easy or too hard for ``rl``, if the settings say so."""
    config = workspace.settings.curation.curate_config()
    frame = curate_questions_by_difficulty(questions, config=config)
    return dg.Output(frame, metadata=described(frame, "id", "reason", "score"))
