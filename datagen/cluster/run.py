"""A stage, here or over Ray, as the settings say."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from datagen.cluster.stages import STAGES, Snapshot, StageName, Tables
from datagen.config import Settings
from datagen.engines.protocol import Engine
from datagen.errors import ConfigError
from datagen.journal import Journal
from datagen.search.budget import Progress

_logger: Final = logging.getLogger(__name__)


def run_stage(
    stage: StageName,
    tables: Tables,
    settings: Settings,
    *,
    engine: Callable[[], Engine],
    journal_path: Path,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """Run a stage in this process, or on the cluster that ``ray.address`` names.

    Args:
        stage: name of the stage.
        tables: what it takes.
        settings: all settings.
        engine: the engine of this process; not called over Ray, where each worker has its own.
        journal_path: the journal of a run in this process. Over Ray each shard has its own, in
            the folder of that name without the ending.
        on_progress: told where the stage stands, as often as there is news.

    Raises:
        ConfigError: if Ray is wanted and not installed.
        EngineError: if the engine or the cluster is broken; run again to go on from the journal.
    """
    if settings.ray.address is None:
        with Journal(journal_path) as journal:
            opened = engine()
            _warn_of_other_engines(journal, opened.fingerprint)
            return STAGES[stage](tables, opened, journal, settings, on_progress)
    try:
        from datagen.cluster.ray_run import run_stage_on_ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigError(
            f"ray.address={settings.ray.address!r} needs Ray, which is not installed; "
            "run `pip install 'datagen[ray]'`, or leave ray.address unset"
        ) from error
    return run_stage_on_ray(
        stage,
        tables,
        settings,
        journal_folder=journal_path.with_suffix(""),
        on_progress=on_progress,
    )


def _warn_of_other_engines(journal: Journal, fingerprint: str) -> None:
    """Say so if a journal is full and yet of no use."""
    others = journal.engines()
    if others and fingerprint not in others:
        _logger.warning(
            "the journal %s holds answers of other engines only (%s). They are kept, but none is "
            "used: this run's engine is %s",
            journal.path,
            ", ".join(others),
            fingerprint,
        )
