"""Where shards are: one folder each, laid out like the output folder of a run.

The surprising fact: the output folder is itself the folder of a shard, the one of the sources that
the settings name. So a run that knows nothing of shards has one, and finds its tables where it
always did.
"""

from pathlib import Path
from typing import Final

MAIN: Final = "main"
"""Name of the shard of the sources that the settings name."""

DESCRIPTION: Final = "shard.json"
"""Name of the file that says what a shard is; without it a folder is none."""


def shard_folder(out: Path, shard: str) -> Path:
    """The folder of a shard.

    Args:
        out: the output folder.
        shard: its name.
    """
    return out if shard == MAIN else out / "shards" / shard


def shard_names(out: Path) -> list[str]:
    """All shards: :data:`MAIN`, then those that were taken in, by name."""
    found = sorted(path.parent.name for path in (out / "shards").glob(f"*/{DESCRIPTION}"))
    # A folder whose name begins with a dot is being made, or was put aside.
    return [MAIN, *(name for name in found if not name.startswith("."))]
