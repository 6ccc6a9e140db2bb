"""Takes sources in: cuts them into shards, and keeps a copy of each one's rows in its folder.

The surprising fact: shards are named by what they hold. A file that grew gives the same first
shards as before, which are there already, and only what is new in it becomes new ones; a file that
is put there twice gives none.

Rows are copied and not judged: the pipeline does so for each shard by itself, and what a later
version of it can read is still there.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from datagen.errors import DatagenError, SeedError
from datagen.files import replacing
from datagen.seeds.code.functions import holds_python
from datagen.seeds.huggingface import read_huggingface
from datagen.seeds.parquet import read_parquet
from datagen.seeds.references import resolve
from datagen.seeds.refusals import Refused
from datagen.shards.places import DESCRIPTION, MAIN, shard_folder, shard_names
from datagen.shards.sources import Source
from schemas import Shard

ROWS: Final = "source.jsonl"
MODULES: Final = "source"
"""Names of a shard's copy: its rows, or a folder of Python modules."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What was taken in.

    Attributes:
        shards: table ``shards``: all there are now, by name.
        new: names of those that are new.
        problems: a sentence for each source that could not be read.
    """

    shards: pl.DataFrame
    new: list[str]
    problems: list[str]


def take_in(out: Path, sources: Iterable[Source], *, max_rows: int) -> Intake:
    """Cut sources into shards, and make the folders of those that are new.

    A source that cannot be read stops nobody else's; an interrupted call is simply repeated.

    Args:
        out: the output folder.
        sources: what is to be taken in.
        max_rows: rows of a shard, at most.
    """
    new: list[str] = []
    problems: list[str] = []
    known = set(_digests(out))
    for source in sources:
        try:
            for part in _parts(source, max_rows):
                if part.digest not in known:
                    known.add(part.digest)
                    new.append(_keep(out, source, part))
        except (DatagenError, OSError) as error:
            problems.append(f"{source.text!r} was not taken in: {error}")
    return Intake(read_shards(out), new, problems)


def read_shards(out: Path) -> pl.DataFrame:
    """Table ``shards``, by name; without :data:`MAIN`, whose sources the settings name."""
    names = [name for name in shard_names(out) if name != MAIN]
    return Shard.from_rows(
        [json.loads((shard_folder(out, name) / DESCRIPTION).read_text("utf-8")) for name in names]
    )


def put_aside(out: Path, shard: str) -> Path:
    """Take a shard out of everything that is made from now on; its folder stays, under a dot.

    Its rows are not taken in again as long as they stand so in their source; to have it back, give
    the folder its old name.

    Raises:
        SeedError: if there is no such shard, or it is :data:`MAIN`.
    """
    folder = shard_folder(out, shard)
    if shard == MAIN or shard not in shard_names(out):
        others = ", ".join(name for name in shard_names(out) if name != MAIN) or "none"
        raise SeedError(f"{shard!r} is no shard that was taken in; there are: {others}")
    aside = folder.with_name(f".{shard}")
    folder.rename(aside)
    return aside


def shard_source(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The copy of a shard's rows, and its row of table ``shards``.

    Raises:
        SeedError: if the folder is none of a shard.
    """
    try:
        described: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text("utf-8"))
    except FileNotFoundError:
        raise SeedError(
            f"there is no shard {folder.name!r} ({str(folder / DESCRIPTION)!r} is missing); "
            "`datagen shards` lists them"
        ) from None
    rows = folder / ROWS
    return (rows if rows.exists() else folder / MODULES), described


def _digests(out: Path) -> Iterator[str]:
    """Of all shards, those that were put aside too."""
    for pattern in ("*", ".*"):
        for path in (out / "shards").glob(f"{pattern}/{DESCRIPTION}"):
            yield json.loads(path.read_text("utf-8"))["digest"]


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a source: lines, or a folder of modules."""

    content: bytes | Path
    digest: str
    first_row: int
    n_rows: int | None


def _parts(source: Source, max_rows: int) -> Iterator[_Part]:
    path = source.path
    if path is not None and source.kind == "code" and holds_python(path):
        yield _Part(path, _digest_of_files(path), 0, None)
        return
    lines: list[bytes] = []
    first = at = 0
    for at, line in enumerate(_lines(source)):
        if len(lines) == max_rows:
            yield _part(lines, first)
            lines, first = [], at
        lines.append(line)
    if lines:
        yield _part(lines, first)


def _part(lines: list[bytes], first: int) -> _Part:
    content = b"".join(lines)
    return _Part(content, hashlib.sha256(content).hexdigest(), first, len(lines))


def _lines(source: Source) -> Iterator[bytes]:
    """The rows of a source as lines of JSON; those of a JSON Lines file as they are."""
    reference, container = resolve(source.text, "auto")
    if container == "jsonl":
        with reference.file.open("rb") as file:
            for line in file:
                yield line if line.endswith(b"\n") else line + b"\n"
        return
    read = read_parquet if container == "parquet" else read_huggingface
    for row_idx, row in read(reference):
        if isinstance(row, Refused):
            raise SeedError(f"row {row_idx} of {source.text!r} cannot be read: {row}")
        yield json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n"


def _digest_of_files(path: Path) -> str:
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        digest.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _keep(out: Path, source: Source, part: _Part) -> str:
    """Make the folder of a new shard, whole or not at all; returns its name."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(source.name).stem).strip("-")[:40] or "seeds"
    shard = f"{name}-{part.first_row}-{part.digest[:8]}"
    described = {
        "shard": shard,
        "kind": source.kind,
        "source": source.name,
        "revision": source.revision,
        "first_row": part.first_row,
        "n_rows": part.n_rows,
        "digest": part.digest,
    }
    with replacing(shard_folder(out, shard)) as folder:
        if isinstance(part.content, bytes):
            (folder / ROWS).write_bytes(part.content)
        elif part.content.is_dir():
            shutil.copytree(part.content, folder / MODULES)
        else:
            (folder / MODULES).mkdir()
            shutil.copy2(part.content, folder / MODULES)
        (folder / DESCRIPTION).write_text(
            json.dumps(described, ensure_ascii=False, indent=1) + "\n", "utf-8"
        )
    return shard
