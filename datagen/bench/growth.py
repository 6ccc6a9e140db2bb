"""Whether a run of many seeds takes more per seed than a run of few: ``python -m`` this module.

The toy policy answers in place of a model and takes next to no time, so what is measured is all
the rest: search, verification, scheduler, journal on disk, tables written piece by piece. Each size
runs in a fresh process, since memory once used is rarely given back.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal

import polars as pl

from datagen.bench.memory import peak_memory_mib
from datagen.bench.questions import bare_prefixes
from datagen.config import Settings
from datagen.engines.fake import FakeEngine, toy_prefer, toy_question, toy_rate, toy_write
from datagen.engines.protocol import Request
from datagen.errors import DatagenError
from datagen.journal import Journal
from datagen.search.run import stream_prefixes

_TARGETS: Final = (6, 7, 8, 9, 10)
_BATCH_SIZE: Final = 256
_WARM_UP: Final = 16
"""Seeds searched before the clock starts: lazy imports, and processes that verify."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        n_seeds: how many.
        seconds: wall time of the call, tables written included.
        cpu_s: processor time of the same.
        n_tokens: tokens that the toy policy wrote.
        peak_mib: most memory resident at a time, in the whole life of the process.
    """

    n_seeds: int
    seconds: float
    cpu_s: float
    n_tokens: int
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Runs over few seeds, and one over many."""

    few: tuple[Run, ...]
    many: Run

    @property
    def seconds(self) -> float:
        """Seconds per seed among many, over those among few."""
        return self._per_seed("seconds")

    @property
    def cpu(self) -> float:
        """The same of processor time, which other programs on the machine disturb less."""
        return self._per_seed("cpu_s")

    @property
    def memory(self) -> float:
        """Peak memory of the long run over that of a short one."""
        return self.many.peak_mib / median(run.peak_mib for run in self.few)

    def _per_seed(self, name: Literal["seconds", "cpu_s"]) -> float:
        few = median(getattr(run, name) / run.n_seeds for run in self.few)
        return getattr(self.many, name) / self.many.n_seeds / few


def measure_growth(n_few: int, n_many: int, folder: Path, *, n_runs: int) -> Growth:
    """Run over ``n_few`` seeds ``n_runs`` times and over ``n_many`` once, the long run between."""
    before = [run_apart(n_few, folder) for _ in range(n_runs - n_runs // 2)]
    many = run_apart(n_many, folder)
    after = [run_apart(n_few, folder) for _ in range(n_runs // 2)]
    return Growth((*before, *after), many)


def run_apart(n_seeds: int, folder: Path) -> Run:
    """Run in a fresh process.

    Args:
        n_seeds: how many.
        folder: where journal and tables go while it runs.

    Raises:
        DatagenError: if the process fails.
    """
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(n_seeds), str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DatagenError(f"the run over {n_seeds} seeds failed:\n{done.stderr[-2000:]}")
    return Run(**json.loads(done.stdout))


class _ForgetfulEngine(FakeEngine):
    """The toy policy without a record of what it was asked, which would grow with the run."""

    def __init__(self) -> None:
        super().__init__(toy_write, toy_prefer, toy_rate, batch_size=_BATCH_SIZE)

    async def _call(self, requests: Sequence[Request]) -> None:
        pass


def toy_prefixes(n: int, *, first: int = 0) -> pl.DataFrame:
    """Questions of the toy policy, as table ``prefixes``; numbered from ``first``."""
    walks = range(first, first + n)
    return bare_prefixes(
        (f"toy-{walk}", toy_question(target, walk), str(target))
        for walk in walks
        for target in [_TARGETS[walk % len(_TARGETS)]]
    )


def _search(prefixes: pl.DataFrame, folder: Path) -> int:
    """Stream a search to disk; generated tokens."""
    n_pieces = 0

    def write(rollouts: pl.DataFrame, nodes: pl.DataFrame) -> None:
        nonlocal n_pieces
        rollouts.write_parquet(folder / f"rollouts-{n_pieces:05d}.parquet")
        nodes.write_parquet(folder / f"nodes-{n_pieces:05d}.parquet")
        n_pieces += 1

    settings = Settings()
    config = settings.search.generate_config(settings.engine.dialect)
    with Journal(folder / "journal.sqlite") as journal:
        progress = stream_prefixes(prefixes, _ForgetfulEngine(), journal, config=config, take=write)
    return progress.n_tokens


def run_here(n_seeds: int, folder: Path) -> Run:
    """Run in this process; its peak is that of whatever the process has done before, too."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder) as warm,
        tempfile.TemporaryDirectory(dir=folder) as fresh,
    ):
        _search(toy_prefixes(_WARM_UP, first=n_seeds), Path(warm))
        prefixes = toy_prefixes(n_seeds)
        began, cpu_began = time.perf_counter(), time.process_time()
        n_tokens = _search(prefixes, Path(fresh))
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    return Run(n_seeds, seconds, cpu_s, n_tokens, peak_memory_mib())


if __name__ == "__main__":
    print(json.dumps(asdict(run_here(int(sys.argv[1]), Path(sys.argv[2])))))
