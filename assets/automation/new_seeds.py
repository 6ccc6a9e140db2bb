"""Notices that seeds have arrived: has them taken in, and the new shards made."""

import dagster as dg

from assets.automation.asking import ask_for
from assets.automation.jobs import make_shard, take_in_seeds
from assets.parquet_io import table_path
from assets.refusals import standing_refusal
from assets.shards import know_shards
from assets.versions import shard_versions
from assets.workspace import Workspace, default_settings
from datagen.shards import MAIN, find_sources, shard_folder


@dg.sensor(
    jobs=[take_in_seeds, make_shard],
    minimum_interval_seconds=default_settings().shards.interval_s,
    description="Takes in files, folders and Hub revisions that are new where the settings watch.",
)
def new_seeds(
    context: dg.SensorEvaluationContext, workspace: Workspace
) -> list[dg.RunRequest] | dg.SkipReason:
    """Look once; what cannot be looked at is logged, and stops nothing else."""
    settings = workspace.settings.shards
    found = find_sources(settings.seeds, settings.code, settle_s=settings.settle_s)
    for problem in found.problems:
        context.log.error(problem)
    asked: list[dg.RunRequest | dg.SkipReason] = []
    if found.sources:
        asked.append(ask_for(context.instance, take_in_seeds.name, found.mark))
    for shard in know_shards(context.instance, workspace.root):
        folder = shard_folder(workspace.root, shard)
        if shard == MAIN or table_path(folder, "seeds").exists():
            continue
        if standing_refusal(folder, shard_versions(workspace.root, shard, workspace.settings)):
            asked.append(dg.SkipReason(f"{shard} was refused; `datagen shards` says why"))
        else:
            asked.append(ask_for(context.instance, make_shard.name, shard, partition=shard))
    requests = [request for request in asked if isinstance(request, dg.RunRequest)]
    if requests:
        return requests
    reasons = [reason.skip_message for reason in asked if isinstance(reason, dg.SkipReason)]
    return dg.SkipReason("; ".join(filter(None, reasons)) or "nothing has arrived")
