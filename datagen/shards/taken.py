"""What other shards have already, so that no question is asked in two of them.

The surprising fact: no shard comes before another. Whichever was curated first has the question,
and keeps it when either is made anew, because each is compared with the tables of all the others.
Two shards must not be curated at the same moment, which the pool ``seeds`` of Dagster sees to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datagen.shards.places import shard_folder, shard_names
from schemas import CodeSeed, Contract, Seed


@dataclass(frozen=True, slots=True)
class Taken:
    """What other shards have.

    Attributes:
        seeds: their tables ``seeds``.
        code_seeds: their tables ``code_seeds``.
        shards: ``seed_id`` of either → the shard.
    """

    seeds: pl.DataFrame
    code_seeds: pl.DataFrame
    shards: Mapping[str, str]


def taken_by_others(out: Path, shard: str) -> Taken:
    """What all shards but one have, made or accepted.

    Args:
        out: the output folder.
        shard: the one.
    """
    shards: dict[str, str] = {}
    tables: list[pl.DataFrame] = []
    for contract in (Seed, CodeSeed):
        found = [contract.empty()]
        for other in shard_names(out):
            path = shard_folder(out, other) / "tables" / f"{contract.table}.parquet"
            if other != shard and path.exists():
                found.append(_read(contract, path))
                shards |= dict.fromkeys(found[-1]["seed_id"], other)
        tables.append(pl.concat(found))
    return Taken(tables[0], tables[1], shards)


def _read(contract: type[Contract], path: Path) -> pl.DataFrame:
    # Without its other rules: what is asked is only what is there.
    return pl.read_parquet(path, columns=list(contract.empty().columns))
