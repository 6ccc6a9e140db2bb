"""The journal: every answer an engine ever gave, by content address.

Resuming is replay. A search that is run again asks the same questions and finds its answers here,
so nothing else about a run has to be saved. Keys hash the engine's fingerprint with the request, so
one journal serves many runs, configurations and algorithms; entries are only ever added.
"""

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from datagen.engines.protocol import Answer, Request
from datagen.errors import JournalError
from datagen.journal.codec import (
    Entry,
    answer_of,
    bytes_of,
    encode,
    is_intact,
    shown,
    text_of,
)
from datagen.journal.failures import FAILURES, damaged, explained
from datagen.journal.format import (
    ENTRIES,
    MEMORY,
    VERSION,
    connect,
    connect_read_only,
    insert,
    insert_engines,
    is_empty,
    version_of,
)

if TYPE_CHECKING:
    from datagen.journal.segments import Segments

_CHUNK: Final = 500


class Journal:
    """An append-only file of answers, with the segments that its older ones were moved to.

    Args:
        path: the SQLite file, made if missing; ``":memory:"`` for a journal that is not kept.
        read_only: open an existing file, and never write to it. Any number of readers may be open
            beside writers; they see whole batches.
        exclusive: keep the file to this process, so that SQLite needs no memory shared between
            processes, which network file systems do not give. Nobody else can read meanwhile.

    Raises:
        JournalError: if the file is no journal, is damaged, or cannot be opened.
    """

    def __init__(
        self, path: Path | str, *, read_only: bool = False, exclusive: bool = False
    ) -> None:
        if read_only and exclusive:
            raise ValueError("a journal is opened read_only or exclusive, not both")
        self.path = str(path)
        self._segments: Segments | None = None
        try:
            if read_only:
                self._db = connect_read_only(self.path)
                self._refuse_other_formats()
            else:
                if self.path != MEMORY:
                    Path(path).parent.mkdir(parents=True, exist_ok=True)
                self._db = connect(self.path, exclusive=exclusive)
        except FAILURES as error:
            raise explained(error, self.path) from error

    def _refuse_other_formats(self) -> None:
        if (version := version_of(self._db)) == VERSION:
            return
        empty = is_empty(self._db)
        self._db.close()
        if empty:
            raise JournalError(f"the journal {self.path!r} is empty: no run has written to it yet")
        raise JournalError(
            f"the journal {self.path!r} has format {version or 1}, and only a writer can bring it "
            f"to format {VERSION}: run a command that writes to it once, such as `datagen run`"
        )

    @contextmanager
    def _transaction(self, mode: str = "DEFERRED") -> Generator[None]:
        """One transaction, undone if the block raises; SQLite's errors become ours."""
        try:
            self._db.execute(f"BEGIN {mode}")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except FAILURES as error:
            raise explained(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Generator[sqlite3.Connection]:
        """The tables as they are at one moment, for reading many rows."""
        with self._transaction():
            yield self._db

    def look_up(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers that are known, by key.

        Raises:
            JournalError: if one of them is not what was written.
        """
        wanted = [bytes.fromhex(key) for key in keys]
        rows: list[Any] = []
        # List of segments and rows at once: a compaction in between would hide what it moves.
        with self._transaction():
            segments = self._current_segments()
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(chunk))
                rows += self._db.execute(f"{ENTRIES} WHERE a.key IN ({marks})", chunk)
        found = {row[0]: self._answer(Entry(*row[:-1]), row[-1]) for row in rows}
        if segments and (rest := [key for key in wanted if key not in found]):
            for stored in segments.look_up(rest):
                found[stored.entry.key] = self._answer(stored.entry, stored.checksum)
        return {key.hex(): answer for key, answer in found.items()}

    def _answer(self, entry: Entry, checksum: int | None) -> Answer:
        if not is_intact(entry, checksum):
            raise damaged(self.path, f"entry {shown(entry.key)} is not what was written")
        return answer_of(entry)

    def append(self, fingerprint: str, answered: Sequence[tuple[Request, Answer]]) -> None:
        """Commit answers in one transaction: after a crash all of them are here, or none.

        An entry that exists already stays as it is.

        Args:
            fingerprint: of the engine that answered.
            answered: requests with their answers.

        Raises:
            JournalError: if they cannot be written; then none of them is.
        """
        if not answered:
            return
        # Outside the transaction, so that an answer that cannot be written does not begin one.
        entries, prompts = encode(fingerprint, answered)
        with self._transaction("IMMEDIATE"):
            if segments := self._current_segments():
                moved = segments.known([entry.key for entry in entries])
                entries = [entry for entry in entries if entry.key not in moved]
                used = {entry.prompt_hash for entry in entries}
                prompts = {digest: text for digest, text in prompts.items() if digest in used}
            insert_engines(self._db, [bytes_of(fingerprint)])
            insert(self._db, entries, prompts)

    def _current_segments(self) -> "Segments | None":
        """The segments as the transaction sees them; ``None`` if there are none."""
        rows = self._db.execute("SELECT name, n_rows FROM segments ORDER BY id").fetchall()
        if not rows:
            return None
        if self._segments is None:
            # pyarrow takes a while to import, and most journals have no segments.
            from datagen.journal.segments import Segments

            self._segments = Segments(self.path)
        self._segments.refresh(rows)
        return self._segments

    def __len__(self) -> int:
        """Number of answers held."""
        query = "SELECT (SELECT count(*) FROM answers) + (SELECT total(n_rows) FROM segments)"
        with self._transaction():
            return int(self._db.execute(query).fetchone()[0])

    def __bool__(self) -> bool:
        """A journal is there even if nothing is in it yet."""
        return True

    def keys(self) -> Iterable[str]:
        """All keys, in no particular order."""
        with self._transaction():
            segments = self._current_segments()
            keys = [shown(row[0]) for row in self._db.execute("SELECT key FROM answers")]
        return [*(segments.keys() if segments else []), *keys]

    def engines(self) -> list[str]:
        """Fingerprints of the engines that ever wrote to it; quick, however long it is."""
        with self._transaction():
            rows = self._db.execute("SELECT fingerprint FROM engines ORDER BY id").fetchall()
        return [text_of(fingerprint) for (fingerprint,) in rows]

    def close(self) -> None:
        """Close the file; a journal that is not closed loses nothing."""
        if self._segments is not None:
            self._segments.close()
        self._db.close()

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
