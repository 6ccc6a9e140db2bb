"""The manifest of a published folder, ``datagen.json``: what is in it, to be compared by machines.

The surprising fact: the digest is of the data alone, its files and the types on the card, and not
of the card's text, the time or the code version. So the same data has the same digest whoever
publishes it, and publishing it twice need not be a second version.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from datagen.errors import PublishError
from datagen.publish.parquet import DataFile, SplitFiles, sha256_of
from datagen.publish.review import Review

MANIFEST: Final = "datagen.json"
FORMAT: Final = 1
"""Raise it with every change that an older reader would misunderstand."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file beside the data: the card or a picture.

    Attributes:
        path: relative to the repository, with ``/``.
        sha256: of its content, in hexadecimal digits.
        size: its bytes.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """One config.

    Attributes:
        features: SHA-256 of its features, as the card has them.
        splits: the splits that have rows.
    """

    features: str
    splits: Mapping[str, SplitFiles]

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits.values())

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Files of all splits."""
        return tuple(file for split in self.splits.values() for file in split.files)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that the questions were compared with; the fields are those of the table.

    Attributes:
        name: its name.
        source: where it was read from.
        digest: SHA-256 of its questions.
        n_rows: its questions.
        n_checked: questions of ours that were compared with it.
        n_rejected: questions of ours that it holds.
    """

    name: str
    source: str
    digest: str
    n_rows: int
    n_checked: int
    n_rejected: int


@dataclass(frozen=True, slots=True)
class RejectionCount:
    """What one rule of curation left out.

    Attributes:
        kind: ``question`` or ``trace``.
        rule: the rule.
        n: how many broke it.
    """

    kind: str
    rule: str
    n: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a published folder holds.

    Attributes:
        format: version of this format.
        digest: of the data, see :func:`content_digest`.
        code_version: the code that published it.
        taxonomy: version of the thought factors, if the data has any.
        license: the licence of the whole, as the card states it; ``None``: that of the seeds.
        licenses: licence → seeds.
        benchmarks: what the questions were compared with.
        rejections: what curation left out, or ``None`` if the data was not curated.
        review: what people said of it, or ``None`` if they have neither decided nor disputed any
            trace.
        configs: the configs, in the order of the card.
        documents: card and pictures.
    """

    format: int
    digest: str
    code_version: str
    taxonomy: str | None
    license: str | None
    licenses: Mapping[str, int]
    benchmarks: tuple[Benchmark, ...]
    rejections: tuple[RejectionCount, ...] | None
    review: Review | None
    configs: Mapping[str, ConfigFiles]
    documents: tuple[Document, ...]

    @property
    def data_files(self) -> tuple[DataFile, ...]:
        """The files of all configs."""
        return tuple(file for config in self.configs.values() for file in config.files)

    @property
    def rows(self) -> int:
        """Rows of all configs."""
        return sum(config.rows for config in self.configs.values())

    def to_json(self) -> str:
        """The content of ``datagen.json``; equal manifests give equal text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def content_digest(configs: Mapping[str, ConfigFiles]) -> str:
    """SHA-256, in hexadecimal digits, of all data files by path and of all configs' features."""
    lines = [f"{name}\0features\0{config.features}" for name, config in configs.items()]
    lines += [f"{file.path}\0{file.sha256}" for c in configs.values() for file in c.files]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def features_digest(features: Any) -> str:
    """SHA-256, in hexadecimal digits, of ``datasets.Features``."""
    return hashlib.sha256(json.dumps(features.to_dict(), sort_keys=True).encode()).hexdigest()


def documents(folder: Path, paths: Iterable[Path]) -> tuple[Document, ...]:
    """The files beside the data, by path."""
    return tuple(
        Document(path.relative_to(folder).as_posix(), sha256_of(path), path.stat().st_size)
        for path in sorted(paths)
    )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a published folder.

    Raises:
        PublishError: if the folder was not published by this pipeline, or its manifest is damaged
            or of another format.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise PublishError(
            f"{str(folder)!r} is no published dataset: it has no {MANIFEST}; make one with "
            "`datagen run`"
        ) from None
    except UnicodeDecodeError as error:
        raise PublishError(_damaged(str(path), str(error))) from None
    return parse_manifest(text, where=str(path))


def parse_manifest(text: str, *, where: str) -> Manifest:
    """Read a manifest from its text.

    Args:
        text: the content of ``datagen.json``.
        where: what to call it in errors.

    Raises:
        PublishError: if it is damaged or of another format.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise PublishError(_damaged(where, str(error))) from None
    version = found.get("format") if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if version != FORMAT:
        raise PublishError(
            f"{where!r} is of format {version!r}, and this datagen reads format {FORMAT}; publish "
            "the dataset again, or read it with the datagen that wrote it"
        )
    try:
        manifest = TypeAdapter(Manifest).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise PublishError(_damaged(where, f"{place}: {first['msg']}")) from None
    if strange := next((path for path in _paths(manifest) if not _is_inside(path)), None):
        raise PublishError(_damaged(where, f"a file is called {strange!r}"))
    if (digest := content_digest(manifest.configs)) != manifest.digest:
        raise PublishError(
            _damaged(where, f"its digest is {manifest.digest!r}, and its files give {digest!r}")
        )
    return manifest


def _paths(manifest: Manifest) -> list[str]:
    return [file.path for file in (*manifest.data_files, *manifest.documents)]


def _is_inside(path: str) -> bool:
    """Whether a path leads to a file of the repository; a manifest may come from anybody."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path


def _damaged(where: str, why: str) -> str:
    return f"{where!r} is damaged ({why}); publish the dataset again"
