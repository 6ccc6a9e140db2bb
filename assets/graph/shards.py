"""The shards: how seeds come in, and what of each part of them may be published."""

from typing import Any

import dagster as dg
import polars as pl

from assets.graph.checks import refuse_flawed
from assets.metadata import described
from assets.shards import SHARD_TABLES, by_shard, know_shards
from assets.versions import made_by
from assets.workspace import Workspace
from datagen.shards import accept, find_sources, take_in


@dg.asset(group_name="seeds")
def shards(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.Output[pl.DataFrame]:
    """What has arrived where the settings say to watch, cut into shards; one row each."""
    settings = workspace.settings.shards
    found = find_sources(settings.seeds, settings.code, settle_s=settings.settle_s)
    taken = take_in(workspace.root, found.sources, max_rows=settings.max_rows)
    know_shards(context.instance, workspace.root)
    problems = [*found.problems, *taken.problems]
    for problem in problems:
        context.log.error(problem)
    return dg.Output(
        taken.shards,
        metadata=described(
            taken.shards,
            *("shard", "kind", "source", "first_row", "n_rows"),
            new=taken.new,
            problems=problems,
            unsettled=[str(path) for path in found.unsettled],
        ),
    )


@by_shard(group_name="shards", deps=SHARD_TABLES)
def accepted(workspace: Workspace) -> dg.MaterializeResult[Any]:
    """The shard's tables as they are now, kept for the datasets; of a bad shard, earlier ones."""
    # Checks that were not part of this run may have failed in another.
    refuse_flawed(workspace)
    # Compared by the next night: a source that has changed meanwhile was not read.
    folder = accept(workspace.folder, SHARD_TABLES, made_by(workspace))
    return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(str(folder))})
