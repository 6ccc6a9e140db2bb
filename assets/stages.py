"""Runs a stage that asks the engine: here or over Ray, with its journal, and its work on record."""

from collections.abc import Callable
from pathlib import Path

from assets.progress import report_stage
from assets.workspace import Workspace
from datagen.cluster import Snapshot, run_stage
from datagen.cluster.stages import StageName, Tables
from datagen.report import WORK, record_work
from datagen.search.budget import Progress


def engine_stage(
    workspace: Workspace,
    stage: StageName,
    tables: Tables,
    *,
    on_progress: Callable[[Snapshot], None] | None = None,
) -> tuple[Tables, Progress]:
    """Run a stage and keep what it had the engine do.

    Args:
        workspace: of the run.
        stage: which.
        tables: what it is made of.
        on_progress: told where it stands; default: whoever listens to the run.

    Returns:
        Its tables, and where it ended.
    """
    made, progress = run_stage(
        stage,
        tables,
        workspace.settings,
        engine=workspace.engine,
        journal_path=workspace.journal_path,
        on_progress=on_progress or report_stage(stage.replace("_", " ")),
    )
    record_work(Path(workspace.out) / WORK, stage, progress)
    return made, progress
