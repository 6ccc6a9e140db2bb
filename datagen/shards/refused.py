"""Why a shard was not accepted, as it stands: for people, and so that no night repeats it in vain.

The surprising fact: a refusal is good only as long as nothing has changed that led to it. It keeps
the versions of code, settings, limits and sources beside its reasons, and whoever makes shards
compares them with today's.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

_REFUSED: Final = "refused.json"


class Refusal(NamedTuple):
    """Why a shard was refused.

    Attributes:
        reasons: what found a fault (a check, or the reading of the seeds) → what it found.
        versions: of what had made and checked the shard.
    """

    reasons: Mapping[str, str]
    versions: Mapping[str, str]


def refuse(folder: Path, refusal: Refusal) -> None:
    """Keep why a shard is refused, in place of earlier reasons.

    Args:
        folder: of the shard.
        refusal: why, and as it was made by what.
    """
    path = folder / _REFUSED
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(refusal._asdict(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    fresh.replace(path)


def refused_at(folder: Path) -> Refusal | None:
    """Why a shard was refused since it was accepted last; ``None`` if it was not."""
    try:
        return Refusal(**json.loads((folder / _REFUSED).read_text("utf-8")))
    except FileNotFoundError:
        return None


def forgive(folder: Path) -> None:
    """Forget that a shard was ever refused."""
    (folder / _REFUSED).unlink(missing_ok=True)
