"""An engine that is watched, and the same requests put to it without a pipeline around it.

The raw rate is what the engine reaches when nobody makes it wait: every request is known
beforehand, so each batch is as full as it can be. A search learns its next request from the last
answer and cannot have that, so the ratio of the two rates says how much the pipeline loses.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol, runtime_checkable

from datagen.engines.protocol import (
    Answer,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    Request,
    Score,
    ScoreRequest,
)


class RecordingEngine:
    """Hands everything on to another engine.

    Attributes:
        requests: all that was asked, in the order of asking.
        seconds: time spent inside calls, added up; calls that overlap count each.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.fingerprint, self.batch_size = engine.fingerprint, engine.batch_size
        self.concurrency, self.usage = engine.concurrency, engine.usage
        self.requests: list[Request] = []
        self.seconds = 0.0

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Ask the engine."""
        return await self._watched(requests, self._engine.complete)

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Ask the engine."""
        return await self._watched(requests, self._engine.choose)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Ask the engine."""
        return await self._watched(requests, self._engine.score)

    async def _watched(self, requests: Sequence[Any], ask: Any) -> Any:
        self.requests += requests
        began = time.perf_counter()
        try:
            return await ask(requests)
        finally:
            self.seconds += time.perf_counter() - began
            self.concurrency = self._engine.concurrency  # which may change as it goes

    def close(self) -> None:
        """Nothing of its own to free; the engine stays open."""


@runtime_checkable
class RemembersPrefixes(Protocol):
    """An engine whose prefix cache outlives a run."""

    async def reset_prefix_cache(self) -> None:
        """Forget all prefixes."""
        ...


def forget_prefixes(engine: Engine) -> None:
    """Empty the engine's prefix cache, if it has one, so that no run profits from the one before.

    One that cannot be emptied is left: a raw run then finds its prompts in it, the pipeline that
    went before does not, and the pipeline looks worse than it is.
    """
    if isinstance(engine, RemembersPrefixes):
        asyncio.run(engine.reset_prefix_cache())


def put_raw(engine: Engine, requests: Sequence[Request]) -> int:
    """Put requests straight to an engine, and return how many tokens it generated.

    An engine that takes batches gets full ones of one kind each, the others one request a call.
    Calls begin in order, as many at once as the engine wants.
    """
    return asyncio.run(_put(engine, _calls(requests, engine.batch_size), engine.concurrency))


async def _put(engine: Engine, calls: Sequence[Sequence[Request]], concurrency: int) -> int:
    free = asyncio.Semaphore(concurrency)

    async def put(call: Sequence[Request]) -> int:
        async with free:
            answers = await _ask(engine, call)
        return sum(answer.n_tokens for answer in answers if isinstance(answer, Completion))

    return sum(await asyncio.gather(*map(put, calls)))


def _calls(requests: Sequence[Request], batch_size: int) -> list[Sequence[Request]]:
    if batch_size > 1:
        # A stable sort: within a kind the order stays.
        requests = sorted(requests, key=lambda request: type(request).__name__)
    return [
        alike[start : start + batch_size]
        for _, group in groupby(requests, key=type)
        for alike in [list(group)]
        for start in range(0, len(alike), batch_size)
    ]


async def _ask(engine: Engine, requests: Sequence[Any]) -> Sequence[Answer]:
    match requests[0]:
        case ChoiceRequest():
            return await engine.choose(requests)
        case ScoreRequest():
            return await engine.score(requests)
        case _:
            return await engine.complete(requests)
