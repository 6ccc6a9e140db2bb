"""What Dagster loads: ``dagster dev -m assets.definitions``."""

import dagster as dg

from assets.graph import ASSETS, CHECKS
from assets.parquet_io import ParquetTables
from assets.review_sensor import new_reviews, take_reviews
from assets.workspace import Workspace, default_out

defs = dg.Definitions(
    assets=ASSETS,
    asset_checks=CHECKS,
    jobs=[take_reviews],
    sensors=[new_reviews],
    resources={
        "workspace": Workspace(out=default_out()),
        "io_manager": ParquetTables(out=default_out()),
    },
    # One process: the model is loaded once, and two cores are not fought over.
    executor=dg.in_process_executor,
)
