"""Shards that were refused: noted when it happens, and respected by what makes shards by itself.

The surprising fact: only what would happen again is noted. A check reads tables that come out the
same as long as code, settings and sources are the same; the failure of an engine or of a network is
none of it, and is tried again.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from assets.versions import made_by
from assets.workspace import Workspace
from datagen.errors import SeedError
from datagen.shards import Refusal, refuse, refused_at


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


def standing_refusal(folder: Path, versions: Mapping[str, str]) -> Refusal | None:
    """Why a shard would be refused again if it were made today; ``None`` if it might not be.

    Args:
        folder: of the shard.
        versions: today's, as of :func:`assets.versions.shard_versions`.
    """
    found = refused_at(folder)
    return found if found and found.versions == versions else None
