"""The stages that need an engine, by name, in the one form that can be sent to another machine.

A stage is a plain function of tables and settings, so a worker at the other end of a cluster calls
the very code that a run in one process does. Neither can do something that the other does not.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal

import polars as pl

from datagen.code.run import back_translate_seeds
from datagen.config import Settings
from datagen.corrections import make_corrections
from datagen.engines.protocol import Engine
from datagen.engines.team import members_of
from datagen.factors.tagging import tag_traces
from datagen.journal import Journal
from datagen.judge import judge_traces
from datagen.rubrics import score_rubrics
from datagen.search.budget import Progress
from datagen.search.run import RunProgress, search_prefixes
from datagen.summaries import summarise_traces
from datagen.verify.sandbox import default_sandbox

Tables = Mapping[str, pl.DataFrame]
"""Tables by name; each has a column ``seed_id``."""

Snapshot = RunProgress | Progress
"""What a stage reports as it goes on; the search also counts its rollouts."""

StageName = Literal[
    "search",
    "critiques",
    "labels",
    "code_thoughts",
    "tags",
    "corrections",
    "summaries",
    "rubric_rewards",
]

Stage = Callable[
    [Tables, Engine, Journal, Settings, Callable[[Snapshot], None]],
    tuple[dict[str, pl.DataFrame], Progress],
]
"""From tables, engine, journal, settings and whom to tell of progress, to tables and progress."""


def search(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From ``prefixes`` to ``rollouts`` and ``nodes``; see :mod:`datagen.search.run`."""
    found = search_prefixes(
        tables["prefixes"],
        engine,
        journal,
        config=settings.search.generate_config(settings.engine.dialect, members_of(engine)),
        budget=settings.search_budget(),
        on_progress=on_progress,
        # Idle capacity costs nothing here; from a server it might be billed.
        speculate=settings.engine.kind == "vllm",
    )
    return {"rollouts": found.rollouts, "nodes": found.nodes}, found.progress


def critiques(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From ``measured_traces`` to ``critiques``; see :mod:`datagen.judge.run`."""
    last = Progress()

    def note(progress: Progress) -> None:
        nonlocal last
        last = progress
        on_progress(progress)

    judged = judge_traces(
        tables["measured_traces"],
        engine,
        journal,
        judges=settings.labels.judges(settings.engine.dialect),
        budget=settings.budget(settings.labels.budget_tokens),
        on_progress=note,
    )
    return {"critiques": judged}, last


def labels(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From traces, rollouts and critiques to the labels; see :mod:`datagen.measure.run`."""
    # PyTorch, for which nobody waits who only names a stage or listens to one.
    from datagen.measure.run import measure_traces

    found = measure_traces(
        tables["measured_traces"],
        tables["traces"],
        tables["rollouts"],
        tables["critiques"],
        engine,
        journal,
        config=settings.measure_config(),
        budget=settings.budget(settings.labels.budget_tokens),
        on_progress=on_progress,
    )
    made = {
        "probes": found.probes,
        "step_labels": found.step_labels,
        "trace_labels": found.trace_labels,
    }
    return made, found.progress


def code_thoughts(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From ``code_seeds`` and ``executions`` to ``code_thoughts``; see :mod:`datagen.code.run`."""
    settings.sandbox.configure()
    found = back_translate_seeds(
        tables["code_seeds"],
        tables["executions"],
        engine,
        journal,
        default_sandbox(),
        config=settings.code.back_translation(settings.engine.dialect),
        budget=settings.budget(settings.code.budget_tokens),
        on_progress=on_progress,
    )
    return {"code_thoughts": found.code_thoughts}, found.progress


def tags(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From ``traces`` to ``tags``; see :mod:`datagen.factors.tagging`."""
    found = tag_traces(
        tables["traces"],
        engine,
        journal,
        config=settings.factors.tagging(settings.engine.dialect),
        budget=settings.budget(settings.factors.budget_tokens),
        on_progress=on_progress,
    )
    return {"tags": found.tags}, found.progress


def corrections(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From traces and their first errors to ``corrections``; see :mod:`datagen.corrections.run`."""
    found = make_corrections(
        tables["traces"],
        tables["rollouts"],
        tables["probes"],
        tables["trace_labels"],
        tables["critiques"],
        engine,
        journal,
        config=settings.corrections.correction_config(settings.engine.dialect),
        budget=settings.budget(settings.corrections.budget_tokens),
        on_progress=on_progress,
    )
    return {"corrections": found.corrections}, found.progress


def summaries(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From ``traces`` to ``summaries``; see :mod:`datagen.summaries.run`."""
    found = summarise_traces(
        tables["traces"],
        engine,
        journal,
        config=settings.summaries.summary_config(settings.engine.dialect),
        budget=settings.budget(settings.summaries.budget_tokens),
        on_progress=on_progress,
    )
    return {"summaries": found.summaries}, found.progress


def rubric_rewards(
    tables: Tables,
    engine: Engine,
    journal: Journal,
    settings: Settings,
    on_progress: Callable[[Snapshot], None],
) -> tuple[dict[str, pl.DataFrame], Progress]:
    """From ``seeds`` and ``rollouts`` to ``rubric_rewards``; see :mod:`datagen.rubrics.run`."""
    found = score_rubrics(
        tables["seeds"],
        tables["rollouts"],
        engine,
        journal,
        dialect=settings.engine.dialect,
        on_progress=on_progress,
    )
    return {"rubric_rewards": found.rubric_rewards}, found.progress


STAGES: Final[dict[StageName, Stage]] = {
    "search": search,
    "critiques": critiques,
    "labels": labels,
    "code_thoughts": code_thoughts,
    "tags": tags,
    "corrections": corrections,
    "summaries": summaries,
    "rubric_rewards": rubric_rewards,
}
"""Every stage that needs an engine."""

ROW_ORDER: Final[dict[str, tuple[str, str]]] = {
    "step_labels": ("traces", "trace_id"),
    "tags": ("traces", "trace_id"),
    "summaries": ("traces", "trace_id"),
}
"""Tables whose rows follow those of another table by a column, rather than lie seed by seed."""
