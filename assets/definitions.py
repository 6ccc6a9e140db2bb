"""What Dagster loads: ``dagster dev -m assets.definitions``."""

import dagster as dg

from assets.parquet_io import ParquetTables
from assets.pipeline import (
    code_tasks,
    code_thoughts,
    critiques,
    executions,
    label_tables,
    measured_traces,
    prefixes,
    prm,
    prm_verified,
    published,
    raw_rollouts,
    rl,
    search_tables,
    seed_tables,
    sft,
    sft_plain,
    traces,
)
from assets.workspace import Workspace, default_out

ASSETS = [
    seed_tables,
    executions,
    code_tasks,
    code_thoughts,
    prefixes,
    search_tables,
    traces,
    measured_traces,
    critiques,
    label_tables,
    sft,
    sft_plain,
    prm,
    prm_verified,
    rl,
    raw_rollouts,
    published,
]

defs = dg.Definitions(
    assets=ASSETS,
    resources={
        "workspace": Workspace(out=default_out()),
        "io_manager": ParquetTables(out=default_out()),
    },
    # One process: the model is loaded once, and two cores are not fought over.
    executor=dg.in_process_executor,
)
