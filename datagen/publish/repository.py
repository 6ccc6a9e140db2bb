"""Writes tables as a local folder that is laid out as a Hugging Face dataset repository.

The surprising fact: an empty table is not written, nor an empty split. A split without rows breaks
loaders, so the card names the table as empty instead. The folder is complete: whoever publishes it
elsewhere only copies it. It appears all at once or not at all, and equal data gives equal bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from datagen.errors import PublishError
from datagen.files import replacing
from datagen.publish.card import CARD, DEFAULT_TITLE, MARK, card
from datagen.publish.card.pictures import FIGURES, draw
from datagen.publish.configs import CONFIGS
from datagen.publish.curation import Curation
from datagen.publish.lineage import Lineage
from datagen.publish.manifest import (
    FORMAT,
    MANIFEST,
    ConfigFiles,
    Manifest,
    content_digest,
    documents,
    features_digest,
    read_manifest,
)
from datagen.publish.metadata import front_matter
from datagen.publish.parquet import MAX_BYTES_PER_FILE, row_bytes, write_split
from datagen.publish.review import Review
from datagen.publish.splits import parts, splits_of_rows
from schemas import SPLITS


@dataclass(frozen=True, slots=True)
class Repository:
    """A dataset repository in a local folder.

    Attributes:
        folder: the folder.
        manifest: what it holds.
        empty: configs that were left out because they had no row.
        files: every file, relative to the folder, in alphabetical order.
        n_bytes: the size of all files.
    """

    folder: Path
    manifest: Manifest
    empty: tuple[str, ...]
    files: tuple[Path, ...]
    n_bytes: int

    @property
    def rows(self) -> Mapping[str, int]:
        """Config → rows of all its splits, in the order of the card."""
        return {name: config.rows for name, config in self.manifest.configs.items()}


def write_repository(
    folder: Path,
    tables: Mapping[str, pl.DataFrame],
    *,
    questions: pl.DataFrame,
    lineage: Lineage,
    curation: Curation | None = None,
    review: Review | None = None,
    license: str | None = None,
    title: str = DEFAULT_TITLE,
    repo_id: str | None = None,
    longest_tokens: Mapping[str, int] | None = None,
    further: Callable[[Manifest], Mapping[str, str]] | None = None,
    max_bytes_per_file: int = MAX_BYTES_PER_FILE,
) -> Repository:
    """Write a repository, in place of an earlier one.

    Args:
        folder: where to write: a new or empty folder, or one that this function wrote.
        tables: config → table, see :data:`datagen.publish.configs.CONFIGS`. A config that is not
            given is not mentioned.
        questions: table ``questions``, which lists the question of every row and its split.
        lineage: where the data came from.
        curation: what was left out and what it was compared with; ``None``: it was not curated.
        review: what people said of it; ``None``: nobody has looked.
        license: the licence of the whole; ``None``: that of the seeds.
        title: the dataset's name for people.
        repo_id: ``owner/name`` on the Hub, if known, for the examples on the card.
        longest_tokens: config → tokens of its longest row, see
            :func:`datagen.publish.card.lengths.longest_tokens`.
        further: makes further documents, name → text, such as a report. It is given the manifest,
            but for the documents, since those may be about the data and its digest. The digest is
            not of them.
        max_bytes_per_file: size of one Parquet file before compression.

    Raises:
        PublishError: if there is nothing to publish, a config is unknown, a row is of a question
            that is not listed, a further document has no name of its own, or the folder holds
            something that this function did not write.
        ContractError: if a table breaks its contract.
    """
    if unknown := [name for name in tables if name not in CONFIGS]:
        raise PublishError(f"no such config: {unknown[0]!r}; use {', '.join(CONFIGS)}")
    if max_bytes_per_file < 1:
        raise PublishError(f"max_bytes_per_file={max_bytes_per_file!r} must be at least 1")
    filled = {name: tables[name] for name in CONFIGS if name in tables and tables[name].height}
    empty = tuple(name for name in CONFIGS if name in tables and name not in filled)
    if not filled:
        given = ", ".join(empty) or "none were given"
        raise PublishError(f"nothing to publish: every table is empty ({given})")
    folder = folder.resolve()  # a link to the folder goes on pointing to it
    _refuse_foreign(folder)
    splits = splits_of_rows(filled, questions)
    with replacing(folder) as fresh:
        configs = {
            name: _write_config(fresh, name, table, splits[name], max_bytes=max_bytes_per_file)
            for name, table in filled.items()
        }
        pictures = draw(filled, questions, fresh / FIGURES)
        manifest = _manifest(configs, lineage, curation, review, license)
        head = front_matter(
            configs, licenses=[license] if license else lineage.licenses, title=title
        )
        body = card(
            filled,
            manifest=manifest,
            lineage=lineage,
            questions=questions,
            curation=curation,
            empty=empty,
            title=title,
            repo_id=repo_id,
            longest_tokens=longest_tokens,
            pictures=[path.relative_to(fresh).as_posix() for path in pictures],
        )
        (fresh / CARD).write_text(head + body, encoding="utf-8", newline="\n")
        texts = further(manifest) if further else {}
        reports = [_write_document(fresh, name, text) for name, text in texts.items()]
        written = [fresh / CARD, *pictures, *reports]
        manifest = replace(manifest, documents=documents(fresh, written))
        (fresh / MANIFEST).write_text(manifest.to_json(), encoding="utf-8", newline="\n")
        files = sorted(path for path in fresh.rglob("*") if path.is_file())
        repository = Repository(
            folder=folder,
            manifest=manifest,
            empty=empty,
            files=tuple(path.relative_to(fresh) for path in files),
            n_bytes=sum(path.stat().st_size for path in files),
        )
    return repository


def _write_document(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    if path.name != name or name.startswith(".") or name in {MANIFEST, FIGURES} or path.exists():
        raise PublishError(f"a further document cannot be called {name!r}; give it another name")
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _write_config(
    folder: Path, name: str, table: pl.DataFrame, splits: pl.Series, *, max_bytes: int
) -> ConfigFiles:
    contract = CONFIGS[name].contract
    table = contract.validate(table)
    sizes = row_bytes(table)
    return ConfigFiles(
        features=features_digest(contract.features()),
        splits={
            split: write_split(
                folder / name,
                split,
                table.filter(mask),
                contract,
                sizes.filter(mask),
                max_bytes=max_bytes,
            )
            for split, mask in parts(splits).items()
        },
    )


def _manifest(
    configs: Mapping[str, ConfigFiles],
    lineage: Lineage,
    curation: Curation | None,
    review: Review | None,
    license: str | None,
) -> Manifest:
    """The manifest, but for the documents, which the card must be written for first."""
    return Manifest(
        format=FORMAT,
        digest=content_digest(configs),
        code_version=lineage.code_version,
        taxonomy=lineage.taxonomy,
        license=license,
        licenses=lineage.licenses,
        benchmarks=curation.benchmarks if curation else (),
        rejections=curation.rejections if curation else None,
        review=review if review and (review.n_reviewed or review.n_disputed) else None,
        configs=configs,
        documents=(),
    )


def _refuse_foreign(folder: Path) -> None:
    """Raise if replacing the folder would delete anything that was not written here."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PublishError(f"{str(folder)!r} is a file; give a folder to publish to")
    entries = sorted(folder.iterdir())
    # Without our card even a folder of the same names is somebody else's dataset.
    has_card = any(entry.name == CARD for entry in entries)
    documents, configs = _listed(folder)
    foreign = [
        entry.name for entry in entries if not (has_card and _is_ours(entry, documents, configs))
    ]
    if foreign:
        raise PublishError(
            f"{str(folder)!r} holds {foreign[0]!r}, which is not of a published dataset and would "
            "be deleted; give an empty folder or a new one"
        )


def _listed(folder: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Documents and configs that the folder's own manifest lists; none if it cannot be read."""
    try:
        manifest = read_manifest(folder)
    except PublishError:
        return frozenset(), frozenset(CONFIGS)
    # One of the user's own may have left the settings since.
    return frozenset(d.path for d in manifest.documents), frozenset({*CONFIGS, *manifest.configs})


def _is_ours(entry: Path, documents: frozenset[str], configs: frozenset[str]) -> bool:
    if entry.name == CARD:
        return entry.is_file() and MARK in entry.read_text(encoding="utf-8", errors="replace")
    if entry.name == MANIFEST or entry.name in documents:
        return entry.is_file()
    if entry.name == FIGURES:
        patterns = ["*.png"]
    elif entry.name in configs:
        patterns = [f"{split}-*.parquet" for split in SPLITS]
    else:
        return False
    return entry.is_dir() and all(
        path.is_file() and any(path.match(pattern) for pattern in patterns)
        for path in entry.iterdir()
    )
