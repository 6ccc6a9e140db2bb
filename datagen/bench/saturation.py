"""How much of an engine's speed is left when the whole pipeline runs on it.

Three rates of the same engine on the same problems, one after the other: the pipeline with all it
does (search, verification, journal on disk, tables), the same requests without any of that, and
the pipeline over one problem at a time. A machine's speed wanders, so the first two take turns.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import polars as pl

from datagen.bench.questions import bare_prefixes, world_problems
from datagen.bench.recorded import RecordingEngine, forget_prefixes, put_raw
from datagen.config import Settings
from datagen.engines.protocol import Engine
from datagen.journal import Journal
from datagen.search.run import SearchTables, search_prefixes

_WARM_UP: Final = 4
"""Problems solved before any clock starts: processes, caches and lazy imports."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Generated tokens, and the wall time they took."""

    n_tokens: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Tokens per second."""
        return self.n_tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Saturation:
    """What was measured.

    Attributes:
        pipeline: each whole run, tables included.
        raw: the requests of each, put to the engine without a pipeline.
        serial: one problem at a time, over the first ``n_serial`` problems.
        n_serial: see there.
        hit_rate: median share of the prompt tokens of a run that the engine had read before.
        outside_share: median share of the wall time of a run that no call was under way; ``None``
            where calls overlap and hide each other.
    """

    pipeline: tuple[Rate, ...]
    raw: tuple[Rate, ...]
    serial: Rate
    n_serial: int
    hit_rate: float
    outside_share: float | None

    @property
    def pipeline_per_s(self) -> float:
        """Median tokens per second of the pipeline."""
        return median(rate.per_s for rate in self.pipeline)

    @property
    def raw_per_s(self) -> float:
        """Median tokens per second of the engine alone."""
        return median(rate.per_s for rate in self.raw)

    @property
    def saturation(self) -> float:
        """Share of the engine's own speed that the pipeline reaches."""
        return self.pipeline_per_s / self.raw_per_s

    @property
    def speedup(self) -> float:
        """Speed over that of one problem at a time."""
        return self.pipeline_per_s / self.serial.per_s


def world_prefixes(n: int) -> pl.DataFrame:
    """Bare questions from the embedded reasoner's world, as table ``prefixes``; easy to hard."""
    return bare_prefixes(
        (f"bench-{idx}", problem.question, str(problem.answer))
        for idx, problem in enumerate(world_problems(n))
    )


def measure_saturation(
    engine: Engine,
    prefixes: pl.DataFrame,
    folder: Path,
    *,
    n_repeats: int,
    serial_s: float,
    note: Callable[[str], None],
) -> Saturation:
    """Run the pipeline and the raw requests by turns, then the problems one by one.

    Args:
        engine: the engine.
        prefixes: what to search from.
        folder: where the journals are, for as long as they are needed.
        n_repeats: turns.
        serial_s: no further problem is begun once the serial run has taken so many seconds.
        note: told what is going on.
    """
    _search(prefixes.tail(_WARM_UP), engine, folder)
    pipeline: list[Rate] = []
    raw: list[Rate] = []
    hit_rates: list[float] = []
    outside: list[float] = []
    for turn in range(n_repeats):
        of = f" ({turn + 1} of {n_repeats})" if n_repeats > 1 else ""
        note(f"pipeline over {prefixes.height} problems{of}")
        recording = RecordingEngine(engine)
        forget_prefixes(engine)
        tables, rate = _search(prefixes, recording, folder)
        pipeline.append(rate)
        hit_rates.append(tables.progress.cached_share)
        outside.append(1 - recording.seconds / rate.seconds)
        note(f"its {len(recording.requests)} requests without it{of}")
        forget_prefixes(engine)
        began = time.perf_counter()
        n_tokens = put_raw(engine, recording.requests)
        raw.append(Rate(n_tokens, time.perf_counter() - began))
    note("one problem at a time")
    forget_prefixes(engine)
    serial, n_serial = _serial(prefixes, engine, folder, serial_s)
    return Saturation(
        tuple(pipeline),
        tuple(raw),
        serial,
        n_serial,
        median(hit_rates),
        median(outside) if engine.concurrency == 1 else None,
    )


def _search(prefixes: pl.DataFrame, engine: Engine, folder: Path) -> tuple[SearchTables, Rate]:
    """One run of the pipeline with a journal of its own, which nothing can be replayed from."""
    settings = Settings()
    config = settings.search.generate_config(settings.engine.dialect)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        began = time.perf_counter()
        with Journal(Path(fresh) / "journal.sqlite") as journal:
            tables = search_prefixes(prefixes, engine, journal, config=config)
        return tables, Rate(tables.progress.n_tokens, time.perf_counter() - began)


def _serial(
    prefixes: pl.DataFrame, engine: Engine, folder: Path, serial_s: float
) -> tuple[Rate, int]:
    n_tokens, seconds, n = 0, 0.0, 0
    while n < prefixes.height and (n == 0 or seconds < serial_s):
        _, rate = _search(prefixes[n], engine, folder)
        n_tokens, seconds, n = n_tokens + rate.n_tokens, seconds + rate.seconds, n + 1
    return Rate(n_tokens, seconds), n
