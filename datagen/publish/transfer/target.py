"""Publishes a finished folder: to another folder, or to a repository on a Hub.

The surprising fact: both are the same act. The folder is complete, so publishing only checks it,
compares it with what is there, and transfers what differs, all at once; and where nothing differs,
nothing is written.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from datagen.errors import PublishError
from datagen.files import replacing
from datagen.publish.card import CARD
from datagen.publish.checks import check_repository
from datagen.publish.manifest import MANIFEST
from datagen.publish.transfer.plan import Plan, Publication, There, make_plan, read_there
from datagen.publish.transfer.source import Content, Source, content_of, read_source

_FOLDER: Final = "file:"
_HUB: Final = "hub:"
_REPO_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_TAG: Final = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to publish: a folder, or ``owner/name`` on the Hub; one of the two is ``None``."""

    folder: Path | None = None
    repo_id: str | None = None


def parse_target(target: str | Path) -> Target:
    """Tell folders from names on the Hub.

    A folder is a path that begins with ``/``, ``./``, ``../`` or ``~``, ends with ``/``, or is
    there already; ``owner/name`` is a repository. ``file:`` and ``hub:`` before it say which one is
    meant.

    Raises:
        PublishError: if it is neither.
    """
    if isinstance(target, Path):
        return Target(folder=target.expanduser())
    if target.startswith(_HUB) and _REPO_ID.fullmatch(target.removeprefix(_HUB)):
        return Target(repo_id=target.removeprefix(_HUB))
    if target.startswith(_FOLDER) and target != _FOLDER:
        return Target(folder=Path(target.removeprefix(_FOLDER)).expanduser())
    path_like = target.startswith(("/", "./", "../", "~")) or target.endswith("/")
    if path_like or target in (".", "..") or (target and Path(target).is_dir()):
        return Target(folder=Path(target).expanduser())
    if _REPO_ID.fullmatch(target):
        return Target(repo_id=target)
    raise PublishError(
        f"cannot tell what {target!r} is: write owner/name for a repository on the Hub, or "
        f"./{target.removeprefix(_HUB)} for a folder"
    )


def publish(
    folder: Path,
    target: str | Path,
    *,
    private: bool | None = None,
    gated: Literal["auto", "manual", False] | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
    require_benchmarks: tuple[str, ...] = (),
    license: str | None = None,
    min_reviewed_share: float = 0.0,
    min_alpha: float | None = None,
    on_plan: Callable[[Plan], None] = lambda _: None,
) -> Publication:
    """Make a target hold what a folder holds.

    The token for a Hub is the one in the environment (``HF_TOKEN``) or of the Hugging Face login;
    it is neither taken nor given anywhere else.

    Args:
        folder: a finished folder, see :func:`~datagen.publish.repository.write_repository`.
        target: where to, see :func:`parse_target`.
        private: whether only its owners may see the repository; ``None`` leaves it as it is, and
            the Hub to choose for a new one. A folder has no such setting.
        gated: who may read the repository: ``auto``, whoever asks; ``manual``, whom its owners
            let in; ``False``, anybody; ``None`` leaves it as it is. A folder has no such setting.
        tag: name of the tag; default: ``data-`` and the beginning of the data's digest. A folder
            has no tags.
        dry_run: say what would be done, and change nothing at all.
        message: title of the commit.
        require_benchmarks: benchmarks that the questions must have been compared with.
        license: the licence to publish under, where those of the seeds differ.
        min_reviewed_share: least share of the step-labelled traces that people must have decided,
            0 to 1.
        min_alpha: least agreement of the reviewers, as Krippendorff's alpha; ``None``: any.
        on_plan: called with what is going to be done, before it is; again if the target has
            changed since.

    Raises:
        PublishError: if a check fails, the target is somebody else's, or it cannot be written.
    """
    to = parse_target(target)
    if tag is not None and not _TAG.fullmatch(tag):
        raise PublishError(f"tag={tag!r} is no tag: use letters, digits, '.', '-' and '_'")
    checks = check_repository(
        folder,
        require_benchmarks=require_benchmarks,
        license=license,
        require_license=to.folder is None,
        min_reviewed_share=min_reviewed_share,
        min_alpha=min_alpha,
    )
    if failed := [check for check in checks if not check.passed]:
        told = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        raise PublishError(f"{str(folder)!r} is not fit to be published: {told}")
    source = read_source(folder)
    if to.folder is not None:
        return _publish_to_folder(source, to.folder, dry_run=dry_run, on_plan=on_plan)
    assert to.repo_id is not None
    # Whoever publishes to a folder need not wait for it.
    from datagen.publish.transfer.hub import publish_to_hub

    return publish_to_hub(
        source,
        to.repo_id,
        private=private,
        gated=gated,
        tag=tag,
        dry_run=dry_run,
        message=message,
        on_plan=on_plan,
    )


def _publish_to_folder(
    source: Source, folder: Path, *, dry_run: bool, on_plan: Callable[[Plan], None]
) -> Publication:
    folder = folder.resolve()  # a link to the folder goes on pointing to it
    origin = source.folder.resolve()
    if folder.is_relative_to(origin) or origin.is_relative_to(folder):
        raise PublishError(
            f"{str(folder)!r} is the folder that is published, in it or around it; give another"
        )
    try:
        there = _read_folder(folder, source)
        plan = make_plan(source, there, target=str(folder))
        on_plan(plan)
        if plan.files and not dry_run:
            _write_folder(source, folder, plan)
    except OSError as error:
        raise PublishError(
            f"cannot publish to {str(folder)!r}: {error.strerror or error}; see that "
            f"{str(error.filename or folder)!r} can be written"
        ) from error
    config = next(iter(source.manifest.configs))
    return Publication(
        plan=plan,
        url=str(folder),
        commit=None,
        tag=None,
        changed=bool(plan.files) and not dry_run,
        load=f"load_dataset({str(folder)!r}, {config!r})",
    )


def _read_folder(folder: Path, source: Source) -> There | None:
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise PublishError(f"{str(folder)!r} is a file; give a folder to publish to")
    paths = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    # What is not to be compared is not read: it may be anything, and of any size.
    files = {
        name: content_of(path) if name in source.files and path.is_file() else Content(0)
        for name, path in paths.items()
    }
    return read_there(files, _text(paths.get(CARD)), _text(paths.get(MANIFEST)))


def _text(path: Path | None) -> str | None:
    if path is None or not path.is_file():
        return None
    return path.read_text(encoding="utf-8", errors="replace")


def _write_folder(source: Source, folder: Path, plan: Plan) -> None:
    """Put the new folder together beside the old one, and let them change places."""
    changed = {change.path for change in plan.files}
    with replacing(folder) as fresh:
        for old in sorted(folder.rglob("*")) if folder.exists() else ():
            name = old.relative_to(folder).as_posix()
            if name not in changed:
                _keep(old, fresh / name)
        for path in source.files.keys() & changed:
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.folder / path, fresh / path)


def _keep(old: Path, new: Path) -> None:
    """Let a file, link or empty folder stand in the new folder too."""
    if old.is_dir() and not old.is_symlink():
        if not any(old.iterdir()):
            new.mkdir(parents=True, exist_ok=True)
        return
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(old, new, follow_symlinks=False)
