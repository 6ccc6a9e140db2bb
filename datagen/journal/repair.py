"""Repair: saves every good entry of a damaged journal into a fresh file.

The surprising fact: nothing is mended in place. The damaged files keep a name of their own for good
(``….damaged-1``), so a repair can lose nothing that was still there, and may be run again.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from datagen.journal.codec import Stored, fault_of, has_prompt, is_intact
from datagen.journal.compaction import SEGMENT_NAME, locked, sync_folder
from datagen.journal.examine import intact_rows, sha256_of
from datagen.journal.failures import FAILURES, UNREADABLE, explained, missing
from datagen.journal.format import connect, connect_alone, insert, insert_engines, version_of
from datagen.journal.salvage import stored_entries
from datagen.journal.segments import Segment, Segments, folder_of

_ROWS_AT_ONCE: Final = 512


@dataclass(slots=True)
class Repair:
    """What a repair did.

    Attributes:
        moved_to: where the damaged file is now.
        n_kept: entries of the journal now.
        n_stripped: those among them whose answer is good and whose prompt is lost.
        n_lost: entries that were found damaged; a page that cannot be read holds more.
    """

    moved_to: Path
    n_kept: int = 0
    n_stripped: int = 0
    n_lost: int = 0


def repair(path: Path | str) -> Repair:
    """Save every good entry into a fresh file, which takes the place of the damaged one.

    Raises:
        JournalError: if the file is no journal, or another process has it open.
    """
    name = str(Path(path).resolve())
    if not Path(name).exists():
        raise missing(name)
    try:
        with locked(name):
            return _repair(name)
    except FAILURES as error:
        raise explained(error, name) from error


def _repair(name: str) -> Repair:
    number = 1
    while Path(f"{name}.damaged-{number}").exists():
        number += 1
    done = Repair(Path(f"{name}.damaged-{number}"))
    fresh = f"{name}.repaired"
    for suffix in ("", "-wal", "-shm"):
        Path(fresh + suffix).unlink(missing_ok=True)
    intact, broken = _sorted_segments(folder_of(name))
    with closing(connect_alone(name)) as old, closing(connect(fresh)) as new:
        moved = _adopt(new, name, intact)
        done.n_kept = sum(n_rows for _, n_rows in moved)
        segments = Segments(name)
        segments.refresh(moved)
        with closing(segments):
            for rows in _batches(_good(old, broken, done)):
                known = segments.known([stored.entry.key for stored in rows])
                _save(new, [stored for stored in rows if stored.entry.key not in known])
        done.n_kept += int(new.execute("SELECT count(*) FROM answers").fetchone()[0])
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _replace(name, fresh, done.moved_to, broken, number)
    return done


def _sorted_segments(folder: Path) -> tuple[list[Path], list[Path]]:
    """Segments that are what their names say, and the others."""
    files = sorted(file for file in folder.iterdir() if SEGMENT_NAME.fullmatch(file.name))
    intact = [file for file in files if sha256_of(file).startswith(file.stem.split("-")[1])]
    return intact, [file for file in files if file not in intact]


def _adopt(new: sqlite3.Connection, name: str, intact: list[Path]) -> list[tuple[str, int]]:
    """Record segments in the fresh file, which the damaged one may no longer list."""
    for file in intact:
        with closing(Segment(file)) as segment:
            row = (int(file.name.split("-")[0]), file.name, segment.n_rows, sha256_of(file))
        new.execute("INSERT INTO segments (id, name, n_rows, sha256) VALUES (?, ?, ?, ?)", row)
    return new.execute("SELECT name, n_rows FROM segments").fetchall()


def _good(old: sqlite3.Connection, broken: list[Path], done: Repair) -> Iterator[Stored]:
    for file in broken:
        yield from intact_rows(file)
    for stored in _reachable(old):
        if isinstance(stored, str):
            done.n_lost += 1
        elif fault_of(stored) is None:
            yield stored
        elif stripped := _stripped(stored):
            done.n_stripped += 1
            yield stripped
        else:
            done.n_lost += 1


def _reachable(old: sqlite3.Connection) -> Iterator[Stored | str]:
    try:
        version = version_of(old)
    except UNREADABLE as error:
        yield str(error)
    else:
        yield from stored_entries(old, version)


def _stripped(stored: Stored) -> Stored | None:
    """An entry whose prompt is lost, without its request: replay finds its answer all the same."""
    if has_prompt(stored) or not is_intact(stored.entry, stored.checksum):
        return None
    return Stored(stored.entry._replace(request=None, prompt_hash=None), None, None)


def _batches(rows: Iterator[Stored]) -> Iterator[list[Stored]]:
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        yield batch


def _save(new: sqlite3.Connection, rows: list[Stored]) -> None:
    prompts = {
        stored.entry.prompt_hash: stored.prompt
        for stored in rows
        if stored.entry.prompt_hash is not None and stored.prompt is not None
    }
    new.execute("BEGIN IMMEDIATE")
    insert_engines(new, {row.entry.fingerprint for row in rows if row.entry.fingerprint})
    insert(new, [stored.entry for stored in rows], prompts)
    new.execute("COMMIT")


def _replace(name: str, fresh: str, aside: Path, broken: list[Path], number: int) -> None:
    """Give the damaged files their names for good, then put the fresh one in their place."""
    for suffix in ("", "-wal"):
        if Path(name + suffix).exists():
            _keep(Path(name + suffix), Path(f"{aside}{suffix}"))
    for file in broken:
        _keep(file, Path(f"{file}.damaged-{number}"))
    sync_folder(Path(name).absolute().parent)
    for suffix in ("-wal", "-shm"):
        # A log that stayed would be played into the fresh file.
        Path(name + suffix).unlink(missing_ok=True)
    Path(fresh).replace(name)
    for file in broken:
        file.unlink()
    sync_folder(Path(name).absolute().parent)
    sync_folder(folder_of(name))


def _keep(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # a file system without hard links
        shutil.copy2(file, name)
