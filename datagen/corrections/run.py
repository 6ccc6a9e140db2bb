"""From the tables of a run to the table ``corrections``.

All corrections of all questions are one wave of searches, so that the engine's batches are full
although each of them waits for its own joints one by one.
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from datagen.corrections.attempts import chain, chains
from datagen.corrections.candidates import Question, questions
from datagen.corrections.joints import JointConfig, Tally
from datagen.corrections.rows import Draft, Story
from datagen.corrections.splice import splice, splices
from datagen.engines.protocol import Answer, Engine, Request
from datagen.errors import ConfigError
from datagen.journal import Journal
from datagen.search.budget import Budget, Progress
from datagen.search.scheduler import Scheduler
from schemas import CORRECTION_KINDS, Correction, CorrectionKind

MAX_ATTEMPTS: Final = 4
"""As in Snell et al. (2024); the contract allows no more."""


@dataclass(frozen=True, slots=True)
class CorrectionConfig:
    """Which corrections are made.

    Attributes:
        kinds: which kinds of them.
        max_attempts: most wrong attempts of a row, from 1 to 4; how many is drawn for each row.
        max_rows: most rows per question and kind.
        joint: how joints are written.

    Raises:
        ConfigError: if a number is out of range.
    """

    kinds: tuple[CorrectionKind, ...] = CORRECTION_KINDS
    max_attempts: int = MAX_ATTEMPTS
    max_rows: int = 4
    joint: JointConfig = field(default_factory=JointConfig)

    def __post_init__(self) -> None:
        """Refuse what makes no rows."""
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            raise ConfigError(
                f"max_attempts={self.max_attempts!r} must be from 1 to {MAX_ATTEMPTS}: a right "
                "trace without a wrong attempt is no correction"
            )


@dataclass(frozen=True, slots=True)
class Corrected:
    """Result: table ``corrections``, and what it took.

    Attributes:
        corrections: the rows, by question, kind and draft.
        n_drafts: rows that were begun.
        dropped: those that came to nothing, by reason.
        n_joints: samples of joints that were written.
        refused: those that were not good, by reason.
        progress: what the engine did.
    """

    corrections: pl.DataFrame
    n_drafts: int
    dropped: dict[str, int]
    n_joints: int
    refused: dict[str, int]
    progress: Progress


def make_corrections(
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    probes: pl.DataFrame,
    trace_labels: pl.DataFrame,
    critiques: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    config: CorrectionConfig,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Corrected:
    """Make self-correction traces of what a run left behind.

    Thoughts about code are left out: a wrong one among them is a revision of another, not a branch.

    Args:
        traces: table ``traces``.
        rollouts: table ``rollouts``; says which steps of a trace the policy wrote by itself.
        probes: table ``probes``; further right and wrong ends of the measured traces.
        trace_labels: table ``trace_labels``; where it is verified, it names a wrong step.
        critiques: table ``critiques``; a right trace that a judge objects to is not used.
        engine: the policy that wrote the traces; it writes the joints.
        journal: answers already known, and where new ones go.
        config: settings.
        budget: when to stop; rows then have the attempts that were joined before.
        on_progress: called after each batch of the engine.

    Raises:
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    drafts = [
        draft
        for question in questions(traces, rollouts, probes, trace_labels, critiques)
        for draft in _drafts(question, config)
    ]
    tally = Tally()
    scheduler = Scheduler[Story](engine, journal, budget=budget, on_progress=on_progress)
    searches = (
        (str(idx), _written(draft, engine.fingerprint, config.joint, tally))
        for idx, draft in enumerate(drafts)
    )
    stories = scheduler.run(searches, n_searches=len(drafts))
    rows = {}
    dropped: Counter[str] = Counter()
    for idx in range(len(drafts)):
        story = stories.get(str(idx))
        if story is None or not story.told:
            spent = story is None or scheduler.progress.budget_spent
            dropped["the budget was spent" if spent else "no joint was good"] += 1
        elif (row := story.row()) is None:
            dropped["it does not end right"] += 1
        else:
            rows.setdefault(row["trace_id"], row)
    return Corrected(
        Correction.from_rows(rows.values()),
        len(drafts),
        dict(dropped),
        tally.n_joints,
        dict(Counter(tally.refused)),
        scheduler.progress,
    )


def _drafts(question: Question, config: CorrectionConfig) -> Sequence[Draft]:
    make = {"splice": splices, "attempts": chains}
    limits = {"max_attempts": config.max_attempts, "max_rows": config.max_rows}
    return [draft for kind in config.kinds for draft in make[kind](question, **limits)]


def _written(
    draft: Draft, fingerprint: str, config: JointConfig, tally: Tally
) -> Generator[Sequence[Request], Sequence[Answer], Story]:
    write = splice if draft.kind == "splice" else chain
    return write(draft, fingerprint, config, tally)
