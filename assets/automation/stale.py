"""Which assets of a shard were made by other code, prompts, settings or sources than today's."""

from collections.abc import Mapping

import dagster as dg

from assets.graph import SHARD_ASSETS, accepted, seed_tables
from assets.versions import SOURCES


def stale_assets(now: Mapping[str, str], then: Mapping[str, str] | None) -> list[dg.AssetKey]:
    """What has to be made anew: what is made in another way now, and what depends on it.

    Args:
        now: as of :func:`assets.versions.shard_versions`.
        then: those of the accepted tables; ``None`` if there are none.

    Returns:
        Keys in the order of the data; none if the shard is as it would be made today.
    """
    if then is None:
        return [key for asset in SHARD_ASSETS for key in asset.keys]
    changed = {op for op, version in now.items() if then.get(op) != version}
    if SOURCES in changed:
        changed.add(seed_tables.op.name)
    stale: set[dg.AssetKey] = set()
    for asset in SHARD_ASSETS:
        if asset.op.name in changed or not stale.isdisjoint(asset.dependency_keys):
            stale |= asset.keys
    assert not stale or accepted.key in stale
    return [key for asset in SHARD_ASSETS for key in asset.keys if key in stale]
