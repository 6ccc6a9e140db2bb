"""Notices that shards were accepted, and has the datasets made and published.

The surprising fact: it waits until no shard is being made. A night of a hundred shards is published
once, at its end, and not a hundred times.
"""

import hashlib

import dagster as dg

from assets.automation.asking import ask_for, is_active
from assets.automation.jobs import make_shard, publish_all
from assets.workspace import Workspace, default_settings
from datagen.shards import accepted_at, shard_folder, shard_names


@dg.sensor(
    job=publish_all,
    minimum_interval_seconds=default_settings().shards.interval_s,
    description="Publishes what was accepted, once no shard is being made any more.",
)
def newly_accepted(
    context: dg.SensorEvaluationContext, workspace: Workspace
) -> dg.RunRequest | dg.SkipReason:
    """Look once."""
    marks = {
        shard: found[0]
        for shard in shard_names(workspace.root)
        if (found := accepted_at(shard_folder(workspace.root, shard)))
    }
    if not marks:
        return dg.SkipReason("no shard was ever accepted")
    if is_active(context.instance, make_shard.name):
        return dg.SkipReason("shards are being made")
    told = "\n".join(f"{shard} {mark}" for shard, mark in marks.items())
    state = hashlib.sha256(told.encode()).hexdigest()[:16]
    return ask_for(context.instance, publish_all.name, state)
