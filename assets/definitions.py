"""What Dagster loads: ``dagster dev -m assets.definitions``."""

import dagster as dg

from assets.parquet_io import ParquetTables
from assets.pipeline import (
    prefixes,
    prm,
    published,
    rl,
    search_tables,
    seed_tables,
    sft,
    sft_plain,
    step_labels,
    traces,
)
from assets.workspace import Workspace, default_out

ASSETS = [
    seed_tables,
    prefixes,
    search_tables,
    traces,
    step_labels,
    sft,
    sft_plain,
    prm,
    rl,
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
