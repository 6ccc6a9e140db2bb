"""Partitions: everything that is made of seeds is made shard by shard, and the datasets of all.

What asks a language model, or costs time, is partitioned; so are the checks, and a shard that fails
one stops itself. Reviews, datasets and what is published are of the whole: of the tables that were
``accepted`` of each shard.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, cast

import dagster as dg

from assets.workspace import default_settings
from datagen.shards import shard_names

Decorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]

_NAME: Final = "shards"

SHARDS: Final = dg.DynamicPartitionsDefinition(name=_NAME)
"""One partition per shard: ``main``, of the sources that the settings name, and one for each part
of what arrived since. The folders are the truth; the sensor ``new_seeds`` tells Dagster of them."""

ENGINE_POOL: Final = "engine"
"""Stages that ask the engine: as many at once as ``dagster.yaml`` lets share it."""

SEEDS_POOL: Final = "seeds"
"""Curation, which compares a shard with all others: one at a time."""

_is_attended: Final = ContextVar("attended", default=False)


@contextmanager
def attended() -> Generator[None]:
    """Within it nothing is tried again: whoever waits for a run wants to know at once, or to stop.

    Dagster takes an interruption for a failure, too, and would begin the step again.
    """
    token = _is_attended.set(True)
    try:
        yield
    finally:
        _is_attended.reset(token)


class _UnlessAttended(dg.RetryPolicy):
    """A policy that Dagster takes for none while somebody waits."""

    def __bool__(self) -> bool:
        return not _is_attended.get()


RETRY: Final = _UnlessAttended(
    max_retries=3,
    delay=default_settings().shards.retry_s,
    backoff=dg.Backoff.EXPONENTIAL,
    jitter=dg.Jitter.PLUS_MINUS,
)
"""Of what needs the engine, the Hub or the place where people review: any may be restarting."""

BY_SHARD: Final[dict[str, Any]] = {"partitions_def": SHARDS}
"""Of an asset that is made shard by shard."""

BY_ENGINE: Final[dict[str, Any]] = {
    **BY_SHARD,
    "pool": ENGINE_POOL,
    # What the engine has answered is in the journal, and is not asked again.
    "retry_policy": RETRY,
}
"""Of one for which the engine is asked, besides."""

READS_ACCEPTED: Final = "datagen/reads_accepted"
"""Tag of such an asset's op, by which the tables know what to read."""

OF_ALL: Final[dict[str, Any]] = {"deps": ["accepted"], "op_tags": {READS_ACCEPTED: "true"}}
"""Of an asset that is made of the accepted tables of all shards."""


def by_shard(**options: Any) -> Decorator:
    """Asset that is made shard by shard; options as of :func:`dagster.asset`."""
    return cast(Decorator, dg.asset(**BY_SHARD, **options))


def by_engine(**options: Any) -> Decorator:
    """Asset that is made shard by shard and for which the engine is asked."""
    return cast(Decorator, dg.asset(**BY_ENGINE, **options))


def of_all(*, deps: Sequence[str] = (), **options: Any) -> Decorator:
    """Asset that is made of the accepted tables of all shards, and of ``deps`` besides."""
    merged: dict[str, Any] = {**OF_ALL, **options, "deps": [*OF_ALL["deps"], *deps]}
    return cast(Decorator, dg.asset(**merged))


SHARD_TABLES: Final = (
    *("seeds", "code_seeds", "quarantine", "rejected_questions", "benchmark_checks"),
    *("executions", "code_tasks", "code_thoughts", "prefixes", "rollouts", "nodes"),
    *("rubric_rewards", "questions", "rejected_by_difficulty", "traces", "rejected_traces"),
    *("tags", "measured_traces", "critiques", "probes", "step_labels", "trace_labels"),
    *("corrections", "summaries"),
)
"""Tables that are made shard by shard."""

OR_EMPTY: Final = dg.AssetIn(metadata={"or_empty": True})
"""An input that counts as empty before it was made for the first time."""


def know_shards(instance: dg.DagsterInstance, out: Path) -> list[str]:
    """Tell Dagster of the shards that there are, and have it forget those that are gone.

    Returns:
        All shards.
    """
    there = shard_names(out)
    known = set(instance.get_dynamic_partitions(_NAME))
    if missing := [shard for shard in there if shard not in known]:
        instance.add_dynamic_partitions(_NAME, missing)
    for gone in known.difference(there):
        instance.delete_dynamic_partition(_NAME, gone)
    return there
