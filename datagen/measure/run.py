"""Find the first errors of a table of traces, and write down what was found, as tables.

Like the search before it, this leaves nothing behind that is not in the journal: run again without
an engine call, it gives the same labels.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from datagen.engines.protocol import Engine
from datagen.journal import Journal, journal_key
from datagen.labels.posterior import ErrorModel
from datagen.measure.config import MeasureConfig
from datagen.measure.tables import step_rows, trace_rows
from datagen.prompts.dialect import Dialect
from datagen.search.budget import Budget, Progress
from datagen.search.first_error import FirstErrors, first_errors
from datagen.search.run import rollout_row, verifier_of
from datagen.search.scheduler import Scheduler
from datagen.search.suspects import Attempt, Suspect
from datagen.traces.distance import shared_steps
from datagen.traces.model import Trace
from datagen.traces.rows import trace_of
from datagen.verify import Outcome
from schemas import Probe

_DECIDED = (Outcome.CORRECT.value, Outcome.WRONG.value)


@dataclass(frozen=True, slots=True)
class Measured:
    """Result: tables ``probes``, ``step_labels`` and ``trace_labels``, and what it took.

    Attributes:
        probes: rollouts that the search asked for.
        step_labels: of the steps of all traces, measured or not.
        trace_labels: of the traces that were measured.
        model: the error model as fitted to this run.
        progress: what the engine did.
    """

    probes: pl.DataFrame
    step_labels: pl.DataFrame
    trace_labels: pl.DataFrame
    model: ErrorModel
    progress: Progress


def measure_traces(
    picked: pl.DataFrame,
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    critiques: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    config: MeasureConfig,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Measured:
    """Seek the first error of the picked traces, and label all traces as far as is known.

    Args:
        picked: rows of ``traces``.
        traces: table ``traces``.
        rollouts: table ``rollouts``; those that share steps with a trace are evidence on it.
        critiques: table ``critiques``, to compare with.
        engine: the policy that wrote the traces.
        journal: answers already known, and where new ones go.
        config: settings.
        budget: when to stop; labels then rest on what there is.
        on_progress: called after each batch of the engine.

    Raises:
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    rows = list(picked.iter_rows(named=True))
    drawn = _Drawn(rollouts, traces)
    suspects = [_suspect(row, drawn, config.search.dialect) for row in rows]
    scheduler = Scheduler[FirstErrors](engine, journal, budget=budget, on_progress=on_progress)
    search = first_errors(suspects, drawn.attempts, config.search)
    found = scheduler.run([("first_errors", search)], n_searches=1)["first_errors"]
    probes = Probe.from_rows(_probe_rows(rows, found, engine.fingerprint))
    return Measured(
        probes,
        step_rows(
            traces,
            rollouts,
            probes,
            rows,
            found,
            prover_k=config.prover_k,
            min_trials=config.min_trials,
            threshold=config.threshold,
        ),
        trace_rows(rows, found, critiques, min_mass=config.min_mass),
        found.model,
        scheduler.progress,
    )


class _Drawn:
    """The rollouts of a run as the search takes them."""

    def __init__(self, rollouts: pl.DataFrame, traces: pl.DataFrame) -> None:
        questions = dict(traces.select("seed_id", "question").iter_rows())
        n_human = dict(traces.select("prefix_id", "n_human_steps").iter_rows())
        self.attempts: list[Attempt] = []
        self._of_seed: defaultdict[str, list[_Draw]] = defaultdict(list)
        unique = rollouts.unique(["seed_id", "completion_key"], keep="first", maintain_order=True)
        for row in unique.iter_rows(named=True):
            if row["outcome"] not in _DECIDED or row["seed_id"] not in questions:
                continue
            trace = trace_of({"question": questions[row["seed_id"]]} | row)
            correct = row["outcome"] == Outcome.CORRECT.value
            n_given = row["n_given_steps"]
            whole = row["tail"] == "" and bool(trace.steps)
            is_attempt = whole and n_given == n_human.get(row["prefix_id"])
            self._of_seed[row["seed_id"]].append(
                _Draw(n_given, row["sample_idx"], trace, correct, is_attempt)
            )
            if is_attempt:
                self.attempts.append(Attempt(trace, correct, row["seed_id"], n_given))

    def through(self, trace: Trace, seed_id: str) -> list[tuple[int, "_Draw"]]:
        """Rollouts that came through a state of ``trace`` on their own, after the steps shared."""
        shared = [(shared_steps(trace, draw.trace), draw) for draw in self._of_seed[seed_id]]
        return [(n_shared, draw) for n_shared, draw in shared if n_shared >= draw.n_given]


class _Draw(NamedTuple):
    """A rollout with a verdict."""

    n_given: int
    sample_idx: int
    trace: Trace
    correct: bool
    is_attempt: bool


def _suspect(row: Mapping[str, Any], drawn: _Drawn, dialect: Dialect) -> Suspect:
    trace = trace_of(row)
    through = drawn.through(trace, row["seed_id"])
    n_samples: defaultdict[int, int] = defaultdict(int)
    for _, draw in through:
        n_samples[draw.n_given] = max(n_samples[draw.n_given], draw.sample_idx + 1)
    return Suspect(
        trace,
        row["outcome"] == Outcome.CORRECT.value,
        row["seed_id"],
        verifier_of({"answer": row["gold"], "verifier": row["verifier"]}, dialect),
        row["n_human_steps"],
        [(n, draw.correct) for n, draw in through if not draw.is_attempt],
        n_samples,
    )


def _probe_rows(
    rows: Sequence[Mapping[str, Any]], found: FirstErrors, fingerprint: str
) -> list[dict[str, Any]]:
    """Rows of ``probes``; traces that begin alike share some."""
    probes: dict[str, dict[str, Any]] = {}
    for row, drawn in zip(rows, found.rollouts, strict=True):
        origin = {**row, "answer": row["gold"]}
        for rollout in drawn:
            probe = rollout_row(
                rollout,
                origin,
                key=journal_key(fingerprint, rollout.request),
                node_id=None,
                given_source=row["step_source"][: len(rollout.state.steps)],
                fingerprint=fingerprint,
            )
            probes.setdefault(probe["rollout_id"], probe)
    return list(probes.values())
