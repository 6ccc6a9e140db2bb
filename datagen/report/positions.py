"""What steps are worth by where they stand in their trace, in traces that end right and wrong.

The surprising fact: a mean over very few steps is left out, not drawn faintly. The last positions
are those of the two or three longest traces, and a line that ends in their noise is read as news.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

Measure = Literal["value", "p_before_error"]
"""A column of ``step_labels``: what is averaged."""

N_PARTS: Final = 10
"""Parts of equal length that traces are divided into, to compare short ones with long ones."""

_MAX_STEPS: Final = 24
_MIN_STEPS: Final = 3
"""Steps at a position whose mean is drawn."""


@dataclass(frozen=True, slots=True)
class ValueAt:
    """Steps at one position of the traces that ended alike.

    Attributes:
        position: counted from 1.
        mean: their mean value.
        n: how many they are.
    """

    position: int
    mean: float
    n: int


ByOutcome = Mapping[str, tuple[ValueAt, ...]]
"""``correct`` and ``wrong``, each with its positions in order."""


def by_position(
    steps: pl.DataFrame, labels: pl.DataFrame, *, measure: Measure = "value"
) -> ByOutcome:
    """Means by number of the step.

    Args:
        steps: table ``step_labels``; steps that were not measured do not count.
        labels: table ``trace_labels``, which knows how the traces ended.
        measure: what is averaged.
    """
    number = pl.when(pl.col("step_idx") < _MAX_STEPS).then(pl.col("step_idx") + 1)
    return _means(steps, labels, measure, number)


def by_progress(
    steps: pl.DataFrame, labels: pl.DataFrame, *, measure: Measure = "value"
) -> ByOutcome:
    """Means by how much of the trace is done: part 1 to :data:`N_PARTS`; otherwise as above."""
    # Whole numbers, since 0.3 * 10 is not 3.
    done = (pl.col("step_idx") + 1) * N_PARTS
    part = (done + pl.col("n_steps") - 1) // pl.col("n_steps")
    return _means(steps, labels, measure, part)


def _means(
    steps: pl.DataFrame, labels: pl.DataFrame, measure: Measure, position: pl.Expr
) -> ByOutcome:
    means = (
        steps.filter(pl.col(measure).is_not_null())
        .join(labels.select("trace_id", "outcome", "n_steps"), on="trace_id")
        .group_by("outcome", position=position.cast(pl.Int64))
        .agg(mean=pl.col(measure).mean(), n=pl.len())
        .filter(pl.col("n") >= _MIN_STEPS, pl.col("position").is_not_null())
        .sort("position")
    )
    return {
        outcome: tuple(
            ValueAt(*row)
            for row in means.filter(pl.col("outcome") == outcome)
            .select("position", "mean", "n")
            .iter_rows()
        )
        for outcome in ("correct", "wrong")
    }
