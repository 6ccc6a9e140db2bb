"""Shards: runs of ``size`` consecutive seeds, with every row of theirs.

A shard is named by the position of its first seed, and so is its journal. Position, not content: if
seeds are appended tomorrow, every shard keeps its journal, and the last one grows. A seed that is
put in or taken out further up moves the ones behind it by one place, so that each shard asks for
one seed anew, of ``size``. Names by a hash of the seeds would lose whole shards instead. A lost
match costs tokens and nothing else, since a journal is found by content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from datagen.cluster.stages import Tables


@dataclass(frozen=True, slots=True)
class Shard:
    """Some seeds.

    Attributes:
        name: unique in a run; also the name of its journal.
        n_seeds: how many there are.
        tables: all rows of theirs.
    """

    name: str
    n_seeds: int
    tables: Tables


def cut(tables: Tables, *, size: int) -> list[Shard]:
    """Cut tables into shards.

    Args:
        tables: each with a column ``seed_id``. Seeds count in the order in which they first appear,
            table by table.
        size: seeds per shard; the last one may have fewer.

    Returns:
        At least one shard, be it an empty one: a stage makes tables even of nothing.
    """
    seed_ids = pl.concat([frame["seed_id"] for frame in tables.values()]).unique(
        maintain_order=True
    )
    place = pl.DataFrame(
        {"seed_id": seed_ids, "shard": pl.arange(len(seed_ids), eager=True) // size}
    )
    parts = {name: _parts(frame, place) for name, frame in tables.items()}
    return [
        Shard(
            f"seeds-{start:09d}",
            min(size, len(seed_ids) - start),
            {name: parts[name].get(start // size, frame.clear()) for name, frame in tables.items()},
        )
        for start in range(0, max(len(seed_ids), 1), size)
    ]


def _parts(frame: pl.DataFrame, place: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """The rows of each shard, in one pass."""
    placed = frame.join(place, on="seed_id", how="left", maintain_order="left")
    parts = placed.partition_by("shard", maintain_order=True, include_key=False, as_dict=True)
    return {int(key[0]): part for key, part in parts.items()}


def merge(parts: Sequence[Tables], *, order: Mapping[str, pl.Series]) -> dict[str, pl.DataFrame]:
    """Put the tables of all shards together.

    Args:
        parts: tables of each shard, in the order of the shards.
        order: for tables whose rows do not lie seed by seed: the values of one of their columns
            in the order wanted, by name of the table. Rows of equal value keep their order.

    Returns:
        The tables with their rows as a run in one process would have them.
    """
    merged = {name: pl.concat([part[name] for part in parts]) for name in parts[0]}
    for name in merged.keys() & order.keys():
        values = order[name]
        merged[name] = (
            merged[name]
            .join(pl.DataFrame({values.name: values}).with_row_index("_row"), on=values.name)
            .sort("_row", maintain_order=True)
            .drop("_row")
        )
    return merged
