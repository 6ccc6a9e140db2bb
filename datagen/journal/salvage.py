"""Reads every entry that can still be read from a file whose pages may be damaged.

The surprising fact: damage is stepped over by row number. Row numbers have few gaps, and finding
one touches only the pages above it, so all rows outside the damaged pages are found.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Final

from datagen.journal.codec import Stored
from datagen.journal.failures import UNREADABLE
from datagen.journal.format import PROMPTLESS, STORED, first_format, stored_of

_ROWS_AT_ONCE: Final = 512
_MOST_ROWS_OF_A_PAGE: Final = 64
_HASHES: Final = "sqlite_autoindex_prompts_1"


def stored_entries(db: sqlite3.Connection, version: int) -> Iterator[Stored | str]:
    """Entries in the order in which they came, and in words what could not be read."""
    return _second(db) if version else _first(db)


def _second(db: sqlite3.Connection) -> Iterator[Stored | str]:
    at, last = 0, _last_row(db)
    while at < last:
        try:
            rows = db.execute(
                f"{STORED} WHERE a.id > ? ORDER BY a.id LIMIT {_ROWS_AT_ONCE}", (at,)
            ).fetchall()
        except UNREADABLE:
            end = min(at + _ROWS_AT_ONCE, last)
            yield from _one_by_one(db, range(at + 1, end + 1))
            at = end
        else:
            if not rows:
                return
            at = rows[-1][0]
            yield from map(stored_of, rows)


def _last_row(db: sqlite3.Connection) -> int:
    for query in (
        "SELECT max(id) FROM answers",
        "SELECT max(id) FROM (SELECT id FROM answers INDEXED BY answers_by_engine)",
        f"SELECT {_MOST_ROWS_OF_A_PAGE} * page_count FROM pragma_page_count",
    ):
        with suppress(*UNREADABLE):
            return int(db.execute(query).fetchone()[0] or 0)
    return 0


def _one_by_one(db: sqlite3.Connection, ids: range) -> Iterator[Stored | str]:
    @cache
    def hashes() -> dict[int, bytes]:
        # From their index, whose pages may be whole where those of the texts are not.
        with suppress(*UNREADABLE):
            return dict(
                db.execute("SELECT id, hash FROM prompts INDEXED BY sqlite_autoindex_prompts_1")
            )
        return {}

    for row_id in ids:
        try:
            row = db.execute(f"{STORED} WHERE a.id = ?", (row_id,)).fetchone()
            if row:
                yield stored_of(row)
        except UNREADABLE:
            try:
                row = db.execute(f"{PROMPTLESS} WHERE a.id = ?", (row_id,)).fetchone()
                stored = stored_of(row)
            except (*UNREADABLE, TypeError) as error:
                yield f"row {row_id} cannot be read: {error}"
            else:
                entry = stored.entry._replace(prompt_hash=hashes().get(row[0]))
                yield stored._replace(entry=entry)


def _first(db: sqlite3.Connection) -> Iterator[Stored | str]:
    """Format 1 is ordered by key: from both ends up to the damage."""
    last = b""
    try:
        for stored in first_format(db):
            yield stored
            last = stored.entry.key
        return
    except UNREADABLE as error:
        yield f"the entries after {last.hex() or 'the beginning'} cannot be read: {error}"
    with suppress(*UNREADABLE):
        for stored in first_format(db, order="DESC"):
            if stored.entry.key <= last:
                return
            yield stored
