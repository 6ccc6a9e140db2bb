"""Writes a table as the Parquet files of one config; the one file here that touches pyarrow.

The surprising fact: the Arrow schema is not stored. Readers would take it for the truth, above the
features on the card, and Arrow tables made by Polars then load with types (``large_string``) that
cannot be concatenated with ordinary data.
"""

# pyarrow ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

_ROW_GROUP_ROWS: Final = 10_000
"""Small enough that viewers and streaming readers get at a page without the whole file."""


@dataclass(frozen=True, slots=True)
class Written:
    """One config as it was written.

    Attributes:
        n_rows: its rows.
        n_bytes: its size before compression.
        n_file_bytes: the size of its files.
    """

    n_rows: int
    n_bytes: int
    n_file_bytes: int


def write_shards(folder: Path, table: Any, *, max_rows: int) -> Written:
    """Write a table with rows into a new folder, in files of nearly equal length.

    Equal tables give equal bytes, whatever chunks they are made of.

    Args:
        folder: the folder to make; its name is the config's.
        table: a ``pyarrow.Table`` with the schema to publish.
        max_rows: rows of one file.
    """
    folder.mkdir()
    n_files = -(-table.num_rows // max_rows)
    bounds = [table.num_rows * i // n_files for i in range(n_files + 1)]
    n_bytes = n_file_bytes = 0
    for i in range(n_files):
        path = folder / f"train-{i:05d}-of-{n_files:05d}.parquet"
        pq.write_table(
            # Pages would otherwise end where chunks do.
            table.slice(bounds[i], bounds[i + 1] - bounds[i]).combine_chunks(),
            path,
            compression="zstd",
            store_schema=False,
            row_group_size=_ROW_GROUP_ROWS,
            # Pages end where the content says so: a new version uploads only what has changed.
            use_content_defined_chunking=True,
        )
        footer = pq.read_metadata(path)
        n_bytes += sum(footer.row_group(g).total_byte_size for g in range(footer.num_row_groups))
        n_file_bytes += path.stat().st_size
    return Written(n_rows=table.num_rows, n_bytes=n_bytes, n_file_bytes=n_file_bytes)
