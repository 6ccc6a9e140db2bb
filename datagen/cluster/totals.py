"""From the progress of shards to the progress of a run, and from its budget to theirs.

A budget is handed out in shares, since a shard that had to ask for every token would wait for the
network. A shard that begins gets its part of what is left, by its number of seeds; what it does not
use goes back, and later shards have more.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from datagen.cluster.stages import Snapshot, StageName
from datagen.config import Settings
from datagen.search.budget import Progress
from datagen.search.run import RunProgress

P = TypeVar("P", bound=Snapshot)

_FORESEEN: Final = frozenset({"n_searches", "n_expected"})
"""Counts of what is to be done, which shards that have not begun will add to."""

_SPENT: Final = frozenset(
    {"n_generated", "n_tokens", "n_prompt_tokens", "n_cached_tokens", "n_retries", "cost"}
)
"""What was done, even if a dead worker did it."""

_LIMITS: Final[dict[StageName, dict[str, tuple[str, str]]]] = {
    "search": {"n_tokens": ("search", "budget_tokens"), "cost": ("search", "budget_cost")},
    "critiques": {"n_tokens": ("labels", "budget_tokens")},
    "labels": {"n_tokens": ("labels", "budget_tokens")},
    "code_thoughts": {"n_tokens": ("code", "budget_tokens")},
    "tags": {"n_tokens": ("factors", "budget_tokens")},
    "corrections": {"n_tokens": ("corrections", "budget_tokens")},
    "summaries": {"n_tokens": ("summaries", "budget_tokens")},
    "rubric_rewards": {},
}
"""By stage: what counts against which setting."""

_LEAST: Final = 1e-6
"""A share of nothing: the shard replays its journal and asks for next to nothing."""


def engine_progress(snapshot: Snapshot) -> Progress:
    """The scheduler's part of a snapshot."""
    return snapshot.engine if isinstance(snapshot, RunProgress) else snapshot


def add_up(snapshots: Sequence[P], *, seconds: float, begun: float = 1.0) -> P:
    """Progress of a run.

    Numbers are summed, and a flag is set if any is.

    Args:
        snapshots: of the shards; at least one.
        seconds: wall time of the run, since that of shards side by side does not add up.
        begun: share of the seeds whose shards have begun; what is still to be done is extrapolated.
    """

    def total(name: str) -> Any:
        values = [getattr(snapshot, name) for snapshot in snapshots]
        if name == "seconds":
            return seconds
        if is_dataclass(values[0]):
            return add_up(values, seconds=seconds, begun=begun)
        if isinstance(values[0], bool):
            return any(values)
        return round(sum(values) / begun) if name in _FORESEEN else sum(values)

    return replace(
        snapshots[0], **{field.name: total(field.name) for field in fields(snapshots[0])}
    )


def spent_only(snapshot: P) -> P:
    """What remains of an attempt that came to nothing: what it cost."""

    def kept(name: str) -> Any:
        value = getattr(snapshot, name)
        if is_dataclass(value):
            return spent_only(value)  # pyright: ignore[reportArgumentType]
        return value if name in _SPENT else type(value)()

    return replace(snapshot, **{field.name: kept(field.name) for field in fields(snapshot)})


class Purse:
    """What is left of a run's budget, and the shares that are out.

    Args:
        stage: whose budget it is.
        settings: the whole budget.
        n_seeds: of all shards.
    """

    def __init__(self, stage: StageName, settings: Settings, *, n_seeds: int) -> None:
        self._settings = settings
        self._limits = {
            counter: (section, name, limit)
            for counter, (section, name) in _LIMITS[stage].items()
            if (limit := getattr(getattr(settings, section), name)) is not None
        }
        self._left = {counter: float(limit) for counter, (*_, limit) in self._limits.items()}
        self._seconds = settings.search.budget_seconds if stage == "search" else None
        self._n_seeds = n_seeds

    def share(self, n_seeds: int, *, seconds: float) -> Settings:
        """Settings for a shard, with its share of the budget; give it back when the shard ends.

        Args:
            n_seeds: of the shard.
            seconds: wall time of the run so far. Time is not shared: all shards end together.
        """
        part = min(n_seeds / self._n_seeds, 1.0) if self._n_seeds else 1.0
        self._n_seeds -= n_seeds
        changed: dict[str, dict[str, Any]] = {}
        for counter, (section, name, limit) in self._limits.items():
            share = max(self._left[counter] * part, _LEAST)
            self._left[counter] -= share
            changed.setdefault(section, {})[name] = (
                max(int(share), 1) if isinstance(limit, int) else share
            )
        if self._seconds is not None:
            left = max(self._seconds - seconds, _LEAST)
            changed.setdefault("search", {})["budget_seconds"] = left
        return self._settings.model_copy(
            update={
                section: getattr(self._settings, section).model_copy(update=values)
                for section, values in changed.items()
            }
        )

    def give_back(self, shared: Settings, snapshot: Snapshot | None, *, n_seeds: int = 0) -> None:
        """Take back what a shard did not use.

        Args:
            shared: what :meth:`share` gave.
            snapshot: what became of it; ``None`` if nobody knows of anything.
            n_seeds: of the shard, if it has to begin again.
        """
        self._n_seeds += n_seeds
        for counter, (section, name, _) in self._limits.items():
            used = getattr(engine_progress(snapshot), counter) if snapshot else 0
            self._left[counter] += getattr(getattr(shared, section), name) - used
