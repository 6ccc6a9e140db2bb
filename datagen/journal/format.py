"""The journal's tables in SQLite, and how a file is opened, made or brought up to date.

The surprising fact: the wide rows are not ordered by key. Keys are random, and a table ordered by
them rewrites a random page for each row; here rows are appended, and only small indexes are random.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from datagen.errors import JournalError
from datagen.journal.codec import Entry, Stored, checksum, is_intact, shown
from datagen.journal.failures import damaged, missing

APPLICATION_ID: Final = 0x64676A31
"""SQLite's own field for "whose file is this"; the letters ``dgj1``."""

VERSION: Final = 2
"""SQLite's ``user_version``. Format 1 has version 0, and neither requests nor checksums."""

MEMORY: Final = ":memory:"

_READ_WHAT_IS_LEFT: Final = "PRAGMA writable_schema=ON"
"""By this SQLite reads a file that is shorter than it should be."""

_BUSY_S: Final = 60.0
_ALONE_S: Final = 5.0
_CACHE_KIB: Final = 64 * 1024
_TABLES: Final = (
    "CREATE TABLE engines (id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE)",
    "CREATE TABLE prompts (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, text BLOB NOT NULL)",
    """CREATE TABLE answers (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, engine_id INTEGER, prompt_id INTEGER,
        kind TEXT NOT NULL, request BLOB, finish TEXT, text BLOB, n_tokens INTEGER NOT NULL,
        logprobs BLOB NOT NULL, ends BLOB, checksum INTEGER NOT NULL)""",
    "CREATE INDEX answers_by_engine ON answers (engine_id)",
    """CREATE TABLE segments (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n_rows INTEGER NOT NULL,
        sha256 TEXT NOT NULL)""",
)
_ANSWER: Final = "a.kind, a.request, a.finish, a.text, a.n_tokens, a.logprobs, a.ends, a.checksum"
_JOINED: Final = (
    "FROM answers a LEFT JOIN engines e ON e.id = a.engine_id "
    "LEFT JOIN prompts p ON p.id = a.prompt_id"
)
ENTRIES: Final = f"SELECT a.key, e.fingerprint, p.hash, {_ANSWER} {_JOINED}"
"""Fields of :class:`Entry`, then its checksum."""

STORED: Final = f"SELECT a.id, p.text, a.key, e.fingerprint, p.hash, {_ANSWER} {_JOINED}"
"""Row number and prompt before those of :data:`ENTRIES`; see :func:`stored_of`."""

PROMPTLESS: Final = (
    f"SELECT a.prompt_id, NULL, a.key, e.fingerprint, NULL, {_ANSWER} "
    "FROM answers a LEFT JOIN engines e ON e.id = a.engine_id"
)
"""As :data:`STORED`, when the table of prompts cannot be read."""


def stored_of(row: Any) -> Stored:
    """A row of :data:`STORED` or :data:`PROMPTLESS`."""
    return Stored(Entry(*row[2:-1]), row[1], row[-1])


def connect(path: str, *, exclusive: bool = False) -> sqlite3.Connection:
    """Open a journal for writing; it is made, or brought up to date, if need be.

    Raises:
        sqlite3.DatabaseError: if SQLite refuses.
        JournalError: if the file belongs to something else, or to a newer version of this.
    """
    db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
    try:
        if exclusive:
            # Before anything else: then the index of the log stays in this process's memory.
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
        _check_owner(db, path)
        _use_wal(db)
        # A commit reaches the disk before the search sees the answer, power cuts included.
        db.execute("PRAGMA synchronous=FULL")
        # The random part of an insert is in the indexes; they should stay in memory.
        db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        if version_of(db) != VERSION:
            _bring_up_to_date(db, path)
    except BaseException:
        db.close()
        raise
    return db


def connect_read_only(path: str, *, cut_short: bool = False) -> sqlite3.Connection:
    """Open an existing file for reading.

    Args:
        path: the file.
        cut_short: read what is there of a file that is shorter than it should be.

    Raises:
        sqlite3.DatabaseError: if SQLite refuses.
        JournalError: as :func:`connect`, or if there is no such file.
    """
    if not Path(path).exists():
        raise missing(path)
    address = Path(path).resolve().as_uri() + "?mode=ro"
    db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY_S)
    if cut_short:
        db.execute(_READ_WHAT_IS_LEFT)
    try:
        _check_owner(db, path)
    except sqlite3.OperationalError as error:
        db.close()
        # SQLite wants to write beside the file even to read it. In a folder where nobody can, an
        # empty log means that the file alone is the whole journal.
        log = Path(path + "-wal")
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        if log.exists() and log.stat().st_size:
            raise
        db = sqlite3.connect(address + "&immutable=1", uri=True, isolation_level=None)
        _check_owner(db, path)
    return db


def connect_alone(path: str) -> sqlite3.Connection:
    """Open a damaged file for reading, and keep everybody else out.

    Raises:
        sqlite3.DatabaseError: if SQLite refuses, or anybody else has it open.
        JournalError: if it is no journal.
    """
    if not Path(path).exists():
        raise missing(path)
    db = sqlite3.connect(path, isolation_level=None, timeout=_ALONE_S)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute(_READ_WHAT_IS_LEFT)
        # Not by its tables: their list may be what is damaged.
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise JournalError(f"{path!r} is no journal, so nothing in it can be repaired")
    except BaseException:
        db.close()
        raise
    return db


def version_of(db: sqlite3.Connection) -> int:
    """The file's ``user_version``."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether there are no tables."""
    return db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def _check_owner(db: sqlite3.Connection, path: str) -> None:
    # The tables first: another process that is just making the file makes all of it at once.
    empty = is_empty(db)
    owner = db.execute("PRAGMA application_id").fetchone()[0]
    if not empty and owner != APPLICATION_ID:
        raise JournalError(
            f"{path!r} is a database of something else; name another file for the journal"
        )
    if (version := version_of(db)) > VERSION:
        raise JournalError(
            f"the journal {path!r} has format {version}, and this version of datagen knows formats "
            f"up to {VERSION}; update datagen, or name another file"
        )


def _use_wal(db: sqlite3.Connection) -> None:
    for wait_s in (0.01, 0.1, 1.0, 10.0, None):
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # For this one lock SQLite does not wait, and another process may be opening too.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or wait_s is None:
                raise
            time.sleep(wait_s)


def _bring_up_to_date(db: sqlite3.Connection, path: str) -> None:
    """Make the tables, and move the entries of format 1 into them, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if version_of(db) != VERSION:  # else another process was quicker
            old = not is_empty(db)
            if old:
                db.execute("ALTER TABLE answers RENAME TO answers_1")
            for table in _TABLES:
                db.execute(table)
            if old:
                insert(db, _intact(first_format(db, "answers_1"), path), {})
                db.execute("DROP TABLE answers_1")
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _intact(old: Iterable[Stored], path: str) -> Iterator[Entry]:
    for entry, _, _ in old:
        if not is_intact(entry, None):
            raise damaged(path, f"entry {shown(entry.key)} cannot be read")
        yield entry


def first_format(
    db: sqlite3.Connection, table: str = "answers", *, order: str = "ASC"
) -> Iterable[Stored]:
    """The entries of format 1, by key."""
    rows = db.execute(
        "SELECT key, NULL, NULL, kind, NULL, finish, text, n_tokens, logprobs, ends "
        f"FROM {table} ORDER BY key {order}"
    )
    return (Stored(Entry(*row), None, None) for row in rows)


def insert(
    db: sqlite3.Connection, entries: Iterable[Entry], prompts: Mapping[bytes, bytes]
) -> None:
    """Insert entries and the prompts that they name; what is there already stays as it is.

    The engines that they name must be there.
    """
    db.executemany(
        "INSERT INTO prompts (hash, text) VALUES (?, ?) ON CONFLICT DO NOTHING", prompts.items()
    )
    db.executemany(
        "INSERT INTO answers (key, engine_id, prompt_id, kind, request, finish, text, n_tokens, "
        "logprobs, ends, checksum) VALUES (?, (SELECT id FROM engines WHERE fingerprint = ?), "
        "(SELECT id FROM prompts WHERE hash = ?), ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        ((*entry, checksum(entry)) for entry in entries),
    )


def insert_engines(db: sqlite3.Connection, fingerprints: Iterable[bytes]) -> None:
    """Insert fingerprints of engines that are not there yet."""
    db.executemany(
        "INSERT INTO engines (fingerprint) VALUES (?) ON CONFLICT DO NOTHING",
        [(fingerprint,) for fingerprint in fingerprints],
    )
