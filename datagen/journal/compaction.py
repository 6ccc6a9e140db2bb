"""Compaction: moves all answers of a journal from SQLite into one Parquet segment.

The surprising fact: nothing is trusted on the way. A row leaves SQLite only after the segment has
been synced, read back, and each of its entries found to match its checksum, prompt and key.
"""

# pyarrow ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import fcntl
import hashlib
import os
import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import JournalError
from datagen.journal.codec import Stored, fault_of, shown
from datagen.journal.columns import SCHEMA, groups, table_of
from datagen.journal.failures import FAILURES, damaged, explained, missing
from datagen.journal.format import STORED, connect, stored_of
from datagen.journal.segments import Segment, folder_of

SEGMENT_NAME: Final = re.compile(r"\d{6,}-[0-9a-f]{12}\.parquet")
"""A number in the order of compaction, and the beginning of the file's SHA-256."""

_TEMPORARY_NAME: Final = re.compile(r"\.\d{6,}\.tmp")
_ROWS_AT_ONCE: Final = 512
_PACKED: Final = {
    "logprobs.list.element": "BYTE_STREAM_SPLIT",
    "ends.list.element": "DELTA_BINARY_PACKED",
    "key": "PLAIN",
    "checksum": "PLAIN",
}


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Attributes:
        n_moved: entries that are in the segment now.
        path: the segment; ``None`` if there was nothing to move.
        n_bytes: its size.
        n_freed: bytes by which the SQLite file has shrunk.
    """

    n_moved: int
    path: Path | None = None
    n_bytes: int = 0
    n_freed: int = 0


def compact(path: Path | str, *, vacuum: bool = True) -> Compaction:
    """Move all answers into a new segment, in the order in which they came.

    Readers and writers may have the journal open. A process that dies at any moment loses nothing:
    what it leaves behind is ignored, and removed by the next compaction.

    Args:
        path: the journal's SQLite file.
        vacuum: give the freed space back to the system.

    Raises:
        JournalError: if the journal is damaged or cannot be written, or is compacted already.
    """
    name = str(path)
    if not Path(name).exists():
        raise missing(name)
    try:
        with closing(connect(name)) as db, locked(name):
            return _compact(db, name, vacuum=vacuum)
    except (*FAILURES, pa.ArrowException) as error:
        raise explained(error, name) from error


@contextmanager
def locked(journal: str) -> Generator[None]:
    """Hold the folder of segments for one compaction or repair; a dead process holds nothing."""
    folder = folder_of(journal)
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalError(
                f"the journal {journal!r} is being compacted or repaired by another process; "
                "wait until that has ended"
            ) from error
        yield


def _compact(db: sqlite3.Connection, name: str, *, vacuum: bool) -> Compaction:
    folder = folder_of(name)
    before = _listed(db)
    _remove_orphans(folder, {row[1] for row in before})
    last = db.execute("SELECT max(id) FROM answers").fetchone()[0]
    if last is None:
        return Compaction(0)
    number = max((row[0] for row in before), default=0) + 1
    temporary = folder / f".{number:06d}.tmp"
    n_rows = _write(temporary, _rows(db, last, name))
    with temporary.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    _check(temporary, n_rows, name)
    segment = folder / f"{number:06d}-{sha256[:12]}.parquet"
    temporary.rename(segment)
    sync_folder(folder)
    n_before = Path(name).stat().st_size
    _record(db, before, (number, segment.name, n_rows, sha256), last)
    if vacuum:
        _vacuum(db)
    n_freed = max(0, n_before - Path(name).stat().st_size)
    return Compaction(n_rows, segment, segment.stat().st_size, n_freed)


def _listed(db: sqlite3.Connection) -> list[tuple[int, str]]:
    return db.execute("SELECT id, name FROM segments ORDER BY id").fetchall()


def _remove_orphans(folder: Path, listed: set[str]) -> None:
    """Remove what a compaction left that died before its segment was recorded."""
    for file in folder.iterdir():
        orphan = SEGMENT_NAME.fullmatch(file.name) and file.name not in listed
        if orphan or _TEMPORARY_NAME.fullmatch(file.name):
            file.unlink()


def _rows(db: sqlite3.Connection, last: int, name: str) -> Iterator[Stored]:
    """All entries up to row ``last``, in order; no lock is held between two batches."""
    at = 0
    while rows := db.execute(
        f"{STORED} WHERE a.id > ? AND a.id <= ? ORDER BY a.id LIMIT {_ROWS_AT_ONCE}", (at, last)
    ).fetchall():
        at = rows[-1][0]
        for stored in map(stored_of, rows):
            if fault := fault_of(stored):
                raise damaged(name, f"entry {shown(stored.entry.key)}: {fault}")
            yield stored


def _write(path: Path, rows: Iterator[Stored]) -> int:
    """Write a segment and sync it.

    Returns:
        Rows written.
    """
    n_rows = 0
    dictionaries = ["fingerprint", "kind", "prompt", "prompt_hash", "finish"]
    with path.open("wb") as file:
        with pq.ParquetWriter(
            file,
            SCHEMA,
            compression="zstd",
            use_dictionary=dictionaries,  # pyright: ignore[reportArgumentType]  # or a bool
            column_encoding=_PACKED,
            write_page_checksum=True,
            store_schema=False,
        ) as writer:
            for group in groups(rows):
                writer.write_table(table_of(group))
                n_rows += len(group)
        file.flush()
        os.fsync(file.fileno())
    return n_rows


def _check(path: Path, n_rows: int, journal: str) -> None:
    """Read a segment back, and find every entry as it was."""
    with closing(Segment(path)) as segment:
        if segment.n_rows != n_rows:
            raise damaged(journal, f"a new segment has {segment.n_rows} of {n_rows} rows")
        for group in range(segment.n_groups):
            rows = segment.read_group(group, prompts=True)
            for row in range(len(rows)):
                if fault := fault_of(stored := rows.stored(row)):
                    key = shown(stored.entry.key)
                    raise damaged(journal, f"entry {key} of a new segment: {fault}")


def _record(
    db: sqlite3.Connection, before: list[tuple[int, str]], row: tuple[int, str, int, str], last: int
) -> None:
    """Record a segment and drop the rows that it holds, in one transaction."""
    # This build of SQLite may overwrite what it deletes with zeros: as much work as writing it.
    db.execute("PRAGMA secure_delete=OFF")
    db.execute("BEGIN IMMEDIATE")
    try:
        if _listed(db) != before:
            # Row numbers may have been used again since; what is deleted would not be in here.
            raise JournalError("the journal was compacted by another process at the same time")
        db.execute("INSERT INTO segments (id, name, n_rows, sha256) VALUES (?, ?, ?, ?)", row)
        if db.execute("SELECT max(id) FROM answers").fetchone()[0] == last:
            # Without a condition SQLite drops whole tables at once.
            db.execute("DELETE FROM answers")
            db.execute("DELETE FROM prompts")
        else:
            db.execute("DELETE FROM answers WHERE id <= ?", (last,))
            db.execute(
                "DELETE FROM prompts WHERE id NOT IN "
                "(SELECT prompt_id FROM answers WHERE prompt_id IS NOT NULL)"
            )
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _vacuum(db: sqlite3.Connection) -> None:
    # Somebody else at work on the file, or too little room: then the space is used again later.
    with suppress(sqlite3.OperationalError):
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
