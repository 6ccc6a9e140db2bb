"""Tables on disk: one Parquet file per asset, held to its contract on the way in and out."""

from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import polars as pl
from upath import UPath

from assets.progress import announce
from schemas import CONTRACTS, Contract

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
"""Contract of each table that is an asset."""


def table_path(out: str | Path, name: str) -> Path:
    """Where the table of an asset is, or would be."""
    return Path(out) / "tables" / f"{name}.parquet"


def earlier_table(out: str | Path, name: str) -> pl.DataFrame:
    """A table as it was written last; empty if it never was.

    For an asset that goes on from its own last state, or from one behind it in the graph.
    """
    path, contract = table_path(out, name), CONTRACT_OF[name]
    return contract.validate(pl.read_parquet(path)) if path.exists() else contract.empty()


class ParquetTables(dg.ConfigurableIOManagerFactory[Any]):
    """Stores assets as ``<out>/tables/<asset>.parquet``."""

    out: str

    def create_io_manager(self, context: dg.InitResourceContext) -> dg.IOManager:
        """The manager of one run."""
        return _ParquetTables(base_path=UPath(self.out) / "tables")


class _ParquetTables(dg.UPathIOManager):
    extension: ClassVar[str] = ".parquet"  # pyright: ignore[reportIncompatibleVariableOverride]

    def dump_to_path(self, context: dg.OutputContext, obj: pl.DataFrame, path: UPath) -> None:
        """Validate and write; a reader never sees half a file."""
        name = context.asset_key.path[-1]
        frame = CONTRACT_OF[name].validate(obj)
        fresh = path.with_name(f".{path.name}.new")
        frame.write_parquet(str(fresh), compression="zstd")
        fresh.replace(path)
        announce(name, frame.height)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pl.DataFrame:
        """Read and validate: the file may be older than the contract."""
        name = context.asset_key.path[-1]
        return CONTRACT_OF[name].validate(pl.read_parquet(str(path)))
