"""What publishing a folder would change at a target: pure comparison, nothing is sent from here.

The surprising fact: only files that an earlier manifest lists are ours to overwrite or to delete.
Whatever else stands at the target is kept, and where it would be read as data of ours, or replaced
by a file of ours, the plan is refused instead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from datagen.errors import PublishError
from datagen.publish.card import CARD, MARK
from datagen.publish.manifest import MANIFEST, Manifest, parse_manifest
from datagen.publish.parquet import SplitFiles
from datagen.publish.transfer.source import Content, Source, listed

Action = Literal["add", "change", "delete"]


@dataclass(frozen=True, slots=True)
class There:
    """What a target holds now.

    Attributes:
        files: path → content, of every file.
        card: text of its card, or ``None`` if it has none.
        manifest: its manifest, or ``None`` if it has none that can be read.
    """

    files: Mapping[str, Content]
    card: str | None = None
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class SplitChange:
    """One split, there or to be.

    Attributes:
        config: its config.
        split: its name.
        before: rows that are there now; ``None`` if the split is not.
        after: rows to publish; ``None`` if the split is not published any more.
        same: whether it is the very same data.
        n_files: files to be.
        n_bytes: their size.
    """

    config: str
    split: str
    before: int | None
    after: int | None
    same: bool
    n_files: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that would change; ``n_bytes`` are sent."""

    path: str
    action: Action
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What publishing would do.

    Attributes:
        target: the target as a reader knows it.
        exists: whether anything is there yet.
        splits: rows of every split, there or to be, in the order of the card.
        files: the files that would change, by path.
        n_kept: files of ours that are there already.
        n_foreign: files of others that stay.
        settings: changes of who may read it, each a phrase.
    """

    target: str
    exists: bool
    splits: tuple[SplitChange, ...]
    files: tuple[FileChange, ...]
    n_kept: int
    n_foreign: int
    settings: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """What would be sent; contents that a hub has already are not sent again."""
        return sum(file.n_bytes for file in self.files)

    def of(self, action: Action) -> tuple[FileChange, ...]:
        """The files that would be added, changed or deleted."""
        return tuple(file for file in self.files if file.action == action)

    def summary(self) -> str:
        """One line on the files."""
        counts = [(len(self.of("add")), "to add"), (len(self.of("change")), "to change")]
        counts += [(len(self.of("delete")), "to delete"), (self.n_kept, "there already")]
        told = ", ".join(f"{n:,} {what}" for n, what in counts if n)
        if self.n_foreign:
            told += f", {self.n_foreign:,} of others kept"
        return f"files: {told}; {self.n_bytes:,} bytes to send"

    def __str__(self) -> str:
        lines = [f"{self.target}: {'there' if self.exists else 'new'}", *self.settings]
        for row in self.splits:
            rows = " → ".join("-" if n is None else f"{n:,}" for n in (row.before, row.after))
            lines.append(f"{row.config}/{row.split}: {rows} rows{', same' if row.same else ''}")
        return "\n".join((*lines, self.summary()))


@dataclass(frozen=True, slots=True)
class Publication:
    """What publishing did, or would have done.

    Attributes:
        plan: what was found to do.
        url: the commit, or the folder.
        commit: the commit that holds the data; ``None`` for a folder or a dry run.
        tag: the tag that names it; ``None`` for a folder.
        changed: whether anything was written; without it everything was there already.
        load: a line of Python that loads the first config.
    """

    plan: Plan
    url: str
    commit: str | None
    tag: str | None
    changed: bool
    load: str


def read_there(files: Mapping[str, Content], card: str | None, manifest: str | None) -> There:
    """What a target holds, from its files and the texts of its card and its manifest.

    A manifest that cannot be read counts as none: the dataset may be of an older format.
    """
    if manifest is None:
        return There(files, card)
    try:
        return There(files, card, parse_manifest(manifest, where=MANIFEST))
    except PublishError:
        return There(files, card)


def make_plan(
    source: Source, there: There | None, *, target: str, settings: tuple[str, ...] = ()
) -> Plan:
    """Compare a folder with what is at the target.

    Args:
        source: the folder.
        there: what is at the target; ``None`` if there is nothing.
        target: what to call it.
        settings: see :class:`Plan`.

    Raises:
        PublishError: if the target is somebody else's, or holds files in the way of ours.
    """
    files = {} if there is None else there.files
    before = None if there is None else there.manifest
    ours = frozenset({CARD, MANIFEST, *(() if before is None else listed(before))})
    foreign = sorted(files.keys() - ours)
    if there is not None:
        _refuse_foreign(source, there, foreign, target)
    changes: list[FileChange] = []
    for path, content in source.files.items():
        old = files.get(path)
        if old is None or not old.same_as(content):
            changes.append(FileChange(path, "change" if old else "add", content.size))
    gone = (files.keys() & ours) - source.files.keys()
    changes += (FileChange(path, "delete", 0) for path in gone)
    n_new = sum(change.action != "delete" for change in changes)
    return Plan(
        target=target,
        exists=bool(files),
        splits=tuple(_split_changes(before, source.manifest)),
        files=tuple(sorted(changes, key=lambda change: change.path)),
        n_kept=len(source.files) - n_new,
        n_foreign=len(set(foreign) - source.files.keys()),
        settings=settings,
    )


def _refuse_foreign(source: Source, there: There, foreign: list[str], target: str) -> None:
    # What a hub or git puts into every new repository begins with a dot.
    if all(path.startswith(".") for path in there.files):
        return
    if there.card is None or MARK not in there.card:
        why = f"has no {CARD}" if there.card is None else f"its {CARD} is of somebody else"
        raise PublishError(
            f"{target!r} holds files that datagen did not publish ({why}); give a new target, or "
            "an empty one"
        )
    for path in foreign:
        wanted = source.files.get(path)
        if wanted is not None and not there.files[path].same_as(wanted):
            why = "would be replaced"
        elif wanted is None and (config := _reads_as(path, source.manifest)):
            why = f"would be read as data of {config!r}"
        else:
            continue
        raise PublishError(
            f"{target!r} holds {path!r}, which no {MANIFEST} of datagen lists and which {why}; "
            "delete or rename it there, or give another target"
        )


def _reads_as(path: str, manifest: Manifest) -> str | None:
    """The config whose pattern of data files a path matches."""
    for name, config in manifest.configs.items():
        if any(PurePosixPath("/", path).match(f"/{name}/{split}-*") for split in config.splits):
            return name
    return None


def _split_changes(before: Manifest | None, after: Manifest) -> Iterator[SplitChange]:
    """By config and split; what is no longer published stands behind."""
    old, new = ({} if before is None else _splits(before)), _splits(after)
    for config, split in dict.fromkeys((*new, *old)):
        was, will = old.get((config, split)), new.get((config, split))
        yield SplitChange(
            config,
            split,
            before=was.rows if was else None,
            after=will.rows if will else None,
            same=was is not None and was == will,
            n_files=len(will.files) if will else 0,
            n_bytes=will.size if will else 0,
        )


def _splits(manifest: Manifest) -> dict[tuple[str, str], SplitFiles]:
    return {
        (name, split): files
        for name, config in manifest.configs.items()
        for split, files in config.splits.items()
    }
