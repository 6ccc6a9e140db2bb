"""What runs at the other end: one engine, one shard after another.

A plain class, which knows nothing of Ray. Ray calls :meth:`Worker.work` in one thread and
:meth:`Worker.progress` in another, so a question never waits for a stage.
"""

import os
import socket
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import polars as pl

from datagen.cluster.stages import STAGES, Snapshot, StageName, Tables
from datagen.config import Settings
from datagen.engines.protocol import Engine
from datagen.journal import Journal
from datagen.verify import use_verifiers


class Worker:
    """Runs stages on shards.

    Args:
        settings: name the engine, which is opened for the first shard and kept for all others.
        open_engine: how to open it.
    """

    def __init__(self, settings: Settings, open_engine: Callable[[Settings], Engine]) -> None:
        self._settings, self._open_engine = settings, open_engine
        self._engine: Engine | None = None
        self._snapshot: Snapshot | None = None

    def where(self) -> str:
        """The node and process that this is, for messages."""
        return f"{socket.gethostname()}, process {os.getpid()}"

    def work(
        self, stage: StageName, tables: Tables, settings: Settings, journal_path: Path
    ) -> tuple[dict[str, pl.DataFrame], Snapshot]:
        """Run a stage on a shard.

        Args:
            stage: name of the stage.
            tables: of the shard.
            settings: with the shard's share of the budget.
            journal_path: the shard's journal.

        Returns:
            The shard's tables and its last progress.
        """
        if self._engine is None:
            use_verifiers(settings.seeds.verifiers)
            self._engine = self._open_engine(self._settings)
        try:
            # Exclusive, since the folder that all nodes see is on a network file system.
            with Journal(journal_path, exclusive=True) as journal:
                made, progress = STAGES[stage](tables, self._engine, journal, settings, self._note)
            return made, self._snapshot or progress
        finally:
            # Nobody is to take it for the progress of the next shard.
            self._snapshot = None

    def _note(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def progress(self) -> Snapshot | None:
        """Where the shard under way stands; ``None`` before its first news."""
        return deepcopy(self._snapshot)

    def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
