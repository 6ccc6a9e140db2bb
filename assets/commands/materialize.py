"""Runs assets in this process, for the command line.

The history is kept in the output folder, unless ``DAGSTER_HOME`` names another place. Dagster and
torch take seconds to import, so whoever imports this does so when there is something to run.
"""

import os
from pathlib import Path
from uuid import uuid4

import dagster as dg

from assets.commands.console import quieten_transformers
from assets.graph import ASSETS, CHECKS
from assets.graph.checks import failed_checks
from assets.graph.further import with_further
from assets.parquet_io import ParquetTables
from assets.shards import attended, know_shards
from assets.workspace import Workspace
from datagen.config import Settings
from datagen.errors import CheckError, DatagenError
from datagen.shards import MAIN
from datagen.verify import use_verifiers
from schemas import ContractError


def materialize(settings: Settings, out: Path, selection: dg.AssetSelection | None = None) -> None:
    """Run assets in this process.

    Args:
        settings: of the run.
        out: the output folder.
        selection: which, of those that are made of all shards; default: all there are, of the
            shard of the sources that the settings name.

    Raises:
        CheckError: a check has stopped the shard.
        DatagenError: whatever an asset raises of ours.
    """
    # As each step does; here, so that one that cannot be used ends the run before it begins.
    use_verifiers(settings.seeds.verifiers)
    assets = with_further(ASSETS, settings.export.further)
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if "DAGSTER_HOME" not in os.environ:
        home = out / "dagster"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        os.environ["DAGSTER_HOME"] = str(home)
    quieten_transformers()
    tags = {"datagen/command": uuid4().hex}
    with attended(), dg.DagsterInstance.get() as instance:
        try:
            know_shards(instance, out)
            dg.materialize(
                [*assets, *CHECKS],
                # What is of all shards is of none of them.
                partition_key=MAIN if selection is None else None,
                instance=instance,
                tags=tags,
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
            runs = instance.get_runs(dg.RunsFilter(tags=tags))
            told = "\n".join(filter(None, (failed_checks(instance, run.run_id) for run in runs)))
            raise (CheckError(told) if told else _cause(error)) from error


def _cause(error: BaseException) -> BaseException:
    """The first of our errors in a chain of causes, else the error itself."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, DatagenError | ContractError):
            return at
        at = at.__cause__ or at.__context__
    return error
