"""A folder that is to be published, and what its files hold.

The surprising fact: a file is known by two hashes. Hubs tell the SHA-256 of what they keep in their
large-file store and the hash of the git blob of everything else, so either must do to compare.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datagen.errors import PublishError
from datagen.publish.card import CARD
from datagen.publish.manifest import MANIFEST, Manifest, read_manifest

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds; a hash that is not known is ``None``.

    Attributes:
        size: its bytes.
        sha256: of the content, in hexadecimal digits.
        git: SHA-1 of the content as a git blob.
    """

    size: int
    sha256: str | None = None
    git: str | None = None

    def same_as(self, other: "Content") -> bool:
        """Whether both are surely the same content."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return self.git is not None and self.git == other.git


@dataclass(frozen=True, slots=True)
class Source:
    """A folder to publish.

    Attributes:
        folder: where it is.
        manifest: what it says of itself.
        files: path in the repository → content, of every file to publish.
    """

    folder: Path
    manifest: Manifest
    files: Mapping[str, Content]

    @property
    def content_tag(self) -> str:
        """The tag that names this data."""
        return f"data-{self.manifest.digest[:12]}"


def read_source(folder: Path) -> Source:
    """Read what is to be published: the files that the manifest lists, and the manifest.

    Raises:
        PublishError: if the folder is no published dataset, or a file is missing.
    """
    manifest = read_manifest(folder)
    paths = [*listed(manifest), MANIFEST]
    try:
        files = {path: content_of(folder / path) for path in sorted(paths)}
    except OSError as error:
        raise PublishError(
            f"cannot read {error.filename!r}, which {MANIFEST} lists: {error.strerror}; "
            "publish to this folder again"
        ) from error
    if CARD not in files:
        raise PublishError(f"{str(folder)!r} has no {CARD}; make it anew with `datagen run`")
    return Source(folder, manifest, files)


def content_of(path: Path) -> Content:
    """Hash a file, both ways in one pass."""
    size = path.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
            git.update(chunk)
    return Content(size, sha256.hexdigest(), git.hexdigest())


def listed(manifest: Manifest) -> Iterator[str]:
    """The paths of all files that a manifest lists; it does not list itself."""
    yield from (file.path for file in manifest.data_files)
    yield from (document.path for document in manifest.documents)
