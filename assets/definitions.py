"""What Dagster loads: ``dagster dev -m assets.definitions``."""

import dagster as dg

from assets.automation import JOBS, SCHEDULES, SENSORS
from assets.graph import ASSETS, CHECKS
from assets.graph.further import with_further
from assets.parquet_io import ParquetTables
from assets.workspace import Workspace, default_out, default_settings


def executor(*, isolate_steps: bool) -> dg.ExecutorDefinition:
    """How the assets of a run are made: one after the other, in one process or in one each.

    In one process the model is loaded once. With processes of their own a stage that is killed is
    begun again, and not the run; each opens the engine anew, which is cheap if it is a server.
    """
    if not isolate_steps:
        return dg.in_process_executor
    # Forked from a process that has imported everything already: a second each, and not ten.
    preload = {"forkserver": {"preload_modules": ["assets.definitions"]}}
    options = {"max_concurrent": 1, "start_method": preload}
    return dg.multiprocess_executor.configured(options)


defs = dg.Definitions(
    assets=with_further(ASSETS, default_settings().export.further),
    asset_checks=CHECKS,
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=SENSORS,
    resources={
        "workspace": Workspace(out=default_out()),
        "io_manager": ParquetTables(out=default_out()),
    },
    executor=executor(isolate_steps=default_settings().shards.isolate_steps),
)
