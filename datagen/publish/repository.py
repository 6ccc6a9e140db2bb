"""Writes tables as a local folder that is laid out as a Hugging Face dataset repository.

The surprising fact: an empty table is not written. A split without rows breaks loaders, so the card
names it as empty instead. The folder appears all at once or not at all, and equal data gives equal
bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from datagen.errors import PublishError
from datagen.publish.card import DEFAULT_TITLE, MARK, card
from datagen.publish.configs import CONFIGS
from datagen.publish.lineage import Lineage
from datagen.publish.metadata import front_matter
from datagen.publish.parquet import write_shards
from datagen.publish.swap import replacing

_CARD: Final = "README.md"


@dataclass(frozen=True, slots=True)
class Repository:
    """A dataset repository in a local folder.

    Attributes:
        folder: the folder.
        rows: config → rows, in the order of the card.
        empty: configs that were left out because they had no row.
        files: every file, relative to the folder, in alphabetical order.
        n_bytes: the size of all files.
    """

    folder: Path
    rows: Mapping[str, int]
    empty: tuple[str, ...]
    files: tuple[Path, ...]
    n_bytes: int


def write_repository(
    folder: Path,
    tables: Mapping[str, pl.DataFrame],
    *,
    lineage: Lineage,
    title: str = DEFAULT_TITLE,
    repo_id: str | None = None,
    longest_tokens: Mapping[str, int] | None = None,
    max_rows_per_file: int = 100_000,
) -> Repository:
    """Write a repository, in place of an earlier one.

    Args:
        folder: where to write: a new or empty folder, or one that this function wrote.
        tables: config → table, see :data:`datagen.publish.configs.CONFIGS`. A config that is not
            given is not mentioned.
        lineage: where the data came from.
        title: the dataset's name for people.
        repo_id: ``owner/name`` on the Hub, if known, for the examples on the card.
        longest_tokens: config → tokens of its longest row, where somebody counted them.
        max_rows_per_file: rows of one Parquet file.

    Raises:
        PublishError: if there is nothing to publish, a config is unknown, or the folder holds
            something that this function did not write.
        ContractError: if a table breaks its contract.
    """
    if unknown := [name for name in tables if name not in CONFIGS]:
        raise PublishError(f"no such config: {unknown[0]!r}; use {', '.join(CONFIGS)}")
    if max_rows_per_file < 1:
        raise PublishError(f"max_rows_per_file={max_rows_per_file!r} must be at least 1")
    filled = {name: tables[name] for name in CONFIGS if name in tables and tables[name].height}
    empty = tuple(name for name in CONFIGS if name in tables and name not in filled)
    if not filled:
        given = ", ".join(empty) or "none were given"
        raise PublishError(f"nothing to publish: every table is empty ({given})")
    folder = folder.resolve()  # a link to the folder goes on pointing to it
    _refuse_foreign(folder)
    with replacing(folder) as fresh:
        written = {
            name: write_shards(
                fresh / name, CONFIGS[name].contract.to_arrow(table), max_rows=max_rows_per_file
            )
            for name, table in filled.items()
        }
        head = front_matter(written, lineage=lineage, title=title)
        body = card(
            filled,
            empty=empty,
            lineage=lineage,
            title=title,
            repo_id=repo_id,
            longest_tokens=longest_tokens or {},
        )
        (fresh / _CARD).write_text(head + body, encoding="utf-8", newline="\n")
        files = sorted(path for path in fresh.rglob("*") if path.is_file())
        repository = Repository(
            folder=folder,
            rows={name: config.n_rows for name, config in written.items()},
            empty=empty,
            files=tuple(path.relative_to(fresh) for path in files),
            n_bytes=sum(path.stat().st_size for path in files),
        )
    return repository


def _refuse_foreign(folder: Path) -> None:
    """Raise if replacing the folder would delete anything that was not written here."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PublishError(f"{str(folder)!r} is a file; give a folder to publish to")
    entries = sorted(folder.iterdir())
    # Without our card even a folder of the same names is somebody else's dataset.
    has_card = any(entry.name == _CARD for entry in entries)
    foreign = [entry.name for entry in entries if not (has_card and _is_ours(entry))]
    if foreign:
        raise PublishError(
            f"{str(folder)!r} holds {foreign[0]!r}, which is not of a published dataset and would "
            "be deleted; give an empty folder or a new one"
        )


def _is_ours(entry: Path) -> bool:
    if entry.name == _CARD:
        return entry.is_file() and MARK in entry.read_text(encoding="utf-8", errors="replace")
    return (
        entry.name in CONFIGS
        and entry.is_dir()
        and all(path.is_file() and path.match("train-*.parquet") for path in entry.iterdir())
    )
