"""Opens a resolved reference: rows from lines, Parquet or a Hugging Face dataset.

The surprising fact: the first row is read twice. What dialect a source speaks and whether a typed
table has the columns at all is told by its first readable row, before any row is judged.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from datagen.errors import SeedError
from datagen.seeds.huggingface import read_huggingface
from datagen.seeds.jsonl import read_jsonl
from datagen.seeds.parquet import read_parquet
from datagen.seeds.references import Container, Reference
from datagen.seeds.refusals import Refused
from datagen.seeds.rows import Fields, Row

_READERS: Final[dict[Container, Callable[[Reference], Iterator[Row]]]] = {
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "hf": read_huggingface,
}


def read_rows(
    reference: Reference, container: Container, columns: Mapping[str, str], known: Collection[str]
) -> Iterator[Row]:
    """Each row, with mapped columns under their fields' names.

    Args:
        reference: what to read.
        container: how.
        columns: field → column of the source; a field mapped to the empty string is not read.
        known: the fields that the caller reads; they stay, mapped elsewhere too or not.

    Raises:
        SeedError: if the source cannot be read.
    """
    try:
        for row_idx, row in _READERS[container](reference):
            yield row_idx, row if isinstance(row, Refused) else _renamed(row, columns, known)
    except OSError as error:
        raise SeedError(f"{reference.text!r} cannot be read: {error}") from error


def peek(rows: Iterator[Row]) -> tuple[Iterator[Row], Fields]:
    """All rows, and the fields of the first readable one (none if there is none)."""
    head: list[Row] = []
    for row in rows:
        head.append(row)
        if not isinstance(row[1], Refused):
            return chain(head, rows), row[1]
    return iter(head), {}


def require_columns(
    reference: Reference, first: Fields, required: Sequence[str], columns: Mapping[str, str]
) -> None:
    """Refuse a typed table as a whole if it cannot hold a single seed.

    Raises:
        SeedError: if its first row lacks one of the required fields.
    """
    missing = [name for name in required if first and name not in first]
    if missing:
        wanted = ", ".join(repr(columns.get(name) or name) for name in missing)
        raise SeedError(
            f"{reference.text!r} has no column {wanted} (its columns: {', '.join(first)}); say "
            f"which column holds which field, e.g. mapping={{{missing[0]!r}: '<column>'}}"
        )


def _renamed(fields: Fields, columns: Mapping[str, str], known: Collection[str]) -> Fields:
    """The row with each mapped column under its field's name."""
    if not columns:
        return fields
    taken = set(columns.values())
    kept = {
        name: value
        for name, value in fields.items()
        if name not in columns and (name in known or name not in taken)
    }
    return {
        **kept,
        **{name: fields[column] for name, column in columns.items() if column in fields},
    }
