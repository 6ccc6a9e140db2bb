"""Replaces a whole folder in one step, so that a reader finds the old one or the new one.

The surprising fact: POSIX has no call for it. ``rename`` refuses a target that has files, and two
renames leave a moment without any folder. Linux can exchange two paths at once, and that is what is
used; elsewhere it is the two renames, and a crash between them is mended by the next call.
"""

import ctypes
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_ABANDONED_S: Final = 86_400
"""Age at which a staging folder is surely of a process that was killed, and not of one at work."""


@contextmanager
def replacing(folder: Path) -> Generator[Path]:
    """Give an empty folder to fill; when the block ends well, it takes the place of ``folder``.

    If the block raises, or the process dies, ``folder`` stays what it was. What stood there before
    is deleted with all that it held: the caller says beforehand whether it may be.

    Args:
        folder: the folder to replace or to make; its parents are made as needed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _mend(folder)
    staging = Path(tempfile.mkdtemp(prefix=_staging_prefix(folder), dir=folder.parent))
    try:
        # Not the staging folder itself: that one is private to its owner, and the result is not.
        fresh = staging / folder.name
        fresh.mkdir()
        yield fresh
        _replace(folder, fresh)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replace(folder: Path, fresh: Path) -> None:
    if not folder.exists():
        fresh.rename(folder)
    elif not _exchange(folder, fresh):
        previous = _previous(folder)
        folder.rename(previous)
        try:
            fresh.rename(folder)
        except OSError:
            previous.rename(folder)
            raise
        shutil.rmtree(previous, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places at once; ``False`` where system or file system cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    paths = _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other)
    return rename(*paths, _RENAME_EXCHANGE) == 0


def _mend(folder: Path) -> None:
    """Undo what a process left that was killed at work on the same folder."""
    previous = _previous(folder)
    if previous.exists():
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
        else:
            previous.rename(folder)
    for entry in folder.parent.iterdir():
        if entry.name.startswith(_staging_prefix(folder)):
            with suppress(FileNotFoundError):  # its owner has just ended
                if time.time() - entry.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(entry, ignore_errors=True)


def _staging_prefix(folder: Path) -> str:
    return f".{folder.name}.new-"


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")
