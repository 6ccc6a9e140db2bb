"""Give every step of a table of traces its thought factor, with a probability and its links.

Whoever wrote a step in tags has said what it does, and is believed. Steps that came as prose have
the factor ``Other``, which is as good as none: these are tagged by a classifier, or by the model
that the run works with.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from datagen.engines.protocol import Answer, Engine, Request
from datagen.factors.links import links
from datagen.factors.taxonomy import ACTIONS, TAXONOMY_VERSION, Factor
from datagen.journal import Journal
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.search.budget import Budget, Progress
from datagen.search.scheduler import Scheduler
from datagen.search.waves import BudgetSpent
from datagen.traces.markup import render
from datagen.traces.model import Trace
from datagen.traces.rows import trace_of
from schemas import Tag, Tagger

TaggerChoice = Literal["classifier", "model", "none"]
"""Who tags steps that came without a tag."""

Posterior = Mapping[Factor, float]
"""P(factor) of one step."""


@dataclass(frozen=True, slots=True)
class TaggingConfig:
    """Settings.

    Attributes:
        tagger: who tags steps that came without a tag.
        min_probability: less probable tags are not used, and go to people.
        dialect: how a model is asked.
    """

    tagger: TaggerChoice = "classifier"
    min_probability: float = 0.5
    dialect: Dialect = NATIVE


@dataclass(frozen=True, slots=True)
class Tagged:
    """Table ``tags``, and what it took."""

    tags: pl.DataFrame
    progress: Progress


def tag_traces(
    traces: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    config: TaggingConfig,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tagged:
    """Tag every step of every trace.

    Args:
        traces: table ``traces``.
        engine: the model, which only ``tagger="model"`` asks.
        journal: answers already known, and where new ones go.
        config: settings.
        budget: when to stop asking; steps that were not asked about have the tagger ``none``.
        on_progress: called whenever the engine has answered.

    Returns:
        Table ``tags``, in the order of the traces and their steps.

    Raises:
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    rows = list(traces.iter_rows(named=True))
    parsed = [trace_of(row) for row in rows]
    untagged = [
        [idx for idx, step in enumerate(trace.steps) if step.factor is Factor.OTHER]
        for trace in parsed
    ]
    progress = Progress()
    posteriors: Mapping[str, Mapping[int, Posterior]] = {}
    if config.tagger == "classifier":
        posteriors = {
            row["trace_id"]: _classified(trace, open_steps)
            for row, trace, open_steps in zip(rows, parsed, untagged, strict=True)
            if open_steps
        }
    elif config.tagger == "model" and any(untagged):
        scheduler = Scheduler[Mapping[int, Posterior]](
            engine, journal, budget=budget, on_progress=on_progress
        )
        asked = [
            (row["trace_id"], _asked(trace, open_steps, config.dialect))
            for row, trace, open_steps in zip(rows, parsed, untagged, strict=True)
            if open_steps
        ]
        posteriors = scheduler.run(iter(asked), n_searches=len(asked))
        progress = scheduler.progress
    return Tagged(
        Tag.from_rows(
            [
                tag
                for row, trace in zip(rows, parsed, strict=True)
                for tag in _tags(row, trace, posteriors.get(row["trace_id"]) or {}, config)
            ]
        ),
        progress,
    )


def with_tags(traces: pl.DataFrame, tags: pl.DataFrame) -> pl.DataFrame:
    """The traces with the tags that are sure enough in ``factors`` and ``markup``.

    Args:
        traces: table ``traces``.
        tags: table ``tags`` of these traces. Tags that need review are not used.

    Returns:
        The same rows; those that no tag changes are untouched.
    """
    added = tags.filter(
        pl.col("tagger").is_in(["classifier", "model", "human"]), ~pl.col("needs_review")
    )
    new: dict[str, dict[int, str]] = {}
    for trace_id, step_idx, factor in added.select("trace_id", "step_idx", "factor").iter_rows():
        new.setdefault(trace_id, {})[step_idx] = factor
    changed: list[dict[str, Any]] = []
    for row in traces.filter(pl.col("trace_id").is_in([*new])).iter_rows(named=True):
        given = new[row["trace_id"]]
        factors = [given.get(idx, factor) for idx, factor in enumerate(row["factors"])]
        markup = render(trace_of({**row, "factors": factors}))
        changed.append({"trace_id": row["trace_id"], "factors": factors, "markup": markup})
    if not changed:
        return traces
    schema = {name: traces.schema[name] for name in changed[0]}
    return traces.update(pl.DataFrame(changed, schema=schema), on="trace_id")


def _classified(trace: Trace, open_steps: Sequence[int]) -> Mapping[int, Posterior]:
    # It pulls in scikit-learn, which takes seconds to import.
    from datagen.factors.classifier import shipped_classifier

    classifier = shipped_classifier()
    usable = [k for k, factor in enumerate(classifier.factors) if factor in ACTIONS]
    mass = classifier.probabilities(trace)[:, usable]
    mass /= mass.sum(axis=1, keepdims=True)
    factors = [classifier.factors[k] for k in usable]
    return {idx: dict(zip(factors, map(float, mass[idx]), strict=True)) for idx in open_steps}


def _asked(
    trace: Trace, open_steps: Sequence[int], dialect: Dialect
) -> Generator[Sequence[Request], Sequence[Answer], Mapping[int, Posterior]]:
    """One step after the other, since a model reads a step best behind steps that have tags."""
    found: dict[int, Posterior] = {}
    steps = list(trace.steps)
    with suppress(BudgetSpent):
        for idx in open_steps:
            answers = yield dialect.tag_requests(replace(trace, steps=tuple(steps)), idx)
            found[idx] = dialect.read_tag(answers)
            steps[idx] = replace(steps[idx], factor=_ranked(found[idx])[0])
    return found


def _tags(
    row: Mapping[str, Any],
    trace: Trace,
    posteriors: Mapping[int, Posterior],
    config: TaggingConfig,
) -> Iterator[dict[str, Any]]:
    for idx, (step, depends_on) in enumerate(
        zip(trace.steps, links(trace.question, trace.steps), strict=True)
    ):
        posterior = posteriors.get(idx)
        ranked = _ranked(posterior) if posterior else [step.factor]
        tagger: Tagger = "native"
        if posterior:
            tagger = "model" if config.tagger == "model" else "classifier"
        elif step.factor is Factor.OTHER:
            tagger = "none"
        probability = posterior[ranked[0]] if posterior else float(tagger == "native")
        yield {
            "trace_id": row["trace_id"],
            "seed_id": row["seed_id"],
            "step_idx": idx,
            "text": step.text,
            "factor": ranked[0].value,
            "probability": min(probability, 1.0),
            "runner_up": ranked[1].value if len(ranked) > 1 else None,
            "tagger": tagger,
            "needs_review": probability < config.min_probability,
            "depends_on": depends_on,
            "taxonomy": TAXONOMY_VERSION,
        }


def _ranked(posterior: Posterior) -> list[Factor]:
    """The factors, most probable first; of equals the one that comes first in the taxonomy."""
    return sorted(posterior, key=lambda factor: posterior[factor], reverse=True)
