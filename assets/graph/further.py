"""Datasets of the user's own, which are in the graph only where the settings name them.

The graph is made when Dagster loads it, so what it holds is decided by the settings of that moment:
for Dagster itself the file named by ``DATAGEN_CONFIG``, for the command its own.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
import polars as pl

from assets.graph.publishing import published, published_with
from assets.metadata import described
from assets.parquet_io import CONTRACT_OF
from assets.shards import OR_EMPTY, of_all
from assets.specs import described_assets
from datagen.errors import ConfigError
from datagen.export import Export
from datagen.publish.configs import use_exports


def with_further(
    assets: Sequence[dg.AssetsDefinition], own: Mapping[str, str]
) -> list[dg.AssetsDefinition]:
    """The graph with datasets of the user's own, which are then published with the others.

    Args:
        assets: the graph without them.
        own: ``export.further`` of the settings.

    Raises:
        ConfigError: if one cannot be made or published.
    """
    exports = use_exports(own)
    if not exports:
        return list(assets)
    taken = {key.to_user_string() for asset in assets for key in asset.keys}
    for name, export in exports.items():
        if name in taken:
            raise ConfigError(f"export.further names {name!r}, which is taken; choose another name")
        if unknown := [table for table in export.tables if table not in CONTRACT_OF]:
            raise ConfigError(
                f"export.further.{name}={own[name]!r}: `make` takes {unknown[0]!r}, which is no "
                f"table; use {', '.join(CONTRACT_OF)}"
            )
    return [
        *(asset for asset in assets if published.key not in asset.keys),
        *described_assets(
            [*(_asset(name, export) for name, export in exports.items()), published_with(exports)]
        ),
    ]


def _asset(name: str, export: Export) -> dg.AssetsDefinition:
    first = ("reviews", "decisions")

    @of_all(
        name=name,
        ins={table: OR_EMPTY if table in first else dg.AssetIn() for table in export.tables},
        group_name="datasets",
        description=export.purpose,
    )
    def further(**tables: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        frame = export.table(tables)
        return dg.Output(frame, metadata=described(frame, *frame.columns))

    return further
