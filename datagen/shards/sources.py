"""Sees what is there to be taken in: files, folders, and revisions of datasets on the Hub.

The surprising fact: a file that has just changed is not there yet. Whoever copies it may still be
at it, and half a file has a readable first half, so it has to lie still for a while.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datagen.errors import SeedError
from datagen.seeds.references import resolve
from schemas import SeedKind


@dataclass(frozen=True, slots=True)
class Source:
    """Something to read seeds from, in one state of it.

    Attributes:
        text: what names it: a path, or a Hub name with the commit.
        name: of the source, for its rows.
        kind: what it holds.
        revision: changes whenever it does.
    """

    text: str
    name: str
    kind: SeedKind
    revision: str

    @property
    def path(self) -> Path | None:
        """The file or folder; ``None`` for the Hub."""
        path = Path(self.text)
        return path if path.exists() else None


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen.

    Attributes:
        sources: what can be taken in.
        unsettled: paths that have changed a moment ago.
        problems: a sentence for each thing that cannot be looked at.
    """

    sources: list[Source]
    unsettled: list[Path]
    problems: list[str]

    @property
    def mark(self) -> str:
        """Changes whenever there is something else to be taken in: 16 hex digits."""
        told = "\n".join(
            f"{source.kind} {source.text} {source.revision}" for source in self.sources
        )
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def find_sources(
    seeds: Sequence[str], code: Sequence[str], *, settle_s: float = 10.0, now: float | None = None
) -> Found:
    """Look at what is watched.

    Args:
        seeds: files, folders and Hub names (``org/name``, ``org/name:config``,
            ``org/name@revision``) of seeds. Of a folder everything in it is a source of its own,
            but for names that begin with ``.`` or ``_`` or end in ``.tmp`` or ``.part``.
        code: the same of code seeds. A folder in a watched folder may hold Python modules.
        settle_s: seconds for which a file must not have changed.
        now: seconds since 1970; default: now.
    """
    now = time.time() if now is None else now
    found = Found([], [], [])
    watched: dict[SeedKind, Sequence[str]] = {"seeds": seeds, "code": code}
    for kind, texts in watched.items():
        for text in texts:
            try:
                for source, changed in _sources(text, kind):
                    if changed is not None and now - changed < settle_s:
                        found.unsettled.append(Path(source.text))
                    else:
                        found.sources.append(source)
            except (SeedError, OSError) as error:
                found.problems.append(str(error))
    return found


def file_revision(path: Path) -> tuple[str, float]:
    """What changes whenever a file, or any file in a folder, does; and when that was last.

    Raises:
        OSError: it cannot be looked at, perhaps because it is being moved.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    stats = [(file, file.stat()) for file in files]
    told = "\n".join(
        f"{file.relative_to(path)} {stat.st_size} {stat.st_mtime_ns}" for file, stat in stats
    )
    # A file that is moved into place keeps its old date; the move itself shows in ctime.
    changed = max((max(stat.st_mtime, stat.st_ctime) for _, stat in stats), default=0.0)
    return hashlib.sha256(told.encode()).hexdigest()[:16], changed


def _sources(text: str, kind: SeedKind) -> Iterator[tuple[Source, float | None]]:
    path = Path(text).expanduser()
    if path.is_dir():
        paths = sorted(entry for entry in path.iterdir() if _is_offered(entry))
    elif path.exists():
        paths = [path]
    else:
        yield _on_the_hub(text, kind), None
        return
    for entry in paths:
        revision, changed = file_revision(entry)
        yield Source(str(entry.absolute()), entry.name, kind, revision), changed


def _is_offered(entry: Path) -> bool:
    if entry.name.startswith((".", "_")) or entry.suffix in {".tmp", ".part"}:
        return False
    # An empty file is one that somebody has only begun to write.
    return entry.is_dir() or entry.stat().st_size > 0


def _on_the_hub(text: str, kind: SeedKind) -> Source:
    reference, _ = resolve(text, "auto")
    # Imported here because it takes a second, and most sources are files.
    from huggingface_hub import HfApi

    name = reference.name.partition(":")[0]
    try:
        commit = HfApi().dataset_info(name, revision=reference.revision).sha
    except Exception as error:  # a different type for each of a dozen causes
        raise SeedError(
            f"{text!r} cannot be looked up on the Hub ({type(error).__name__}: {error}); check the "
            "name, the network and, for a private dataset, `hf auth login`"
        ) from error
    return Source(f"{reference.name}@{commit}", reference.name, kind, commit or "")
