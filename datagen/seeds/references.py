"""Tells what a seed reference points to: a file, a folder, or a dataset on the Hugging Face Hub.

The surprising fact: what exists on disk wins. ``org/name`` is both a fine relative path and a Hub
name, and a reader that asked the network first would behave differently on a train.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from datagen.errors import ConfigError, SeedError

Format = Literal["auto", "jsonl", "parquet", "gsm8k", "hf"]
Container = Literal["jsonl", "parquet", "hf"]

_CONTAINER_OF_SUFFIX: Final[dict[str, Container]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
_HUB: Final = re.compile(
    r"(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[^:@/\s]+))?(?:@(?P<revision>\S+))?"
)
_LOCAL_WITH_CONFIG: Final = re.compile(r"(?P<name>.+):(?P<config>[^:@/\s]+)")


@dataclass(frozen=True, slots=True)
class Reference:
    """A resolved seed reference.

    Attributes:
        text: what the user gave; used in messages.
        path: the local file or folder, or ``None`` for the Hub.
        name: file, folder or Hub name; the default source of the seeds.
        config: the configuration of a Hugging Face dataset.
        revision: the revision on the Hub.
        split: the split of a Hugging Face dataset.
    """

    text: str
    path: Path | None
    name: str
    config: str | None = None
    revision: str | None = None
    split: str | None = None

    @property
    def file(self) -> Path:
        """The local file of a reference that is read as ``jsonl`` or ``parquet``."""
        if self.path is None:
            raise SeedError(f"{self.text!r} is no local file")
        return self.path


def resolve(
    path_or_ref: str | Path,
    format: str,
    split: str | None = None,
    *,
    formats: Sequence[str] = get_args(Format),
) -> tuple[Reference, Container]:
    """Find what ``path_or_ref`` means and which container it is read as.

    Args:
        path_or_ref: as the user gave it.
        format: one of ``formats``: ``auto``, a container, or the name of a dialect, whose files
            are JSON Lines unless their suffix says something else.
        split: the split of a Hugging Face dataset.
        formats: what the caller lets its users choose from.

    Raises:
        ConfigError: if ``format`` is unknown, or ``split`` is given for a plain file.
        SeedError: if there is nothing there, it is empty, or its kind cannot be told.
    """
    if format not in formats:
        raise ConfigError(f"format={format!r} is unknown; use one of {', '.join(formats)}")
    reference = replace(_reference(str(path_or_ref), format), split=split)
    container = _container(reference, format, formats)
    if split is not None and container != "hf":
        raise ConfigError(f"hf_split={split!r} is for Hugging Face datasets; {path_or_ref} is none")
    path = reference.path
    if container != "hf" and path is not None and not path.is_file():
        raise SeedError(
            f"{reference.text!r} is a folder; name a file, or pass format='hf' for a dataset folder"
        )
    if path is not None and path.is_file() and path.stat().st_size == 0:
        raise SeedError(f"{reference.text!r} is empty; write at least one row to it")
    return reference, container


def _reference(text: str, format: str) -> Reference:
    path = Path(text).expanduser()
    if path.exists():
        return Reference(text, path, path.resolve().name)
    if format not in ("jsonl", "parquet"):
        if (local := _LOCAL_WITH_CONFIG.fullmatch(text)) and Path(local["name"]).is_dir():
            path = Path(local["name"])
            return Reference(
                text, path, f"{path.resolve().name}:{local['config']}", local["config"]
            )
        hub = _HUB.fullmatch(text)
        if hub and Path(hub["name"]).suffix not in {*_CONTAINER_OF_SUFFIX, ".csv"}:
            name = f"{hub['name']}:{hub['config']}" if hub["config"] else hub["name"]
            return Reference(text, None, name, hub["config"], hub["revision"])
    raise SeedError(
        f"{text!r} does not exist (looked in {str(Path.cwd())!r}); give the path of a seed file, "
        "or a Hugging Face dataset as org/name, org/name:config or org/name@revision"
    )


def _container(reference: Reference, format: str, formats: Sequence[str]) -> Container:
    if format == "jsonl" or format == "parquet" or format == "hf":
        return format
    path = reference.path
    if path is None or path.is_dir():
        return "hf"
    container = _CONTAINER_OF_SUFFIX.get(path.suffix.lower())
    if container is None and format != "auto":
        return "jsonl"
    if container is None:
        raise SeedError(
            f"{reference.text!r}: the suffix {path.suffix!r} does not say what it is; pass "
            f"format= one of {', '.join(name for name in formats if name != 'auto')}"
        )
    return container
