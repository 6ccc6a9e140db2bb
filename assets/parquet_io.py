"""Tables on disk: one Parquet file per asset, held to its contract on the way in and out.

The surprising fact: what is read depends on who reads. Within a shard it is the shard's table as it
was made last. Whoever is of all shards reads what was accepted of each, one below the other.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.progress import announce
from assets.shards import READS_ACCEPTED, SHARD_TABLES
from datagen.publish.configs import CONFIGS
from datagen.shards import MAIN, accepted_tables, shard_folder, shard_names
from schemas import CONTRACTS, BenchmarkCheck, Contract

CONTRACT_OF: dict[str, type[Contract]] = {
    **{name: contract for name, contract in CONTRACTS.items() if name != "rejections"},
    "measured_traces": CONTRACTS["traces"],
    **{
        f"reviewed_{name}": CONTRACTS[name]
        for name in ("step_labels", "trace_labels", "tags", "corrections")
    },
    "prm_verified": CONTRACTS["prm"],
    "sft_plain": CONTRACTS["sft"],
    **dict.fromkeys(
        ("rejected_questions", "rejected_traces", "rejected_by_difficulty"),
        CONTRACTS["rejections"],
    ),
}
"""Contract of each table that is an asset, but for datasets of the user's own."""


def contract_of(name: str) -> type[Contract]:
    """Contract of any table that is an asset."""
    return CONTRACT_OF[name] if name in CONTRACT_OF else CONFIGS[name].contract


def table_path(folder: str | Path, name: str) -> Path:
    """Where the table of an asset is, or would be, in an output folder or that of a shard."""
    return Path(folder) / "tables" / f"{name}.parquet"


def earlier_table(folder: str | Path, name: str) -> pl.DataFrame:
    """A table as it was written last; empty if it never was.

    For an asset that goes on from its own last state, or from one behind it in the graph.
    """
    path, contract = table_path(folder, name), contract_of(name)
    return contract.validate(pl.read_parquet(path)) if path.exists() else contract.empty()


def whole_table(out: str | Path, name: str) -> pl.DataFrame:
    """What was accepted of a table in all shards; empty if nothing was.

    Raises:
        ContractError: two shards have rows of the same key.
    """
    contract = CONTRACT_OF[name]
    found = accepted_tables(Path(out), name)
    combine = _COMBINED.get(name, pl.concat)
    return contract.validate(combine([contract.empty(), *found]))


def last_table(out: str | Path, name: str) -> pl.DataFrame:
    """A table as whoever looks at an output folder wants it; empty if there is none yet.

    Of a run without further shards it is the table as it was made last, accepted or not.
    """
    of_several = name in SHARD_TABLES and len(shard_names(Path(out))) > 1
    return whole_table(out, name) if of_several else earlier_table(out, name)


def _added_up(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """Benchmarks that several shards were compared to, each once."""
    key = ["name", "source", "digest", "n_rows"]
    return (
        pl.concat(tables)
        .group_by(key, maintain_order=True)
        .agg(pl.col("n_checked", "n_rejected").sum())
        .select(BenchmarkCheck.empty().columns)
    )


_COMBINED: Final[dict[str, Callable[[list[pl.DataFrame]], pl.DataFrame]]] = {
    "benchmark_checks": _added_up
}


class ParquetTables(dg.ConfigurableIOManager):
    """Stores assets as ``tables/<asset>.parquet`` in the output folder, or in that of a shard."""

    out: str

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Validate and write; a reader never sees half a file."""
        if obj is None:  # of an asset that is no table
            return
        name = context.asset_key.path[-1]
        frame = contract_of(name).validate(obj)
        shard = context.partition_key if context.has_asset_partitions else MAIN
        path = table_path(shard_folder(Path(self.out), shard), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of this process: that of a run which was killed may still be writing the same.
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        frame.write_parquet(fresh, compression="zstd")
        fresh.replace(path)
        context.add_output_metadata({"path": dg.MetadataValue.path(str(path))})
        announce(name, frame.height)

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        """Read and validate: the file may be older than the contract."""
        name = context.asset_key.path[-1]
        if not context.has_asset_partitions:
            return self._made(Path(self.out), name, context)
        if READS_ACCEPTED in context.op_def.tags:
            return whole_table(self.out, name)
        return self._made(shard_folder(Path(self.out), context.asset_partition_key), name, context)

    def _made(self, folder: Path, name: str, context: dg.InputContext) -> pl.DataFrame:
        path = table_path(folder, name)
        if not path.exists() and not (context.definition_metadata or {}).get("or_empty"):
            raise FileNotFoundError(
                f"{str(path)!r} does not exist; materialise the asset {name!r} first"
            )
        return earlier_table(folder, name)
