"""Notices that people have submitted something, and has what depends on it made anew.

The surprising fact: a tool's own mark of change moves with every draft, too. So once it has moved,
the reviews themselves are compared with those that were taken, and drafts start nothing.
"""

import hashlib
from typing import Final

import dagster as dg
import polars as pl

from assets.graph.review import reviews
from assets.parquet_io import earlier_table
from assets.workspace import Workspace
from datagen.review.tools.collecting import collect_reviews

DEPENDS_ON_REVIEWS: Final = dg.AssetSelection.assets(reviews).downstream()
"""Reviews and what is made of them; nothing of it asks a language model."""

take_reviews = dg.define_asset_job(
    "take_reviews",
    selection=DEPENDS_ON_REVIEWS,
    description="Pulls reviews, decides, and makes labels, datasets and the queue anew.",
)

_INTERVAL_S: Final = 60


@dg.sensor(
    job=take_reviews,
    minimum_interval_seconds=_INTERVAL_S,
    description="Starts take_reviews when people have submitted, changed or retracted a review.",
)
def new_reviews(
    context: dg.SensorEvaluationContext, workspace: Workspace
) -> dg.SensorResult | dg.SkipReason:
    """Look once; a tool that cannot be reached fails the tick, which Dagster shows."""
    tools = workspace.review_tools()
    mark = "\n".join(f"{tool.name} {tool.watermark()}" for tool in tools)
    if mark == context.cursor:
        return dg.SkipReason("nothing has happened where people review")
    taken = earlier_table(workspace.out, "reviews")
    there, _ = collect_reviews(tools, taken)
    if there.equals(taken):
        return dg.SensorResult(skip_reason="nothing new was submitted", cursor=mark)
    # The cursor stays: it moves on once the run has taken what is there. Until then the same key
    # is asked for, which Dagster starts once.
    return dg.SensorResult([dg.RunRequest(run_key=f"{_digest(taken)}-{_digest(there)}")])


def _digest(reviews: pl.DataFrame) -> str:
    return hashlib.sha256(reviews.write_ndjson().encode()).hexdigest()[:16]
