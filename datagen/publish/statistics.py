"""The numbers of the dataset card, counted from the very tables that are published.

The surprising fact: nothing here is handed in by whoever made the data. A number that is counted
from the files cannot go stale, and a number that cannot be counted from them is not on the card.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from datagen.publish.configs import CONFIGS


@dataclass(frozen=True, slots=True)
class TraceStatistics:
    """Of table ``traces``; all but ``n_human`` and the steps count generated traces only.

    Attributes:
        n_human: traces that a person wrote to the end.
        n_correct: traces that ended right.
        n_decided: traces that ended right or wrong.
        outcomes: outcome → traces, most frequent first.
        factors: thought factor → steps, of all traces, most frequent first.
        median_steps: steps per trace, of all traces.
        max_steps: steps of the longest trace.
    """

    n_human: int
    n_correct: int
    n_decided: int
    outcomes: Mapping[str, int]
    factors: Mapping[str, int]
    median_steps: float
    max_steps: int


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """Of table ``prm``.

    Attributes:
        n_rows: traces.
        n_rows_with_error: traces with a wrong step.
        n_rows_past_error: traces that have steps after their first wrong one.
        n_steps: labelled steps.
        n_wrong_steps: steps labelled wrong.
    """

    n_rows: int
    n_rows_with_error: int
    n_rows_past_error: int
    n_steps: int
    n_wrong_steps: int


@dataclass(frozen=True, slots=True)
class QuestionStatistics:
    """Of table ``rl``.

    Attributes:
        n_questions: questions.
        n_tried: questions with at least one rollout.
        n_rollouts: rollouts of all questions.
        mean_pass_rate: mean over the questions tried, ``None`` if none was.
        n_never_solved: questions tried and never solved.
        n_always_solved: questions tried and solved every time.
    """

    n_questions: int
    n_tried: int
    n_rollouts: int
    mean_pass_rate: float | None
    n_never_solved: int
    n_always_solved: int


def trace_statistics(traces: pl.DataFrame) -> TraceStatistics:
    """Count a table ``traces`` that has rows."""
    generated = traces.filter(pl.col("provenance") != "human")
    outcomes = _counts(generated["outcome"])
    n_correct = outcomes.get("correct", 0)
    steps = traces.select(
        median_steps=pl.col("steps").list.len().median(), max_steps=pl.col("steps").list.len().max()
    )
    return TraceStatistics(
        n_human=traces.height - generated.height,
        n_correct=n_correct,
        n_decided=n_correct + outcomes.get("wrong", 0),
        outcomes=outcomes,
        factors=_counts(traces["factors"].explode().drop_nulls()),
        **_only_row(steps),
    )


def label_statistics(prm: pl.DataFrame) -> LabelStatistics:
    """Count a table ``prm`` that has rows."""
    labels = pl.col("labels")
    counts = prm.select(
        n_rows_with_error=(~labels.list.all()).sum(),
        n_rows_past_error=(~labels.list.head(labels.list.len() - 1).list.all()).sum(),
        n_steps=labels.list.len().sum(),
        n_wrong_steps=labels.list.eval(~pl.element()).list.sum().sum(),
    )
    return LabelStatistics(n_rows=prm.height, **_only_row(counts))


def question_statistics(rl: pl.DataFrame) -> QuestionStatistics:
    """Count a table ``rl`` that has rows."""
    info = rl["extra_info"].struct
    pass_rate = pl.col("pass_rate")
    counts = pl.DataFrame([info.field("pass_rate"), info.field("n_rollouts")]).select(
        n_tried=pass_rate.count(),
        n_rollouts=pl.col("n_rollouts").sum(),
        mean_pass_rate=pass_rate.mean(),
        n_never_solved=(pass_rate == 0).sum(),
        n_always_solved=(pass_rate == 1).sum(),
    )
    return QuestionStatistics(n_questions=rl.height, **_only_row(counts))


def longest_rows(tables: Mapping[str, pl.DataFrame]) -> dict[str, int]:
    """Characters of each config's longest row, as far as a model reads them."""
    return {
        config: _only_row(table.select(n_chars=CONFIGS[config].n_chars().max()))["n_chars"]
        for config, table in tables.items()
    }


def _counts(values: pl.Series) -> dict[str, int]:
    """How often each value occurs, most frequent first, equals in alphabetical order."""
    counts = values.alias("value").to_frame().group_by("value").len()
    return dict(counts.sort(["len", "value"], descending=[True, False]).iter_rows())


def _only_row(frame: pl.DataFrame) -> dict[str, Any]:
    return frame.row(0, named=True)
