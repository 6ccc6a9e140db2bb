"""What to do when SQLite refuses: each kind of failure in words, with the way out of it."""

import shlex
import sqlite3

from datagen.errors import JournalError

_KEPT = "Everything that was committed before is in it"


def explained(error: Exception, path: str) -> JournalError:
    """An error of SQLite or the system as one of ours, which says what to do."""
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
        case sqlite3.SQLITE_CORRUPT:
            return damaged(path, str(error))
        case _:
            return JournalError(f"the journal {path!r} cannot be used: {error}")


def damaged(path: str, detail: str) -> JournalError:
    """The error for a journal, or an entry of it, that is not what was written."""
    command = f"datagen journal verify {shlex.quote(path)} --repair"
    return JournalError(f"the journal {path!r} is damaged: {detail}. Run `{command}`")


def _name(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", str(error))
