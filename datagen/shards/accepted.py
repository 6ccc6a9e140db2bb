"""What of a shard may be published: its tables as they were when it last passed every check.

The surprising fact: nothing is copied. A table is replaced and never written into, so a hard link
keeps the accepted one for as long as it takes, however often the shard is made anew and fails.
"""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from datagen.files import replacing
from datagen.shards.places import shard_folder, shard_names
from datagen.shards.refused import forgive

_ACCEPTED: Final = "accepted"
_VERSIONS: Final = "versions.json"


def accept(folder: Path, tables: Collection[str], versions: Mapping[str, str]) -> Path:
    """Take the tables of a shard as they are now for what it holds, all of them at once.

    Args:
        folder: of the shard.
        tables: names; each must have been written.
        versions: of what made them, to be found again by :func:`accepted_at`.

    Returns:
        The folder of the accepted tables.
    """
    forgive(folder)
    accepted = folder / _ACCEPTED
    with replacing(accepted) as fresh:
        for name in tables:
            _link(folder / "tables" / f"{name}.parquet", fresh / f"{name}.parquet")
        (fresh / _VERSIONS).write_text(json.dumps(dict(versions), indent=1) + "\n", "utf-8")
    return accepted


def accepted_at(folder: Path) -> tuple[str, Mapping[str, str]] | None:
    """When a shard was accepted last, as a mark that changes each time, and by which versions.

    Returns:
        ``None`` if it never was.
    """
    path = folder / _ACCEPTED / _VERSIONS
    try:
        return str(path.stat().st_mtime_ns), json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None


def accepted_paths(out: Path, name: str, *, but: str | None = None) -> list[Path]:
    """Where a table of every shard that was accepted is, in the order of the shards.

    Args:
        out: the output folder.
        name: of the table. A shard accepted before there was such a table has none.
        but: a shard that is left out.
    """
    paths = (
        shard_folder(out, shard) / _ACCEPTED / f"{name}.parquet"
        for shard in shard_names(out)
        if shard != but
    )
    return [path for path in paths if path.exists()]


def accepted_tables(out: Path, name: str) -> list[pl.DataFrame]:
    """A table of every shard that was accepted; see :func:`accepted_paths`."""
    return [pl.read_parquet(path) for path in accepted_paths(out, name)]


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copy2(path, to)
