"""Summarise the correct traces of a table: a model is asked until a summary passes, or rules do.

The three stages that a reader of a reasoning model sees are a hidden thought, a safe summary of it
and the answer. The thought exists already, so the summary is written after the fact; what is
refused is asked for again with another sample, never repaired.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import polars as pl

from datagen.engines.protocol import (
    Answer,
    Completion,
    CompletionRequest,
    Engine,
    Request,
    Sampling,
)
from datagen.journal import Journal, journal_key
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.search.budget import Budget, Progress
from datagen.search.scheduler import Scheduler
from datagen.summaries.check import WITHOUT_STATED_ANSWER, n_words, problem_of
from datagen.summaries.extract import extract_summary
from datagen.traces.rows import trace_of
from schemas import Summary, SummaryWriter

Writer = Literal["auto", "model", "extract"]
"""Who writes: ``auto`` is the model where it follows instructions, and else the rules."""


SUMMARY_SAMPLING: Final = Sampling(temperature=0.7, max_tokens=1024)
"""Room for a model's own thought; warm enough that a second sample is another."""


@dataclass(frozen=True, slots=True)
class SummaryConfig:
    """How summaries are made.

    Attributes:
        writer: who writes them.
        max_words: most words of a summary; it must also be shorter than its thought.
        max_attempts: most samples that a model is asked for.
        sampling: how they are drawn; at temperature 0 all attempts would be the same.
        dialect: how the model is asked.
    """

    writer: Writer = "auto"
    max_words: int = 80
    max_attempts: int = 3
    sampling: Sampling = SUMMARY_SAMPLING
    dialect: Dialect = NATIVE

    def __post_init__(self) -> None:
        if self.max_words < 1 or self.max_attempts < 1:
            raise ValueError(
                f"max_words={self.max_words!r} and max_attempts={self.max_attempts!r} must be "
                "at least 1"
            )

    @property
    def chosen_writer(self) -> SummaryWriter:
        """Who writes, ``auto`` decided."""
        if self.writer == "auto":
            return "model" if self.dialect.follows_instructions else "extract"
        return self.writer


@dataclass(frozen=True, slots=True)
class Summarised:
    """What came of it.

    Attributes:
        summaries: table ``summaries``.
        progress: of the run.
    """

    summaries: pl.DataFrame
    progress: Progress


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The last attempt at a summary: ``problem`` is why it was refused, ``None`` if it was not."""

    summary: str | None
    problem: str | None
    n_attempts: int = 0
    request: CompletionRequest | None = None


def summarise_traces(
    traces: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    config: SummaryConfig,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summarised:
    """Write a summary of every correct trace with an answer and a step.

    A summary passes if it holds no markup and no name of a thought factor as a tag, is short, and
    states the gold answer; of answers that are code it need not say anything.

    Args:
        traces: table ``traces``.
        engine: the model that is asked; extracts do not need it.
        journal: answers already known, and where new ones go.
        config: who writes, and how.
        budget: when to stop asking.
        on_progress: called after each batch of the engine.

    Returns:
        Table ``summaries``, in the order of the traces: also those of which no attempt passed. What
        a spent budget cuts short is missing.

    Raises:
        ConfigError: if ``writer="model"`` and the model does not follow instructions.
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    correct = traces.filter(
        pl.col("outcome") == "correct",
        pl.col("answer").is_not_null(),
        pl.col("steps").list.len() > 0,
    )
    rows = {row["trace_id"]: row for row in correct.iter_rows(named=True)}
    scheduler = Scheduler[_Attempt](engine, journal, budget=budget, on_progress=on_progress)
    searches = ((trace_id, _search(row, config)) for trace_id, row in rows.items())
    found = scheduler.run(searches, n_searches=len(rows))
    table = [_row(rows[t], found[t], config, engine.fingerprint) for t in rows if t in found]
    return Summarised(Summary.from_rows(table), scheduler.progress)


def _search(
    row: Mapping[str, Any], config: SummaryConfig
) -> Generator[Sequence[Request], Sequence[Answer], _Attempt]:
    trace = trace_of(row)
    thought = " ".join(row["steps"])

    def judged(summary: str | None, n: int, request: CompletionRequest | None) -> _Attempt:
        problem = problem_of(
            summary,
            thought,
            row["gold"],
            verifier=row["verifier"],
            max_words=config.max_words,
        )
        return _Attempt(summary, problem, n, request)

    if config.chosen_writer == "extract":
        room = min(config.max_words, n_words(thought) - 1)
        states_answer = row["verifier"] not in WITHOUT_STATED_ANSWER
        extract = extract_summary(trace, max_words=room, states_answer=states_answer)
        return _Attempt(None, "no part of it fits") if not extract else judged(extract, 0, None)
    attempt = _Attempt(None, "nobody was asked")
    for idx in range(config.max_attempts):
        request = config.dialect.summary_request(trace, sampling=config.sampling, sample_idx=idx)
        (answer,) = yield [request]
        summary = config.dialect.read_summary(cast(Completion, answer))
        attempt = judged(summary, idx + 1, request)
        if attempt.problem is None:
            break
    return attempt


def _row(
    trace: Mapping[str, Any], attempt: _Attempt, config: SummaryConfig, fingerprint: str
) -> dict[str, Any]:
    passed, request = attempt.problem is None, attempt.request
    return {
        "trace_id": trace["trace_id"],
        "seed_id": trace["seed_id"],
        "summary": attempt.summary if passed else None,
        "writer": config.chosen_writer,
        "n_attempts": attempt.n_attempts,
        "reason": attempt.problem,
        "completion_key": journal_key(fingerprint, request) if request and passed else None,
        "engine": fingerprint if request else None,
    }
