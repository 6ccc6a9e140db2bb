"""Writes a table as the Parquet files of one split; one of two files here that touch pyarrow.

The surprising fact: the Arrow schema is not stored. Readers would take it for the truth, above the
features on the card, and Arrow tables made by Polars then load with types (``large_string``) that
cannot be concatenated with ordinary data.
"""

# pyarrow ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq

from schemas import Contract

MAX_BYTES_PER_FILE: Final = 500_000_000
"""The bound that ``datasets`` has for its own shards; compressed it is a quarter of that or so."""

_ROW_GROUP_ROWS: Final = 10_000
"""Small enough that viewers and streaming readers get at a page without the whole file."""

_NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a repository as it was written.

    Attributes:
        path: relative to the repository, with ``/``.
        sha256: of its content, in hexadecimal digits.
        size: its bytes.
        rows: its rows.
    """

    path: str
    sha256: str
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """One split of one config.

    Attributes:
        rows: its rows.
        bytes: its size before compression.
        files: its files, in the order of the rows.
    """

    rows: int
    bytes: int
    files: tuple[DataFile, ...]

    @property
    def size(self) -> int:
        """The size of its files."""
        return sum(file.size for file in self.files)


def write_split(
    folder: Path,
    split: str,
    table: pl.DataFrame,
    contract: type[Contract],
    row_bytes: pl.Series,
    *,
    max_bytes: int,
) -> SplitFiles:
    """Write a table with rows into a folder, in files of nearly equal size.

    Equal tables give equal bytes, whatever chunks they are made of. Only one row group at a time
    is turned into Arrow, which takes the memory of a small part of the table and not of twice all.

    Args:
        folder: the config's folder, which is made if need be; its name is the config's.
        split: the split's name.
        table: the rows, which have been validated.
        contract: of the table; it says in which schema they are published.
        row_bytes: the size of each row, see :func:`row_bytes`, ``(n_rows,)``.
        max_bytes: size of one file before compression; the row that crosses the bound is still
            in it.
    """
    folder.mkdir(exist_ok=True)
    bounds = _bounds(row_bytes, max_bytes)
    n_files = len(bounds) - 1
    files: list[DataFile] = []
    n_bytes = 0
    for i in range(n_files):
        path = folder / f"{split}-{i:05d}-of-{n_files:05d}.parquet"
        with pq.ParquetWriter(
            path,
            contract.arrow_schema(),
            compression="zstd",
            store_schema=False,
            # Pages end where the content says so: a new version uploads only what has changed.
            use_content_defined_chunking=True,
        ) as writer:
            for group in table[bounds[i] : bounds[i + 1]].iter_slices(_ROW_GROUP_ROWS):
                # Pages would otherwise end where chunks do.
                arrow = contract.to_arrow(group, valid=True).combine_chunks()
                writer.write_table(arrow, row_group_size=_ROW_GROUP_ROWS)
        footer = pq.read_metadata(path)
        n_bytes += sum(footer.row_group(g).total_byte_size for g in range(footer.num_row_groups))
        files.append(
            DataFile(
                path=f"{folder.name}/{path.name}",
                sha256=sha256_of(path),
                size=path.stat().st_size,
                rows=bounds[i + 1] - bounds[i],
            )
        )
    return SplitFiles(rows=table.height, bytes=n_bytes, files=tuple(files))


def row_bytes(table: pl.DataFrame) -> pl.Series:
    """About how many bytes each row has before compression, ``(n_rows,)``.

    Counted from the values and not asked of Arrow, whose answer depends on chunks and buffers:
    equal data would not always be cut at equal places.
    """
    columns = (_bytes(pl.col(name), dtype) for name, dtype in table.schema.items())
    return table.select(n=pl.sum_horizontal(columns).cast(pl.Int64))["n"]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bounds(row_bytes: pl.Series, max_bytes: int) -> list[int]:
    """Where files begin, and behind them the number of rows."""
    before = row_bytes.cum_sum() - row_bytes
    n_files = -(-int(row_bytes.sum()) // max_bytes) or 1
    share = -(-int(row_bytes.sum()) // n_files) or 1
    # One huge row may fill the shares of several files, which then do not exist.
    starts = (before // share).rle_id()
    first = starts.to_frame("file").with_row_index("row").group_by("file").agg(pl.col("row").min())
    return [*sorted(first["row"].to_list()), len(row_bytes)]


def _bytes(values: pl.Expr, dtype: Any) -> pl.Expr:
    if isinstance(dtype, pl.String):
        found = values.str.len_bytes() + _NUMBER_BYTES
    elif isinstance(dtype, pl.List):
        found = values.list.eval(_bytes(pl.element(), dtype.inner)).list.sum() + _NUMBER_BYTES
    elif isinstance(dtype, pl.Struct):
        fields = (_bytes(values.struct.field(field.name), field.dtype) for field in dtype.fields)
        found = pl.sum_horizontal(fields)
    else:
        found = pl.when(values.is_null()).then(1).otherwise(_NUMBER_BYTES)
    return found.cast(pl.Int64).fill_null(1)
