"""The journal: every answer an engine ever gave, by content address.

Resuming is replay. A search that is run again asks the same questions and finds its answers here,
so nothing else about a run has to be saved. Keys hash the engine's fingerprint with the request, so
one journal serves many runs, configurations and algorithms; entries are only ever added.
"""

import hashlib
import json
import sqlite3
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from datagen.engines.protocol import (
    Answer,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Request,
    Score,
    ScoreRequest,
)
from datagen.errors import JournalError

_APPLICATION_ID: Final = 0x64676A31
"""SQLite's own field for "whose file is this"; the letters ``dgj1``."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answers (
    key      BLOB PRIMARY KEY,
    kind     TEXT NOT NULL,
    finish   TEXT,
    text     BLOB,
    n_tokens INTEGER NOT NULL,
    logprobs BLOB NOT NULL,
    ends     BLOB
) WITHOUT ROWID
"""
_CHUNK: Final = 500
_KINDS: Final[dict[type[Request], str]] = {
    CompletionRequest: "completion",
    ChoiceRequest: "choice",
    ScoreRequest: "score",
}


def journal_key(fingerprint: str, request: Request) -> str:
    """Content address of a request's answer: 32 hexadecimal digits."""
    fields = [fingerprint, _KINDS[type(request)], request.identity]
    identity = json.dumps(fields, ensure_ascii=False)
    # Text of a broken model can hold lone surrogates, which UTF-8 proper refuses.
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Journal:
    """An append-only SQLite file of answers.

    Args:
        path: the file, made if missing; ``":memory:"`` for a journal that is not kept.

    Raises:
        JournalError: if the file is no journal or is damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        try:
            if self.path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=60)
            self._claim()
            self._use_wal()
            # A commit reaches the disk before the search sees the answer, power cuts included.
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._broken(error) from error

    def _claim(self) -> None:
        # In this order: another process that is just making the file claims it before its table.
        n_tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        owner = self._db.execute("PRAGMA application_id").fetchone()[0]
        if n_tables and owner != _APPLICATION_ID:
            raise JournalError(
                f"{self.path!r} is a database of something else; name another file for the journal"
            )
        self._db.execute(f"PRAGMA application_id={_APPLICATION_ID}")

    def _use_wal(self) -> None:
        for wait_s in (0.01, 0.1, 1.0, 10.0, None):
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                # For this one lock SQLite does not wait, and another process may be opening too.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or wait_s is None:
                    raise
                time.sleep(wait_s)

    def _broken(self, error: Exception) -> JournalError:
        return JournalError(
            f"the journal {self.path!r} cannot be used: {error}. If the file is damaged, move it "
            "away; what it held will be generated again"
        )

    def look_up(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers that are known, by key."""
        found: dict[str, Answer] = {}
        try:
            for start in range(0, len(keys), _CHUNK):
                chunk = [bytes.fromhex(key) for key in keys[start : start + _CHUNK]]
                marks = ",".join("?" * len(chunk))
                rows = self._db.execute(
                    "SELECT key, kind, finish, text, logprobs, ends FROM answers "
                    f"WHERE key IN ({marks})",
                    chunk,
                )
                for key, *fields in rows:
                    found[key.hex()] = _read(*fields)
        except (sqlite3.DatabaseError, ValueError, TypeError, AttributeError) as error:
            # SQLite notices damage to its own pages; damage within an entry shows in reading it.
            raise self._broken(error) from error
        return found

    def append(self, answers: Mapping[str, Answer]) -> None:
        """Commit answers in one transaction: after a crash all of them are here, or none.

        An entry that exists already stays as it is.
        """
        # Outside the transaction, which an answer that cannot be written would leave open.
        rows = [(bytes.fromhex(key), *_written(answer)) for key, answer in answers.items()]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO answers VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", rows
            )
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._broken(error) from error

    def __len__(self) -> int:
        """Number of answers held."""
        return int(self._select("SELECT count(*) FROM answers")[0][0])

    def keys(self) -> Iterable[str]:
        """All keys, in no particular order."""
        return [row[0].hex() for row in self._select("SELECT key FROM answers")]

    def _select(self, query: str) -> list[Any]:
        try:
            return self._db.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close the file; a journal that is not closed loses nothing."""
        self._db.close()

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _written(answer: Answer) -> tuple[str, str | None, bytes | None, int, bytes, bytes | None]:
    """An answer as the columns after the key."""
    match answer:
        case Completion():
            # Bytes keep lone surrogates that a broken model may emit; SQLite text would not.
            return (
                "completion",
                answer.finish,
                answer.text.encode("utf-8", "surrogatepass"),
                answer.n_tokens,
                array("d", answer.logprobs).tobytes(),
                array("I", answer.ends).tobytes(),
            )
        case Choice():
            return ("choice", None, None, 0, array("d", answer.probabilities).tobytes(), None)
        case Score(logprobs, ends):
            # The column counts generated tokens, of which scoring has none.
            numbers, offsets = array("d", logprobs).tobytes(), array("I", ends).tobytes()
            return ("score", None, None, 0, numbers, offsets)


def _read(
    kind: str, finish: str | None, text: bytes | None, numbers: bytes, ends: bytes | None
) -> Answer:
    """The inverse of :func:`_written`."""
    floats, offsets = tuple(array("d", numbers)), tuple(array("I", ends or b""))
    match kind:
        case "completion":
            return Completion(
                (text or b"").decode("utf-8", "surrogatepass"),
                finish,  # pyright: ignore[reportArgumentType]  # written from a Finish
                floats,
                offsets,
            )
        case "choice":
            return Choice(floats)
        case "score":
            return Score(floats, offsets)
        case _:
            raise ValueError(f"it holds an answer of unknown kind {kind!r}")
