"""What to do when SQLite refuses: each kind of failure in words, with the way out of it."""

import shlex
import sqlite3
from typing import Final

from datagen.errors import JournalError

UNREADABLE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged file can raise; SQLite's message may quote bytes that are no text."""

FAILURES: Final = (*UNREADABLE, OSError)
"""What opening, reading or writing any journal can raise."""

_KEPT = "Everything that was committed before is in it"


def explained(error: Exception, path: str) -> JournalError:
    """One of :data:`FAILURES` as an error of ours, which says what to do."""
    if is_damage(error):
        return damaged(path, str(error))
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    match code & 0xFF:  # the higher bits tell variants of one failure apart
        case sqlite3.SQLITE_FULL:
            return JournalError(
                f"no room for the journal {path!r}: the disk is full. {_KEPT}: free some space "
                "and run the same command again"
            )
        case sqlite3.SQLITE_IOERR:
            return JournalError(
                f"the storage of the journal {path!r} failed ({_name(error)}): a quota or file size"
                f" limit, a full disk, or a broken disk or network. {_KEPT}: mend the storage and "
                "run the same command again"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return JournalError(
                f"another process keeps the journal {path!r} to itself, or writes to it for long; "
                "wait until it has ended, then run the same command again"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return JournalError(
                f"the journal {path!r} cannot be opened or written ({error}): give this user write "
                "permission on the file and its folder, or name another place"
            )
        case sqlite3.SQLITE_NOTADB:
            return JournalError(
                f"{path!r} is no journal, or its beginning is destroyed; name another file, or "
                "move this one away: what it held will be generated again"
            )
        case _:
            return JournalError(f"the journal {path!r} cannot be used: {error}")


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file's contents are not what was written."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return isinstance(error, UnicodeDecodeError) or code & 0xFF == sqlite3.SQLITE_CORRUPT


def damaged(path: str, detail: str) -> JournalError:
    """The error for a journal, or an entry of it, that is not what was written."""
    command = f"datagen journal verify {shlex.quote(path)} --repair"
    return JournalError(f"the journal {path!r} is damaged: {detail}. Run `{command}`")


def missing(path: str) -> JournalError:
    """The error for a path at which nothing is."""
    return JournalError(f"there is no journal at {path!r}; name its file or its run folder")


def _name(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", str(error))
