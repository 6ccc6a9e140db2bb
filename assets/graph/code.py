"""From programs to thoughts: runs, questions, and thoughts that the runs confirm."""

import dagster as dg
import polars as pl

from assets.metadata import (
    counts,
    described,
    engine_work,
    picture,
    sample,
    thought_figures,
)
from assets.shards import by_engine, by_shard
from assets.stages import engine_stage
from assets.workspace import Workspace
from datagen.code.run import trace_seeds
from datagen.code.tasks import make_tasks
from datagen.pictures import thought_reliability
from datagen.show.samples import thought_samples
from schemas import CodeThought, Execution


@by_shard(group_name="code")
def executions(workspace: Workspace, code_seeds: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Runs of the code seeds, value by value."""
    # Without programs there is nothing to run, and no sandbox is needed.
    frame = trace_seeds(code_seeds, workspace.sandbox()) if code_seeds.height else Execution.empty()
    return dg.Output(frame, metadata=described(frame, "seed_id", "call", "returned", "run"))


@by_shard(group_name="code")
def code_tasks(
    workspace: Workspace, code_seeds: pl.DataFrame, executions: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Questions about the programs: write one, foretell a result, find an input."""
    n = workspace.settings.code.n_predictions
    frame = make_tasks(code_seeds, executions, n_predictions=n)
    return dg.Output(
        frame,
        metadata=described(frame, "task_id", "question", "answer", kinds=counts(frame, "kind")),
    )


@by_engine(group_name="code")
def code_thoughts(
    workspace: Workspace, code_seeds: pl.DataFrame, executions: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Hidden chains of thought that lead to the programs, each claim compared with a run."""
    if code_seeds.is_empty():
        return dg.Output(CodeThought.empty())
    made, progress = engine_stage(
        workspace,
        "code_thoughts",
        {"code_seeds": code_seeds, "executions": executions},
    )
    frame = made["code_thoughts"]
    return dg.Output(
        frame,
        metadata=described(
            frame,
            sample=sample(thought_samples, frame, executions),
            reliability=picture(thought_reliability, frame),
            **thought_figures(frame),
            **engine_work(progress),
        ),
    )
