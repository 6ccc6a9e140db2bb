"""From programs to thoughts: runs, questions, and thoughts that the runs confirm."""

import dagster as dg
import polars as pl

from assets.metadata import counts, described, engine_work, thought_figures
from assets.stages import engine_stage
from assets.workspace import Workspace
from datagen.code.run import trace_seeds
from datagen.code.tasks import make_tasks
from schemas import CodeThought, Execution


@dg.asset(group_name="code")
def executions(workspace: Workspace, code_seeds: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Runs of the code seeds, value by value."""
    # Without programs there is nothing to run, and no sandbox is needed.
    frame = trace_seeds(code_seeds, workspace.sandbox()) if code_seeds.height else Execution.empty()
    return dg.Output(frame, metadata=described(frame, "seed_id", "call", "returned", "run"))


@dg.asset(group_name="code")
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


@dg.asset(group_name="code")
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
            *("thought_id", "route", "steps", "step_checks", "reasons"),
            **thought_figures(frame),
            **engine_work(progress),
        ),
    )
