"""Drives a search by hand, wave by wave, so that a test can end it wherever it likes."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import (
    Answer,
    ChoiceRequest,
    CompletionRequest,
    EvaluationRequest,
    Request,
)
from datagen.search.waves import BudgetSpent, Search

T = TypeVar("T")


def drive(search: Search[T], engine: FakeEngine, *, n_waves: int | None = None) -> T:
    """Answer the first ``n_waves`` waves, or all; then the budget is spent."""
    answers: Sequence[Answer] | None = None
    n_answered = 0
    try:
        while True:
            wave = search.send(answers) if answers is not None else next(search)
            if n_answered == n_waves:
                search.throw(BudgetSpent())
            answers = [_answer(request, engine) for request in wave]
            n_answered += 1
    except StopIteration as end:
        return end.value


def _answer(request: Request, engine: FakeEngine) -> Answer:
    async def ask() -> Sequence[Answer]:
        match request:
            case CompletionRequest():
                return await engine.complete([request])
            case ChoiceRequest():
                return await engine.choose([request])
            case EvaluationRequest():
                return await engine.evaluate([request])
            case _:
                return await engine.score([request])

    return asyncio.run(ask())[0]


def asked(engine: FakeEngine, kind: type[Any]) -> list[Any]:
    """All requests of a kind that the engine has answered."""
    return [request for batch in engine.batches for request in batch if isinstance(request, kind)]
