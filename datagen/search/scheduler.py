"""The scheduler: drives many searches at once over one engine, through the journal.

A search is a generator that yields requests and is sent their answers, in order; it never touches
engine, clock or disk. The scheduler first makes up a batch and only then looks into the journal.
So a run that resumes forms the same batches as one that was never interrupted, and an engine whose
arithmetic depends on the batch still gives the same answers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from datagen.engines.protocol import (
    Answer,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    Request,
    ScoreRequest,
)
from datagen.journal import Journal, journal_key

T = TypeVar("T")

Search = Generator[Sequence[Request], Sequence[Answer], T]
"""Yields requests, is sent the answers in the same order, returns its result."""


class BudgetSpent(Exception):
    """Thrown into a search that must end now; it may still return what it has.

    A search of several stages gets it again at each further request, until it has ended.
    """


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop asking; ``None`` is no limit.

    Attributes:
        max_tokens: generated tokens; those replayed from the journal cost nothing.
        max_seconds: wall time. What a run under a time limit yields depends on the machine.
    """

    max_tokens: int | None = None
    max_seconds: float | None = None


@dataclass(slots=True)
class Progress:
    """Where a run stands; one object, updated in place.

    Attributes:
        n_searches: searches to run; ``n_finished`` of them have returned.
        n_generated: completions drawn from the engine in this run.
        n_replayed: completions found in the journal.
        n_tokens: tokens generated in this run.
        seconds: wall time so far.
        budget_spent: whether the budget ended the run.
    """

    n_searches: int = 0
    n_finished: int = 0
    n_generated: int = 0
    n_replayed: int = 0
    n_tokens: int = 0
    seconds: float = 0.0
    budget_spent: bool = False


@dataclass(slots=True, eq=False)
class _Live(Generic[T]):
    """A search that has begun, and the answers of its current wave that are still out."""

    name: str
    search: Search[T]
    answers: list[Answer | None] = field(default_factory=list[Answer | None])
    n_missing: int = 0


@dataclass(frozen=True, slots=True)
class _Pending(Generic[T]):
    """One request of a wave, and where its answer goes."""

    live: _Live[T]
    slot: int
    key: str
    request: Request


class Scheduler(Generic[T]):
    """Runs searches to their end.

    Args:
        engine: answers what the journal cannot.
        journal: every answer is committed to it before a search sees it.
        budget: when to stop asking.
        on_progress: called after each batch.
        max_live: searches held open at once; further ones begin as these finish.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        budget: Budget | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        max_live: int = 16_384,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._budget = budget or Budget()
        self._on_progress = on_progress or (lambda _: None)
        self._max_live = max_live
        # In order of precedence: what costs one pass comes before what generates.
        self._queues: dict[type[Request], deque[_Pending[T]]] = {
            ChoiceRequest: deque(),
            ScoreRequest: deque(),
            CompletionRequest: deque(),
        }
        self._lives: dict[str, _Live[T]] = {}
        self._under_way: dict[str, asyncio.Future[Answer]] = {}
        self._results: dict[str, T] = {}
        self._began = 0.0
        self.progress = Progress()

    def run(
        self, searches: Iterable[tuple[str, Search[T]]], *, n_searches: int = 0
    ) -> dict[str, T]:
        """Run all searches and return their results by name, in the order given.

        A search that cannot return when the budget is spent has no entry.

        Args:
            searches: pairs of a unique name and a search; begun lazily.
            n_searches: how many there are, for progress only.

        Raises:
            EngineError: if the engine is broken; everything answered before is in the journal.
        """
        self.progress.n_searches = n_searches
        return asyncio.run(self._run(iter(searches)))

    async def _run(self, waiting: Iterator[tuple[str, Search[T]]]) -> dict[str, T]:
        self._began = time.monotonic()
        order: list[str] = []
        tasks: dict[asyncio.Task[list[Answer]], list[_Pending[T]]] = {}
        try:
            while True:
                while len(self._lives) < self._max_live and (item := next(waiting, None)):
                    order.append(item[0])
                    self._begin(*item)
                while len(tasks) < self._engine.concurrency and (batch := self._next_batch()):
                    tasks[asyncio.create_task(self._answer(batch))] = batch
                if not tasks:
                    break
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                # In the order of asking, so that the event loop's whims change nothing.
                for task in [task for task in tasks if task in done]:
                    self._deliver(tasks.pop(task), task.result())
                self._report()
                if self._spent():
                    self.progress.budget_spent = (
                        bool(self._lives) or next(waiting, None) is not None
                    )
                    self._end_all()
                    break
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for live in self._lives.values():
                live.search.close()
        self._report()
        return {name: self._results[name] for name in order if name in self._results}

    # --- batches -----------------------------------------------------------------------------

    def _next_batch(self) -> list[_Pending[T]]:
        """The oldest pending requests of one kind, the cheap kinds first."""
        queue = next(filter(None, self._queues.values()), deque[_Pending[T]]())
        return [queue.popleft() for _ in range(min(self._engine.batch_size, len(queue)))]

    async def _answer(self, batch: Sequence[_Pending[T]]) -> list[Answer]:
        """Answer a batch from the journal, from calls under way, and from the engine."""
        answers = self._journal.look_up([pending.key for pending in batch])
        self.progress.n_replayed += sum(
            isinstance(answers.get(pending.key), Completion) for pending in batch
        )
        # The same request can come from two searches; it is put to the engine once.
        elsewhere = {
            pending.key: self._under_way[pending.key]
            for pending in batch
            if pending.key not in answers and pending.key in self._under_way
        }
        missing = {
            pending.key: pending.request
            for pending in batch
            if pending.key not in answers and pending.key not in elsewhere
        }
        if missing:
            answers |= await self._generate(missing)
        for key, future in elsewhere.items():
            answers[key] = await future
        return [answers[pending.key] for pending in batch]

    async def _generate(self, missing: dict[str, Request]) -> dict[str, Answer]:
        loop = asyncio.get_running_loop()
        futures = {key: loop.create_future() for key in missing}
        self._under_way |= futures
        try:
            generated = await self._ask(list(missing.values()))
            answers: dict[str, Answer] = dict(zip(missing, generated, strict=True))
            self._journal.append(answers)
        except BaseException as error:
            for future in futures.values():
                future.set_exception(error)
                future.exception()  # marks it as seen: nobody may be waiting for it
            raise
        finally:
            for key in missing:
                del self._under_way[key]
        for key, future in futures.items():
            future.set_result(answers[key])
        for answer in answers.values():
            if isinstance(answer, Completion):
                self.progress.n_generated += 1
                self.progress.n_tokens += answer.n_tokens
        return answers

    async def _ask(self, batch: list[Any]) -> Sequence[Answer]:
        """Put a batch, which holds one kind, to the engine."""
        match batch[0]:
            case ChoiceRequest():
                return await self._engine.choose(batch)
            case ScoreRequest():
                return await self._engine.score(batch)
            case _:
                return await self._engine.complete(batch)

    # --- searches ----------------------------------------------------------------------------

    def _begin(self, name: str, search: Search[T]) -> None:
        if name in self._lives or name in self._results:
            raise ValueError(f"two searches are called {name!r}; names must be unique")
        self._lives[name] = _Live(name, search)
        self._advance(self._lives[name], None)

    def _advance(self, live: _Live[T], answers: Sequence[Answer] | None) -> None:
        """Send a search its answers and queue what it asks next."""
        try:
            requests = next(live.search) if answers is None else live.search.send(answers)
            while not requests:
                requests = live.search.send(())
        except StopIteration as end:
            self._finish(live, end.value)
            return
        live.answers = [None] * len(requests)
        live.n_missing = len(requests)
        for slot, request in enumerate(requests):
            pending = _Pending(live, slot, journal_key(self._engine.fingerprint, request), request)
            self._queues[type(request)].append(pending)

    def _deliver(self, batch: Sequence[_Pending[T]], answers: Sequence[Answer]) -> None:
        for pending, answer in zip(batch, answers, strict=True):
            live = pending.live
            live.answers[pending.slot] = answer
            live.n_missing -= 1
            if live.n_missing == 0:
                self._advance(live, [answer for answer in live.answers if answer is not None])

    def _finish(self, live: _Live[T], result: T) -> None:
        del self._lives[live.name]
        self._results[live.name] = result
        self.progress.n_finished += 1

    def _spent(self) -> bool:
        tokens, seconds = self._budget.max_tokens, self._budget.max_seconds
        return (tokens is not None and self.progress.n_tokens >= tokens) or (
            seconds is not None and self.progress.seconds >= seconds
        )

    def _end_all(self) -> None:
        """Tell every search to return what it has."""
        for live in list(self._lives.values()):
            try:
                while True:
                    live.search.throw(BudgetSpent())
            except StopIteration as end:
                self._finish(live, end.value)
            except BudgetSpent:
                del self._lives[live.name]

    def _report(self) -> None:
        self.progress.seconds = time.monotonic() - self._began
        self._on_progress(self.progress)
