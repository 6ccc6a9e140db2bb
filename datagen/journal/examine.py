"""Examines a journal: pages, checksums, content addresses, segments, and what it holds.

The surprising fact: this can be done while a run is writing. All is read in one transaction, which
sees the journal as it was at one moment.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from datagen.journal.codec import Stored, fault_of, shown, text_of
from datagen.journal.failures import FAILURES, UNREADABLE, explained, is_damage
from datagen.journal.format import connect_read_only, version_of
from datagen.journal.salvage import stored_entries

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Count:
    """Intact entries of one engine and kind.

    Attributes:
        fingerprint: of the engine; ``None`` if it is not known (entries of format 1).
        kind: "completion", "choice", "score" or "evaluation".
        n_entries: how many.
        n_tokens: tokens generated for them.
    """

    fingerprint: str | None
    kind: str
    n_entries: int
    n_tokens: int


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        path: the SQLite file.
        version: of its format.
        counts: intact entries by engine and kind.
        n_segments: segments that it has.
        n_bytes: of file and segments.
        n_damaged: things that are not as they were written.
        damage: the first twenty of them, in words.
    """

    path: str
    version: int = 0
    counts: tuple[Count, ...] = ()
    n_segments: int = 0
    n_bytes: int = 0
    n_damaged: int = 0
    damage: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return self.n_damaged == 0

    @property
    def n_entries(self) -> int:
        """Intact entries."""
        return sum(count.n_entries for count in self.counts)

    @property
    def n_tokens(self) -> int:
        """Tokens generated for them."""
        return sum(count.n_tokens for count in self.counts)

    def found(self, damage: str) -> None:
        """Note one damage."""
        self.n_damaged += 1
        if len(self.damage) < _SHOWN:
            self.damage.append(damage)


class _Tally:
    def __init__(self) -> None:
        self._entries: Counter[tuple[str | None, str]] = Counter()
        self._tokens: Counter[tuple[str | None, str]] = Counter()

    def add(self, name: tuple[str | None, str], n_entries: int, n_tokens: int) -> None:
        self._entries[name] += n_entries
        self._tokens[name] += n_tokens

    def add_entry(self, stored: Stored) -> None:
        fingerprint = stored.entry.fingerprint
        name = None if fingerprint is None else text_of(fingerprint)
        self.add((name, stored.entry.kind), 1, stored.entry.n_tokens)

    def counts(self) -> tuple[Count, ...]:
        names = sorted(self._entries, key=lambda name: (name[0] or "", name[1]))
        return tuple(Count(*name, self._entries[name], self._tokens[name]) for name in names)


def verify(path: Path | str) -> Report:
    """Examine all of a journal; nothing is written.

    Raises:
        JournalError: if there is no such file, or it is no journal.
    """
    report, tally = Report(str(path)), _Tally()
    try:
        with closing(connect_read_only(report.path, cut_short=True)) as db:
            report.version = version_of(db) or 1
            report.n_bytes = Path(path).stat().st_size
            db.execute("BEGIN")
            _check_pages(db, report)
            if report.version > 1:
                _check_segments(db, report, tally)
            for stored in stored_entries(db, version_of(db)):
                if isinstance(stored, str):
                    report.found(stored)
                elif fault := fault_of(stored):
                    report.found(f"entry {shown(stored.entry.key)}: {fault}")
                else:
                    tally.add_entry(stored)
    except FAILURES as error:
        if not is_damage(error):
            raise explained(error, report.path) from error
        report.found(f"the list of its tables cannot be read: {error}")
    report.counts = tally.counts()
    return report


def _check_pages(db: sqlite3.Connection, report: Report) -> None:
    try:
        found = [row[0] for row in db.execute(f"PRAGMA integrity_check({_SHOWN})")]
    except UNREADABLE as error:
        found = [f"SQLite: {error}"]
    for message in found:
        if message != "ok":
            report.found(message)


def _check_segments(db: sqlite3.Connection, report: Report, tally: _Tally) -> None:
    try:
        listed = db.execute("SELECT name, n_rows, sha256 FROM segments ORDER BY id").fetchall()
    except UNREADABLE as error:
        report.found(f"the list of its segments cannot be read: {error}")
        return
    if not listed:
        return
    from datagen.journal.segments import Segment, folder_of

    report.n_segments = len(listed)
    for name, n_rows, sha256 in listed:
        path = folder_of(report.path) / name
        if not path.exists():
            report.found(f"the segment {name} with {n_rows} entries is missing")
            continue
        report.n_bytes += path.stat().st_size
        if sha256_of(path) == sha256:
            with closing(Segment(path)) as segment:
                for key, (n_entries, n_tokens) in segment.counts().items():
                    tally.add(key, n_entries, n_tokens)
            continue
        n_intact = 0
        for stored in intact_rows(path):
            n_intact += 1
            tally.add_entry(stored)
        report.found(f"the segment {name} is damaged: {n_rows - n_intact} of {n_rows} entries lost")


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def intact_rows(path: Path) -> Iterator[Stored]:
    """The entries of a damaged segment that are still what was written."""
    import pyarrow as pa

    from datagen.journal.segments import Segment

    unreadable = (OSError, ValueError, KeyError, TypeError, pa.ArrowException)
    try:
        segment = Segment(path)
    except unreadable:
        return
    with closing(segment):
        for group in range(segment.n_groups):
            with suppress(*unreadable):
                rows = segment.read_group(group, prompts=True)
                for row in range(len(rows)):
                    stored = rows.stored(row)
                    if fault_of(stored) is None:
                        yield stored
