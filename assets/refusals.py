"""Shards that were refused: noted when it happens, and respected by what makes shards by itself.

The surprising fact: only what would happen again is noted. A check reads tables that come out the
same as long as code, settings and sources are the same; the failure of an engine or of a network is
none of it, and is tried again.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from assets.versions import made_by, shard_versions
from assets.workspace import Workspace
from datagen.config import Settings
from datagen.errors import SeedError
from datagen.shards import Refusal, refuse, refused_at, shard_folder


def note_refusal(workspace: Workspace, reasons: Mapping[str, str]) -> None:
    """Keep why the shard of this run is refused: what found a fault → what it found."""
    refuse(workspace.folder, Refusal(reasons, made_by(workspace)))


@contextmanager
def noting_unusable(workspace: Workspace) -> Generator[None]:
    """Note it if the rows that were taken in cannot be used at all."""
    try:
        yield
    except SeedError as error:
        note_refusal(workspace, {"seeds": str(error)})
        raise


def standing_refusal(out: Path, shard: str, settings: Settings) -> Refusal | None:
    """Why a shard would be refused again if it were made today; ``None`` if it might not be."""
    found = refused_at(shard_folder(out, shard))
    return found if found and found.versions == shard_versions(out, shard, settings) else None
