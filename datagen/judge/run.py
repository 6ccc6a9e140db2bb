"""Let judges read a table of traces, and write their votes down as a table.

All judges of one trace are one search, so that the engine's batches hold critiques of thousands of
traces. What a spent budget cuts short is missing from the table: a trace without rows was not
judged, which is not the same as a vote that cannot be read.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import polars as pl

from datagen.engines.protocol import Answer, Engine, Request
from datagen.journal import Journal, journal_key
from datagen.judge.vote import Judge, Vote
from datagen.search.budget import Budget, Progress
from datagen.search.scheduler import Scheduler
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Trace
from datagen.traces.rows import trace_of
from schemas import Critique


def judge_traces(
    traces: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    judges: Sequence[Judge],
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> pl.DataFrame:
    """Ask every judge about every trace.

    Args:
        traces: table ``traces``.
        engine: the model that writes critiques.
        journal: answers already known, and where new ones go.
        judges: in the order of their rows.
        budget: when to stop asking.
        on_progress: called after each batch of the engine.

    Returns:
        Table ``critiques``: by trace, in the order given, then by judge and vote.

    Raises:
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    rows = list(traces.iter_rows(named=True))
    scheduler = Scheduler[list[Vote]](engine, journal, budget=budget, on_progress=on_progress)
    searches = ((row["trace_id"], _judged(trace_of(row), judges)) for row in rows)
    votes = scheduler.run(searches, n_searches=len(rows))
    return Critique.from_rows(
        [
            _row(row, vote, engine.fingerprint)
            for row in rows
            for vote in votes.get(row["trace_id"]) or _unasked(trace_of(row), judges)
        ]
    )


def _judged(
    trace: Trace, judges: Sequence[Judge]
) -> Generator[Sequence[Request], Sequence[Answer], list[Vote]]:
    votes: list[Vote] = []
    for judge in judges:
        # A judge that the budget stops has no vote; one that needs no model still has.
        with suppress(BudgetSpent):
            votes += yield from judge(trace)
    return votes


def _unasked(trace: Trace, judges: Sequence[Judge]) -> list[Vote]:
    """Votes on a trace whose turn never came: those that need no model."""
    judged = _judged(trace, judges)
    try:
        next(judged)
        while True:
            judged.throw(BudgetSpent())
    except StopIteration as end:
        return end.value


def _row(trace: Mapping[str, Any], vote: Vote, fingerprint: str) -> dict[str, Any]:
    request = vote.request
    return {
        "trace_id": trace["trace_id"],
        "seed_id": trace["seed_id"],
        "judge": vote.judge,
        "vote_idx": vote.vote_idx,
        "first_error": vote.first_error,
        "quote": vote.quote,
        "reason": vote.reason,
        "text": vote.text,
        "remarks": [asdict(remark) for remark in vote.remarks],
        "n_tokens": vote.n_tokens,
        "completion_key": journal_key(fingerprint, request) if request else None,
        "engine": fingerprint if request else None,
    }
