"""Runs a stage that asks the engine: here or over Ray, with its journal, and its work on record.

The surprising fact: a run that was killed may still be at work. The process of its stage outlives
it and goes on asking, while the run is begun again. So whoever works on a shard locks it; the other
waits, and then finds all answers in the journal.
"""

import fcntl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg

from assets.progress import report_stage
from assets.workspace import Workspace
from datagen.cluster import Snapshot, run_stage
from datagen.cluster.stages import StageName, Tables
from datagen.report import WORK, record_work
from datagen.search.budget import Progress

_LOCK: Final = ".lock"


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
    with _alone(workspace.folder):
        made, progress = run_stage(
            stage,
            tables,
            workspace.settings,
            engine=workspace.engine,
            journal_path=workspace.journal_path,
            on_progress=on_progress or report_stage(stage.replace("_", " ")),
        )
        record_work(workspace.folder / WORK, stage, progress)
    return made, progress


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Wait until no other process works on a shard; whoever is killed waits for nobody."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            dg.get_dagster_logger().warning(
                f"another process works on {str(folder)!r}, perhaps of a run that was killed; "
                "this one waits for it"
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
