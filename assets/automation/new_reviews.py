"""Notices that people have submitted something, and has what depends on it made anew.

The surprising fact: a tool's own mark of change moves with every draft, too. So once it has moved,
the reviews themselves are compared with those that were taken, and drafts start nothing.
"""

import hashlib

import dagster as dg
import polars as pl

from assets.automation.asking import ask_for
from assets.automation.jobs import take_reviews
from assets.parquet_io import earlier_table
from assets.workspace import Workspace, default_settings
from datagen.review.tools.collecting import collect_reviews


@dg.sensor(
    job=take_reviews,
    minimum_interval_seconds=default_settings().shards.interval_s,
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
    # The cursor stays: it moves on once a run has taken what is there.
    state = f"{_digest(taken)}-{_digest(there)}"
    request = ask_for(context.instance, take_reviews.name, state)
    return request if isinstance(request, dg.SkipReason) else dg.SensorResult([request])


def _digest(reviews: pl.DataFrame) -> str:
    return hashlib.sha256(reviews.write_ndjson().encode()).hexdigest()[:16]
