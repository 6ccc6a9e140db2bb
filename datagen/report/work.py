"""What each stage had the engine do: one small file per stage, which the report adds up.

The surprising fact: a stage that only replayed its journal leaves the earlier file as it is. What
it cost to make the data is asked, and not what it cost to find it again; and a run that changes
nothing thereby gives the same report, to the byte.

There is a file for each stage in the folder of each shard, because they run side by side in
processes of their own: nobody has to lock what nobody shares.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from datagen.search.budget import Progress

STAGES: Final[Mapping[str, str]] = {
    "code_thoughts": "Thoughts about code",
    "search": "Search",
    "rubric_rewards": "Rubric rewards",
    "tags": "Thought factors",
    "critiques": "Judges",
    "labels": "First errors",
    "corrections": "Self-corrections",
    "summaries": "Summaries",
}
"""Stages that ask the engine, in the order of the pipeline, with their names for people."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage had the engine do.

    Attributes:
        n_tokens: generated tokens.
        n_prompt_tokens: prompt tokens; ``n_cached_tokens`` of them were not read anew.
        n_generated: completions drawn from the engine.
        n_replayed: completions found in the journal, which cost nothing.
        cost: money, by the prices of the settings; 0 without prices.
        seconds: wall time; of shards that ran side by side, their sum.
        budget_spent: whether the budget ended it.
    """

    n_tokens: int
    n_prompt_tokens: int
    n_cached_tokens: int
    n_generated: int
    n_replayed: int
    cost: float
    seconds: float
    budget_spent: bool

    @classmethod
    def of(cls, progress: Progress) -> Self:
        """Of where a run ended."""
        return cls(**{field.name: getattr(progress, field.name) for field in fields(cls)})

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        """The sum; of nothing, none."""
        rows = [asdict(part) for part in parts]
        summed: dict[str, Any] = {
            field.name: sum(row[field.name] for row in rows) for field in fields(cls)
        }
        return cls(**summed | {"budget_spent": any(row["budget_spent"] for row in rows)})

    @property
    def asked(self) -> bool:
        """Whether anything was asked of a model, now or before."""
        return self.n_generated + self.n_replayed > 0


def record_work(folder: Path, stage: str, progress: Progress) -> None:
    """Keep what a stage did, in place of what it did before.

    Args:
        folder: for these files; made if need be.
        stage: one of :data:`STAGES`.
        progress: where it ended.

    Raises:
        ValueError: if there is no such stage.
    """
    if stage not in STAGES:
        raise ValueError(f"no such stage: {stage!r}; use {', '.join(STAGES)}")
    path = folder / f"{stage}.json"
    work, earlier = Work.of(progress), _read(path)
    if earlier and not work.n_generated and work.n_replayed == _n_completions(earlier):
        return
    folder.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(asdict(work), indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_work(*folders: Path) -> dict[str, Work]:
    """What was kept, by stage in the order of the pipeline; stages without a record are absent.

    A file that cannot be read is no record: it is about cost, and no reason to stop a run.

    Args:
        folders: one for each shard; they are added up.
    """
    found = {
        stage: [work for folder in folders if (work := _read(folder / f"{stage}.json"))]
        for stage in STAGES
    }
    return {stage: Work.total(parts) for stage, parts in found.items() if parts}


def _read(path: Path) -> Work | None:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return Work(**{field.name: found[field.name] for field in fields(Work)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _n_completions(work: Work) -> int:
    return work.n_generated + work.n_replayed
