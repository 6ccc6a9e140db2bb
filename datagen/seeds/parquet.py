"""Reads Parquet in batches, never the whole file.

The surprising fact: Parquet's string type does not promise UTF-8. A batch that fails to decode is
read again row by row, so that the one bad row is refused and its neighbours are kept.
"""

# pyarrow ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import SeedError
from datagen.seeds.references import Reference
from datagen.seeds.refusals import Refused
from datagen.seeds.rows import Row

_BATCH_ROWS: Final = 512


def read_parquet(reference: Reference) -> Iterator[Row]:
    """Each row of the file.

    Raises:
        SeedError: if it is no Parquet file.
    """
    try:
        with pq.ParquetFile(reference.file) as file:
            row_idx = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in _rows(batch):
                    yield row_idx, row
                    row_idx += 1
    except pa.ArrowException as error:
        raise SeedError(
            f"{reference.text!r} cannot be read as Parquet ({error}); "
            "write it again, or pass the right format="
        ) from error


def _rows(batch: Any) -> Iterator[dict[str, object] | Refused]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for i in range(batch.num_rows):
            try:
                yield batch.slice(i, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield Refused(
                    "",
                    "not UTF-8",
                    f"byte {error.object[error.start]:#04x} in a text column is not UTF-8; "
                    "write the column as UTF-8",
                    error.object,
                )
