"""A stage over a Ray cluster: shards of seeds on workers, each shard with a journal of its own.

This process holds the queue. Ray's own restarts and retries are off, because the journal does
better: a shard whose worker died begins again elsewhere, and replays what it had paid for.
"""

import logging
import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import ray
from ray.exceptions import RayError, RayTaskError

from datagen.cluster.pool import OpenEngine, Pool, close_workers, pool_for
from datagen.cluster.shards import Shard, cut, merge
from datagen.cluster.stages import ROW_ORDER, Snapshot, StageName, Tables
from datagen.cluster.totals import Purse, add_up, engine_progress, spent_only
from datagen.config import Settings
from datagen.engines.registry import open_team
from datagen.errors import DatagenError, EngineError, JournalError
from datagen.search.budget import Progress

_POLL_S: Final = 1.0
_PATIENCE_S: Final = 30.0
_REMIND_S: Final = 60.0

_ENOUGH: Final = 300
_COLOUR: Final = re.compile("\x1b\\[[0-9;]*m")

_log = logging.getLogger(__name__)


def run_stage_on_ray(
    stage: StageName,
    tables: Tables,
    settings: Settings,
    *,
    journal_folder: Path,
    on_progress: Callable[[Snapshot], None] | None = None,
    open_engine: OpenEngine = open_team,
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """Run a stage on the cluster that ``settings.ray`` names.

    Args:
        stage: name of the stage.
        tables: what it takes.
        settings: all settings; its budgets are for all shards together.
        journal_folder: where each shard has its journal; every node must see it under this path.
        on_progress: told about once a second where all shards together stand.
        open_engine: what each worker calls for its engine, once.

    Returns:
        The tables, with their rows as a run in one process would have them, and what it took. That
        includes what workers did before they died, as far as they had told.

    Raises:
        EngineError: if no cluster answers or no worker can start; if an engine is broken, at once;
            or if workers died too often under a shard, after all others have ended.
        ConfigError: if the address is none. As any error of a stage, it names the shard if it
            comes from one.
    """
    pool = pool_for(settings, open_engine)
    run = _Run(stage, tables, settings, journal_folder.resolve(), on_progress, pool)
    try:
        return run.run()
    except BaseException:
        # Also of an interrupt: what is not in a journal yet is not waited for.
        run.abandon()
        raise


@dataclass(slots=True, eq=False)
class _Job:
    """A shard, and what has become of it."""

    shard: Shard
    n_deaths: int = 0
    last_death: str = ""
    tables: Tables | None = None


@dataclass(slots=True, eq=False)
class _Attempt:
    """A shard on a worker; ``settings`` hold its share of the budget."""

    job: _Job
    worker: Any
    settings: Settings
    snapshot: Snapshot | None = None


class _Run:
    """One stage over the cluster; the arguments are those of :func:`run_stage_on_ray`."""

    def __init__(
        self,
        stage: StageName,
        tables: Tables,
        settings: Settings,
        journal_folder: Path,
        on_progress: Callable[[Snapshot], None] | None,
        pool: Pool,
    ) -> None:
        self._stage, self._tables, self._ray = stage, tables, settings.ray
        self._journal_folder, self._on_progress, self._pool = journal_folder, on_progress, pool
        self._jobs = [_Job(shard) for shard in cut(tables, size=settings.ray.shard_size)]
        self._n_seeds = sum(job.shard.n_seeds for job in self._jobs)
        self._purse = Purse(stage, settings, n_seeds=self._n_seeds)
        self._queue = deque(self._jobs)
        self._running: dict[Any, _Attempt] = {}
        self._polls: dict[Any, _Attempt] = {}
        self._ended: list[Snapshot] = []
        self._lost: list[Snapshot] = []
        self._n_failed_starts = 0
        self._began = time.monotonic()
        self._remind_at = self._began + _PATIENCE_S

    def run(self) -> tuple[dict[str, pl.DataFrame], Progress]:
        """Until every shard has ended, or has been given up."""
        while self._queue or self._running:
            self._hire()
            self._hand_out()
            self._wait()
            self._report()
        done = [job.tables for job in self._jobs if job.tables is not None]
        if len(done) < len(self._jobs):
            raise self._given_up()
        order = {
            name: self._tables[table][column]
            for name, (table, column) in ROW_ORDER.items()
            if table in self._tables
        }
        return merge(done, order=order), engine_progress(self._total())

    def abandon(self) -> None:
        """End all workers, in the middle of whatever they do."""
        for attempt in self._running.values():
            self._pool.end(attempt.worker)
        close_workers()

    # --- workers -----------------------------------------------------------------------------

    def _hire(self) -> None:
        """As many workers as there is work for, up to what is wanted."""
        n_needed = min(self._ray.n_workers, len(self._queue) + len(self._running))
        n_here = len(self._pool.idle) + len(self._pool.starting) + len(self._running)
        for _ in range(n_needed - n_here):
            self._pool.start()

    def _hand_out(self) -> None:
        while self._queue and self._pool.idle:
            job, worker = self._queue.popleft(), self._pool.idle.pop()
            settings = self._purse.share(job.shard.n_seeds, seconds=self._seconds)
            path = self._journal_folder / f"{job.shard.name}.sqlite"
            call = worker.work.remote(self._stage, job.shard.tables, settings, path)
            self._running[call] = _Attempt(job, worker, settings)

    def _wait(self) -> None:
        """Until something has ended or it is time to ask how things stand."""
        calls = [*self._running, *self._pool.starting]
        try:
            ended, _ = ray.wait(calls, num_returns=1, timeout=_POLL_S)
        except SystemError as error:
            # What Ray's compiled code makes of an interrupt.
            raise error.__cause__ or error from None
        for call in ended:
            if call in self._running:
                self._collect(call, self._running.pop(call))
            else:
                self._welcome(call, self._pool.starting.pop(call))
        self._poll()
        self._remind()

    def _welcome(self, call: Any, worker: Any) -> None:
        try:
            ray.get(call)
        except RayError as error:
            self._n_failed_starts += 1
            if self._n_failed_starts > self._ray.max_restarts:
                raise EngineError(
                    f"no worker can start on the Ray cluster {self._ray.address!r}, where every "
                    f"node needs the same Python, Ray and datagen: {_said(error)}"
                ) from error
            return
        self._n_failed_starts = 0
        self._pool.idle.append(worker)

    def _remind(self) -> None:
        """Say from time to time that the cluster has no room."""
        now, waiting = time.monotonic(), len(self._pool.starting)
        if not waiting:
            self._remind_at = now + _PATIENCE_S
        elif now >= self._remind_at:
            self._remind_at = now + _REMIND_S
            _log.warning(
                "%d of %d workers are not up yet; each needs room on the Ray cluster for %g CPUs "
                "and %g GPUs, and free are %s",
                *(waiting, self._ray.n_workers),
                *(self._ray.cpus_per_worker, self._ray.gpus_per_worker),
                {name: ray.available_resources().get(name, 0.0) for name in ("CPU", "GPU")},
            )

    # --- shards ------------------------------------------------------------------------------

    def _collect(self, call: Any, attempt: _Attempt) -> None:
        """Take what an attempt gave: tables, an error, or nothing any more."""
        job = attempt.job
        try:
            job.tables, snapshot = ray.get(call)
        except RayTaskError as error:
            cause = error.cause
            # A journal can stay locked for a while by a worker whose node was lost.
            if not (isinstance(cause, JournalError) and job.n_deaths):
                raise _named(cause, job.shard.name) from error
            self._pool.idle.append(attempt.worker)
            self._begin_again(attempt, _said(cause))
        except RayError as error:
            self._pool.end(attempt.worker)
            self._begin_again(attempt, _said(error))
        else:
            self._purse.give_back(attempt.settings, snapshot)
            self._ended.append(snapshot)
            self._pool.idle.append(attempt.worker)

    def _begin_again(self, attempt: _Attempt, death: str) -> None:
        job, snapshot = attempt.job, attempt.snapshot
        self._purse.give_back(attempt.settings, snapshot, n_seeds=job.shard.n_seeds)
        if snapshot:
            self._lost.append(spent_only(snapshot))
        job.n_deaths += 1
        job.last_death = death
        again = job.n_deaths <= self._ray.max_restarts
        if again:
            self._queue.appendleft(job)
            then = f"begins again from its journal, time {job.n_deaths} of {self._ray.max_restarts}"
        else:
            then = "is given up"
        _log.warning("a worker died; shard %s %s: %s", job.shard.name, then, death)

    def _given_up(self) -> EngineError:
        lost = [job for job in self._jobs if job.tables is None]
        told = "; ".join(
            f"shard {job.shard.name!r} was given up after its workers had died {job.n_deaths} "
            f"times, at last: {job.last_death}"
            for job in lost
        )
        return EngineError(
            f"{told}. Give workers more memory or shards fewer seeds (ray.shard_size), and run "
            "again: the journals hold everything that was generated"
        )

    # --- progress ----------------------------------------------------------------------------

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _poll(self) -> None:
        """Read the answers that have come, and ask again; a worker is never waited for."""
        answers = list(self._polls)
        ready = ray.wait(answers, num_returns=len(answers), timeout=0)[0] if answers else []
        for answer in ready:
            attempt = self._polls.pop(answer)
            # One that has died says so by its work as well.
            with suppress(RayError):
                attempt.snapshot = ray.get(answer) or attempt.snapshot
        asked = set(map(id, self._polls.values()))
        for attempt in self._running.values():
            if id(attempt) not in asked:
                ask = attempt.worker.progress.options(concurrency_group="side")
                self._polls[ask.remote()] = attempt

    def _total(self) -> Snapshot:
        """Where all shards together stand."""
        live = [attempt.snapshot for attempt in self._running.values() if attempt.snapshot]
        shards = [job.shard for job in self._jobs if job.tables is not None]
        shards += [attempt.job.shard for attempt in self._running.values() if attempt.snapshot]
        n_begun = sum(shard.n_seeds for shard in shards)
        begun = n_begun / self._n_seeds if n_begun else 1.0
        return add_up([*self._ended, *live, *self._lost], seconds=self._seconds, begun=begun)

    def _report(self) -> None:
        known = self._ended or any(attempt.snapshot for attempt in self._running.values())
        if self._on_progress and known:
            self._on_progress(self._total())


def _said(error: BaseException) -> str:
    """What Ray says, on one line, without colours and the middle of a long story."""
    said = " ".join(_COLOUR.sub("", str(error)).split())
    return said if len(said) <= 2 * _ENOUGH else f"{said[:_ENOUGH]} … {said[-_ENOUGH:]}"


def _named(cause: BaseException, shard: str) -> BaseException:
    """The error of a stage, with the name of its shard."""
    if isinstance(cause, DatagenError):
        return type(cause)(f"shard {shard!r}: {cause}")
    cause.add_note(f"in shard {shard!r}")
    return cause
