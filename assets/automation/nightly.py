"""Every night, one run for each shard that is stale."""

import dagster as dg

from assets.automation.asking import is_active
from assets.automation.jobs import make_shard
from assets.automation.stale import stale_assets
from assets.refusals import standing_refusal
from assets.shards import know_shards
from assets.versions import shard_versions
from assets.workspace import Workspace, default_settings
from datagen.shards import accepted_at, shard_folder

_SETTINGS = default_settings().shards


@dg.schedule(
    job=make_shard,
    cron_schedule=_SETTINGS.cron,
    execution_timezone=_SETTINGS.timezone,
    description="Makes anew what is stale, shard by shard; what is as it would be made is left.",
)
def nightly(
    context: dg.ScheduleEvaluationContext, workspace: Workspace
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run per stale shard; left are those being made, and those that would be refused again."""
    requests: list[dg.RunRequest] = []
    refused: list[str] = []
    for shard in know_shards(context.instance, workspace.root):
        folder = shard_folder(workspace.root, shard)
        versions = shard_versions(workspace.root, shard, workspace.settings)
        if refusal := standing_refusal(folder, versions):
            refused.append(f"{shard} was refused ({', '.join(refusal.reasons)})")
            context.log.warning(f"{refused[-1]}; `datagen shards` says why")
            continue
        before = accepted_at(folder)
        stale = stale_assets(versions, before[1] if before else None)
        if stale and not is_active(context.instance, make_shard.name, shard):
            requests.append(
                dg.RunRequest(
                    run_key=f"{context.scheduled_execution_time.isoformat()} {shard}",
                    partition_key=shard,
                    asset_selection=stale,
                )
            )
    others = "every other shard" if refused else "every shard"
    reasons = [*refused, f"{others} is as it would be made today"]
    return requests or dg.SkipReason("; ".join(reasons))
