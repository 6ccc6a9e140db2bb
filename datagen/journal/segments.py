"""Segments: immutable Parquet files that hold the older answers of a journal.

The surprising fact: there is no index on disk. All keys are read when a segment is opened and kept
sorted in memory, 20 bytes each, which is less work than keeping an index file true to its segment.
"""

# pyarrow ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from binascii import unhexlify
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import JournalError
from datagen.journal.codec import Entry, Stored
from datagen.journal.columns import SCHEMA
from datagen.journal.failures import damaged

_NOT_OF_ENTRY: Final = {"prompt", "temperature", "top_p", "max_tokens", "stop", "sample_idx"} | {
    "choices",
    "scored_text",
}
_ENTRY: Final = [name for name in SCHEMA.names if name not in _NOT_OF_ENTRY]
_LOADED_GROUPS: Final = 64


def folder_of(journal: str) -> Path:
    """Where a journal's segments are: beside the file itself, not beside a link to it."""
    path = Path(journal).resolve()
    return path.with_name(f"{path.name}.segments")


class Rows:
    """Some rows of a segment, decoded; each gives its entry to the bit."""

    def __init__(self, table: Any) -> None:
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        self._n = table.num_rows
        self._lists = {name: _Lists(columns.pop(name)) for name in ("logprobs", "ends")}
        self._columns = columns

    def __len__(self) -> int:
        return self._n

    def stored(self, row: int) -> Stored:
        """One row, not checked yet; its prompt is there if the column was read."""
        fields: dict[str, Any] = {name: data[row].as_py() for name, data in self._columns.items()}
        for name in ("fingerprint", "prompt", "request", "text"):
            if fields.get(name) is not None:
                fields[name] = fields[name].encode()
        fields |= fields["exact"] or {}
        entry = Entry(
            unhexlify(fields["key"]),
            fields["fingerprint"],
            fields["prompt_hash"],
            fields["kind"],
            fields["request"],
            fields["finish"],
            fields["text"],
            fields["n_tokens"],
            self._lists["logprobs"].bytes_at(row) or b"",
            self._lists["ends"].bytes_at(row),
        )
        return Stored(entry, fields.get("prompt"), fields["checksum"])


class _Lists:
    """A column of lists of numbers, whose rows are wanted as bytes."""

    def __init__(self, column: Any) -> None:
        self._valid = column.is_valid().to_numpy(zero_copy_only=False)
        self._offsets = column.offsets.to_numpy()
        self._values = column.values.to_numpy()

    def bytes_at(self, row: int) -> bytes | None:
        if not self._valid[row]:
            return None
        return self._values[self._offsets[row] : self._offsets[row + 1]].tobytes()


class Segment:
    """One file: an index of its keys in memory (20 bytes each), its rows on demand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Each page is checked against a checksum of its own as it is read.
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        if not self._file.schema_arrow.equals(SCHEMA):
            raise ValueError("its columns are not those of a segment")
        footer = self._file.metadata
        sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self.n_rows = int(self._starts[-1])

    @property
    def n_groups(self) -> int:
        """Row groups, the unit of reading."""
        return len(self._starts) - 1

    def build_index(self) -> None:
        """Read all keys."""
        keys = np.concatenate([np.zeros(0, "S16"), *map(_key_bytes, self._batches(["key"]))])
        order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[order], order.astype(np.uint32)

    def find(self, keys: Any) -> Any:
        """Row of each of the keys ``(n,)`` of type ``S16``; -1 where it is not here."""
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._rows[at].astype(np.int64), -1)

    def group_of(self, row: int) -> tuple[int, int]:
        """Row group of a row, and its place in there."""
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return group, row - int(self._starts[group])

    def read_group(self, group: int, *, prompts: bool = False) -> Rows:
        """Decode one row group.

        Args:
            group: which.
            prompts: whether the prompts are wanted too.
        """
        columns = [*_ENTRY, "prompt"] if prompts else _ENTRY
        return Rows(self._file.read_row_group(group, columns=columns))

    def keys(self) -> Iterator[str]:
        """All keys, in the order of insertion."""
        for batch in self._batches(["key"]):
            yield from batch.column(0).to_pylist()

    def counts(self) -> dict[tuple[str | None, str], tuple[int, int]]:
        """Entries and generated tokens by fingerprint and kind."""
        found: dict[tuple[str | None, str], tuple[int, int]] = {}
        for batch in self._batches(["fingerprint", "kind", "n_tokens"]):
            table = pa.Table.from_batches([batch]).group_by(["fingerprint", "kind"])
            for row in table.aggregate([("n_tokens", "count"), ("n_tokens", "sum")]).to_pylist():
                name = row["fingerprint"], row["kind"]
                n, tokens = found.get(name, (0, 0))
                found[name] = n + row["n_tokens_count"], tokens + row["n_tokens_sum"]
        return found

    def _batches(self, columns: list[str]) -> Iterable[Any]:
        return self._file.iter_batches(columns=columns, batch_size=65_536)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _key_bytes(batch: Any) -> Any:
    """A column of hexadecimal keys as ``S16``, ``(n,)``."""
    return np.frombuffer(unhexlify("".join(batch.column(0).to_pylist())), "S16")


class Segments:
    """All segments of one open journal.

    Row groups are kept in memory for a while: a run that is replayed asks in about the order in
    which it asked first, so each is read about once.
    """

    def __init__(self, journal: str) -> None:
        self._journal = journal
        self._open: dict[str, Segment] = {}
        self._groups: OrderedDict[tuple[str, int], Rows] = OrderedDict()

    def refresh(self, listed: Iterable[tuple[str, int]]) -> None:
        """Open what has come since.

        Args:
            listed: names and numbers of rows, as the journal has them.

        Raises:
            JournalError: if a file is missing or damaged.
        """
        for name, n_rows in listed:
            if name in self._open:
                continue
            path = folder_of(self._journal) / name
            if not path.exists():
                raise JournalError(
                    f"the segment {str(path)!r} of the journal {self._journal!r} is missing; put "
                    "it back, or run `datagen journal verify --repair` to go on without it"
                )
            try:
                segment = Segment(path)
                segment.build_index()
            except (OSError, ValueError, pa.ArrowException) as error:
                raise self._damaged(name, error) from error
            if segment.n_rows != n_rows:
                raise self._damaged(name, f"{segment.n_rows} of {n_rows} rows")
            self._open[name] = segment

    def _damaged(self, name: str, detail: object) -> JournalError:
        return damaged(self._journal, f"its segment {name} cannot be read ({detail})")

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of the keys that are here."""
        wanted = np.array(keys, "S16")
        return {
            keys[int(at)]
            for segment in self._open.values()
            for at in np.flatnonzero(segment.find(wanted) >= 0)
        }

    def look_up(self, keys: Sequence[bytes]) -> Iterator[Stored]:
        """The entries that are here, in no particular order; prompts are not read."""
        wanted = np.array(keys, "S16")
        for name, segment in self._open.items():
            rows = segment.find(wanted)
            # By row, so that each row group is decoded once.
            for row in sorted(rows[rows >= 0].tolist()):
                group, place = segment.group_of(row)
                yield self._rows(name, segment, group).stored(place)

    def _rows(self, name: str, segment: Segment, group: int) -> Rows:
        if (name, group) in self._groups:
            self._groups.move_to_end((name, group))
        else:
            try:
                self._groups[name, group] = segment.read_group(group)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise self._damaged(name, error) from error
            if len(self._groups) > _LOADED_GROUPS:
                self._groups.popitem(last=False)
        return self._groups[name, group]

    def keys(self) -> list[str]:
        """All keys."""
        return list(chain.from_iterable(segment.keys() for segment in self._open.values()))

    def close(self) -> None:
        """Close all files."""
        for segment in self._open.values():
            segment.close()
