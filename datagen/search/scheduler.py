"""The scheduler: drives many searches at once over one engine, through the journal.

A search is a generator that yields requests and is sent their answers, in order; it never touches
engine, clock or disk. The scheduler first makes up a batch and only then looks into the journal.
So a run that resumes forms the same batches as one that was never interrupted, and an engine whose
arithmetic depends on the batch still gives the same answers.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from datagen.engines.protocol import (
    Answer,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    EvaluationRequest,
    Evaluator,
    Request,
    ScoreRequest,
    flat_text,
    no_value_model,
)
from datagen.errors import EngineError
from datagen.journal import Journal, journal_key
from datagen.search.budget import Budget, Meter, Progress
from datagen.search.waiting import Pending, WaitingLine, shared_prefix
from datagen.search.waves import BudgetSpent, Search, Until

T = TypeVar("T")

_MAX_LIVE: Final = 2048
"""Searches held open at once, if the engine does not need more to be busy."""

_MOST_EVALUATIONS: Final = 256
"""In one call, beside an engine that forms its own batches; the journal gets them together."""

_ONE_BY_ONE: Final = (ChoiceRequest, ScoreRequest, CompletionRequest)
"""What an engine that forms its own batches is asked request by request."""


@dataclass(slots=True, eq=False)
class _Live(Generic[T]):
    """A search that has begun, and the wave that it waits for.

    Attributes:
        order: its place among all searches.
        wave: the requests of the wave, as they wait.
        answers: by slot; ``None`` while it is out.
        n_missing: answers that are out.
        n_read: leading answers that an :class:`Until` has been shown.
        enough: its condition; ``None`` for a wave that is answered in full.
        prompt: the longest prompt of the wave before, which the engine has read.
    """

    name: str
    order: int
    search: Search[T]
    wave: list[Pending] = field(default_factory=list[Pending])
    answers: list[Answer | None] = field(default_factory=list[Answer | None])
    n_missing: int = 0
    n_read: int = 0
    enough: Callable[[Sequence[Answer]], bool] | None = None
    prompt: str = ""


@dataclass(slots=True, eq=False)
class _Call:
    """One call of the engine.

    Attributes:
        order: its place among all calls.
        batch: who is answered when it lands, in this order.
        known: answers that were in the journal when the batch was made up.
        asked: what the engine was asked, by key.
        task: the call.
    """

    order: int
    batch: list[Pending]
    known: dict[str, Answer]
    asked: dict[str, Request]
    task: asyncio.Task[Sequence[Answer]]

    @property
    def evaluates(self) -> bool:
        return any(isinstance(request, EvaluationRequest) for request in self.asked.values())

    @property
    def n_completions(self) -> int:
        return sum(isinstance(request, CompletionRequest) for request in self.asked.values())


class Scheduler(Generic[T]):
    """Runs searches to their end.

    Args:
        engine: answers what the journal cannot.
        journal: every answer is committed to it before a search sees it.
        budget: when to stop asking.
        on_progress: called whenever answers have come.
        max_live: searches that may have begun while the result of an earlier one is still out;
            further ones begin as it comes. By default as many as keep the engine busy.
        speculate: let the engine begin later requests of an :class:`~datagen.search.waves.Until`
            while it has nothing else to do, and cancel those that turn out not to be needed. Saves
            time and costs tokens; only with engines that form their own batches.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        budget: Budget | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        max_live: int | None = None,
        speculate: bool = False,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._meter = Meter(budget or Budget(), engine.usage)
        self._on_progress = on_progress or (lambda _: None)
        # An engine that forms its own batches also keeps a cache of prefixes: see WaitingLine.
        self._streaming = engine.batch_size == 1
        self._max_live = max_live or max(_MAX_LIVE, 2 * engine.batch_size * engine.concurrency)
        self._speculate = speculate and self._streaming
        self._line = WaitingLine()
        self._lives: dict[str, _Live[T]] = {}
        self._names: set[str] = set()
        self._calls: dict[_Call, None] = {}
        self._calling: dict[str, _Call] = {}
        self._landed: list[_Call] = []
        self._n_called = 0
        self._n_generating = 0
        self._woken = asyncio.Event()
        self._out: dict[int, tuple[str, T] | None] = {}
        self._n_out = 0
        self._deliver_result: Callable[[str, T], None] = lambda _, __: None
        self._error: BaseException | None = None
        self._began = 0.0

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self._meter.progress

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
        results: dict[str, T] = {}
        self.stream(searches, results.__setitem__, n_searches=n_searches)
        return results

    def stream(
        self,
        searches: Iterable[tuple[str, Search[T]]],
        on_result: Callable[[str, T], None],
        *,
        n_searches: int = 0,
    ) -> None:
        """Run all searches and hand over each result, in the order of the searches.

        Holds the searches that are live and the results that wait for an earlier one, and nothing
        else, so that memory does not grow with the number of searches. Arguments and errors are
        those of :meth:`run`.
        """
        self.progress.n_searches = n_searches
        self._deliver_result = on_result
        asyncio.run(self._run(iter(searches)))

    async def _run(self, waiting: Iterator[tuple[str, Search[T]]]) -> None:
        self._began = time.monotonic()
        try:
            while True:
                await self._fill(waiting)
                if not self._calls:
                    break
                await self._wait()
                self._land()
                self._report()
                if self._meter.seconds_left == 0:
                    break
            if self._error:
                raise self._error
            more = bool(self._lives) or next(waiting, None) is not None
            self.progress.budget_spent = more and self._meter.spent
            self._end_all()
        finally:
            await self._settle()
            for live in self._lives.values():
                live.search.close()
            self._report()

    # --- calls -------------------------------------------------------------------------------

    async def _fill(self, waiting: Iterator[tuple[str, Search[T]]]) -> None:
        """Begin searches and put requests to the engine until it is full or nothing is left."""
        while not self._error:
            while self._has_room() and (item := next(waiting, None)):
                self._begin(*item)
            n_free = self._engine.concurrency - len(self._calls)
            n_allowed = self._meter.room(self._n_generating)
            if n_free <= 0 or n_allowed <= 0 or self._meter.spent:
                return
            # One batch at a time where batches matter; else everything that fits.
            if self._streaming:
                taken = self._evaluations() or self._line.take(min(n_free, n_allowed), _ONE_BY_ONE)
            else:
                taken = self._line.take(self._engine.batch_size)
            if not taken:
                return
            if not self._put(taken):
                # All of it was in the journal. A long replay must not look like a standstill.
                self._report()
                await asyncio.sleep(0)

    def _evaluations(self) -> list[Pending]:
        """The next batch of them, beside an engine that forms its own batches.

        A value model does not: it gets one at a time, which grows while the model is busy.
        """
        if any(call.evaluates for call in self._calls):
            return []
        return self._line.take(_MOST_EVALUATIONS, (EvaluationRequest,))

    def _has_room(self) -> bool:
        if self._n_begun - self._n_out >= self._max_live:
            return False
        n_free = self._engine.concurrency - len(self._calls)
        return not self._streaming or self._line.n_firm < n_free

    @property
    def _n_begun(self) -> int:
        return len(self._names)

    def _put(self, batch: Sequence[Pending]) -> bool:
        """Answer from the journal, from calls under way, or by new calls; whether any is new."""
        known = self._journal.look_up([pending.key for pending in batch])
        self.progress.n_replayed += sum(
            isinstance(known.get(pending.key), Completion) for pending in batch
        )
        if not self._streaming or isinstance(batch[0].request, EvaluationRequest):
            return self._call(batch, known)
        return any([self._call([pending], known) for pending in batch])

    def _call(self, batch: Sequence[Pending], known: dict[str, Answer]) -> bool:
        """Call the engine for what is not known; whether there was a need to."""
        own: list[Pending] = []
        asked: dict[str, Request] = {}
        for pending in batch:
            # The same request can come from two searches; it is put to the engine once.
            if pending.key not in known and (call := self._calling.get(pending.key)):
                call.batch.append(pending)
                continue
            own.append(pending)
            if pending.key not in known:
                asked[pending.key] = pending.request
        if not asked:
            for pending in own:
                self._deliver(pending, known[pending.key])
            return False
        task = asyncio.create_task(self._ask(list(asked.values())))
        self._n_called += 1
        call = _Call(self._n_called, own, known, asked, task)
        self._calls[call] = None
        self.progress.n_in_flight += len(asked)
        self._n_generating += call.n_completions
        self._calling |= dict.fromkeys(asked, call)
        call.task.add_done_callback(lambda _: self._note(call))
        return True

    def _note(self, call: _Call) -> None:
        self._landed.append(call)
        self._woken.set()

    async def _ask(self, batch: list[Any]) -> Sequence[Answer]:
        """Put a batch, which holds one kind, to the engine."""
        match batch[0]:
            case ChoiceRequest():
                answers = await self._engine.choose(batch)
            case ScoreRequest():
                answers = await self._engine.score(batch)
            case EvaluationRequest():
                if not isinstance(self._engine, Evaluator):
                    raise no_value_model(self._engine.fingerprint)
                answers = await self._engine.evaluate(batch)
            case _:
                answers = await self._engine.complete(batch)
        if len(answers) != len(batch):
            raise EngineError(
                f"engine {self._engine.fingerprint!r} gave {len(answers)} answers to "
                f"{len(batch)} requests; it is broken"
            )
        return answers

    async def _wait(self) -> None:
        """Until a call has landed or the time is up; a batch is always waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._meter.seconds_left if self._streaming else None):
                await self._woken.wait()
        self._woken.clear()

    def _land(self) -> None:
        """Commit the answers that have come, in one transaction, and only then hand them on."""
        # In the order of asking, so that the event loop's whims change nothing.
        calls, self._landed = sorted(self._landed, key=lambda call: call.order), []
        answered: list[tuple[_Call, dict[str, Answer]]] = []
        for call in calls:
            self._forget(call)
            error = self._failure_of(call)
            if error is not None:
                # What else is under way is waited for: it is paid for, and goes to the journal.
                self._error = self._error or error
            elif not call.task.cancelled():
                answered.append((call, dict(zip(call.asked, call.task.result(), strict=True))))
        self._commit(answered)
        for call, answers in answered:
            for pending in call.batch:
                if not pending.dropped:
                    self._deliver(pending, answers.get(pending.key) or call.known[pending.key])

    def _failure_of(self, call: _Call) -> BaseException | None:
        if not call.task.cancelled():
            return call.task.exception()
        # Withdrawn by us; an engine that cancels on its own account is broken.
        if all(pending.dropped for pending in call.batch):
            return None
        return EngineError(f"engine {self._engine.fingerprint!r} dropped a request")

    def _commit(self, answered: Sequence[tuple[_Call, dict[str, Answer]]]) -> None:
        entries = [
            (call.asked[key], answer)
            for call, answers in answered
            for key, answer in answers.items()
        ]
        if entries:
            self._journal.append(self._engine.fingerprint, entries)
        for _, answer in entries:
            if isinstance(answer, Completion):
                self.progress.n_generated += 1
                self.progress.n_tokens += answer.n_tokens

    def _forget(self, call: _Call) -> None:
        del self._calls[call]
        self.progress.n_in_flight -= len(call.asked)
        self._n_generating -= call.n_completions
        for key in call.asked:
            if self._calling.get(key) is call:
                del self._calling[key]

    async def _settle(self) -> None:
        """Cancel what is under way, and keep what has come all the same."""
        for call in self._calls:
            call.task.cancel()
        results = await asyncio.gather(*(call.task for call in self._calls), return_exceptions=True)
        self._commit(
            [
                (call, dict(zip(call.asked, result, strict=True)))
                for call, result in zip(self._calls, results, strict=True)
                if not isinstance(result, BaseException)
            ]
        )
        self._calls.clear()
        self._calling.clear()
        self.progress.n_in_flight = 0

    # --- searches ----------------------------------------------------------------------------

    def _begin(self, name: str, search: Search[T]) -> None:
        if name in self._names:
            raise ValueError(f"two searches are called {name!r}; names must be unique")
        live = _Live(name, len(self._names), search)
        self._names.add(name)
        self._lives[name] = live
        self._advance(live, None)

    def _advance(self, live: _Live[T], answers: Sequence[Answer] | None) -> None:
        """Send a search its answers and queue what it asks next."""
        try:
            requests = next(live.search) if answers is None else live.search.send(answers)
            while not requests:
                requests = live.search.send(())
        except StopIteration as end:
            self._finish(live, (live.name, end.value))
            return
        fingerprint = self._engine.fingerprint
        live.wave = [
            Pending(live, slot, journal_key(fingerprint, request), request)
            for slot, request in enumerate(requests)
        ]
        live.answers = [None] * len(requests)
        live.n_missing, live.n_read = len(requests), 0
        live.enough = requests.enough if isinstance(requests, Until) else None
        n_firm = 1 if live.enough else len(requests)
        before, longest = live.prompt, ""
        for pending in live.wave:
            warmth = 0
            # An evaluation has no prompt, and leaves the engine's cache as it is.
            if self._streaming and not isinstance(pending.request, EvaluationRequest):
                prompt = flat_text(pending.request.prompt)
                warmth = shared_prefix(prompt, before)
                longest = max(longest, prompt, key=len)
            if pending.slot < n_firm or self._speculate:
                self._line.push(pending, warmth=warmth, idle=pending.slot >= n_firm)
        live.prompt = longest or before

    def _deliver(self, pending: Pending, answer: Answer) -> None:
        live: _Live[T] = pending.live
        live.answers[pending.slot] = answer
        live.n_missing -= 1
        if live.enough:
            self._weigh(live, live.enough)
        elif live.n_missing == 0:
            self._advance(live, [answer for answer in live.answers if answer is not None])

    def _weigh(self, live: _Live[T], enough: Callable[[Sequence[Answer]], bool]) -> None:
        """Show a search that asks until it has enough what has come, in the order of asking."""
        answers: list[Answer] = []
        for answer in live.answers:
            if answer is None:
                break
            answers.append(answer)
        while live.n_read < len(answers):
            live.n_read += 1
            if enough(answers[: live.n_read]) or live.n_read == len(live.answers):
                for pending in live.wave[live.n_read :]:
                    self._drop(pending)
                self._advance(live, answers[: live.n_read])
                return
        following = live.wave[live.n_read]
        if not following.taken:
            self._line.push(following, warmth=len(live.prompt))

    def _drop(self, pending: Pending) -> None:
        """Nobody wants this answer any more; withdraw it from the engine if it is there."""
        pending.dropped = True
        call = self._calling.get(pending.key)
        if call and pending in call.batch and all(other.dropped for other in call.batch):
            # Whoever asks for the same from now on must not wait for this call.
            del self._calling[pending.key]
            call.task.cancel()
            self.progress.n_cancelled += 1

    def _finish(self, live: _Live[T], result: tuple[str, T] | None) -> None:
        del self._lives[live.name]
        self._out[live.order] = result
        self.progress.n_finished += result is not None
        while self._n_out in self._out:
            out = self._out.pop(self._n_out)
            self._n_out += 1
            if out is not None:
                self._deliver_result(*out)

    def _end_all(self) -> None:
        """Tell every search to return what it has."""
        for live in list(self._lives.values()):
            try:
                while True:
                    live.search.throw(BudgetSpent())
            except StopIteration as end:
                self._finish(live, (live.name, end.value))
            except BudgetSpent:
                self._finish(live, None)

    def _report(self) -> None:
        self.progress.n_live = len(self._lives)
        self._meter.read(time.monotonic() - self._began)
        self._on_progress(self.progress)
