"""Runs assets in this process, for the command line.

The history is kept in the output folder, unless ``DAGSTER_HOME`` names another place. Dagster and
torch take seconds to import, so whoever imports this does so when there is something to run.
"""

import os
from pathlib import Path

import dagster as dg

from assets.console import quieten_transformers
from assets.definitions import ASSETS
from assets.parquet_io import ParquetTables
from assets.workspace import Workspace
from datagen.config import Settings
from datagen.errors import DatagenError
from schemas import ContractError


def materialize(settings: Settings, out: Path, selection: dg.AssetSelection | None = None) -> None:
    """Run assets in this process.

    Args:
        settings: of the run.
        out: the output folder.
        selection: which; default: all.

    Raises:
        DatagenError: whatever an asset raises of ours.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if "DAGSTER_HOME" not in os.environ:
        home = out / "dagster"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        os.environ["DAGSTER_HOME"] = str(home)
    quieten_transformers()
    with dg.DagsterInstance.get() as instance:
        try:
            dg.materialize(
                ASSETS,
                instance=instance,
                selection=selection,
                resources={
                    "workspace": Workspace(out=str(out), settings_json=settings.model_dump_json()),
                    "io_manager": ParquetTables(out=str(out)),
                },
                # The event log is in the instance's history; the terminal has the bar.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        except dg.DagsterExecutionInterruptedError as error:
            # Dagster's own form of Ctrl-C, which is no Exception.
            raise KeyboardInterrupt from error
        except Exception as error:
            # Dagster wraps what an asset raises; the user wants to read our message.
            raise _cause(error) from error


def _cause(error: BaseException) -> BaseException:
    """The first of our errors in a chain of causes, else the error itself."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, DatagenError | ContractError):
            return at
        at = at.__cause__ or at.__context__
    return error
