"""How a run tells whoever started it where it stands.

Dagster's log is for its own UI, and each line of it is a database write. The command line listens
here instead. Both live in one process, so a list of listeners is enough.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from datagen.cluster import Snapshot
from datagen.search.budget import Progress
from datagen.search.run import RunProgress


class Listener(Protocol):
    """Is told of tables as they are written, and of the search as it goes on."""

    def table_written(self, name: str, n_rows: int) -> None:
        """A table is on disk."""
        ...

    def search_moved(self, progress: RunProgress) -> None:
        """The engine has answered a batch of the search."""
        ...

    def stage_moved(self, stage: str, progress: Progress) -> None:
        """The engine has answered a batch of a later stage."""
        ...


_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Register ``listener`` for the length of a block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def announce(table: str, n_rows: int) -> None:
    """Tell listeners that a table was written."""
    for listener in _listeners:
        listener.table_written(table, n_rows)


def report_stage(stage: str) -> Callable[[Snapshot], None]:
    """What tells listeners where ``stage``, which is not the search, stands."""

    def moved(progress: Snapshot) -> None:
        assert isinstance(progress, Progress)
        for listener in _listeners:
            listener.stage_moved(stage, progress)

    return moved


def report(progress: RunProgress) -> None:
    """Tell listeners where the search stands."""
    for listener in _listeners:
        listener.search_moved(progress)
