"""Where a run writes down what it found, as it goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datagen.bench.downstream.figures import gain_of, mean_of
from datagen.bench.downstream.students import Floats
from datagen.bench.scores import Estimate


@dataclass(slots=True)
class DownstreamReport:
    """Everything that was found.

    Attributes:
        figures: numbers by name; one with an interval has ``_low`` and ``_high`` beside it.
        scaling: rows of :func:`~datagen.bench.downstream.scaling.scaling_curve`.
        detail: what it takes to understand them: tokens, rows, settings, accuracy by events.
    """

    figures: dict[str, float] = field(default_factory=dict[str, float])
    scaling: Sequence[Mapping[str, Any]] = ()
    detail: dict[str, Any] = field(default_factory=dict[str, Any])

    def say(self, name: str, found: Floats | Estimate) -> None:
        """Write down a figure with its interval.

        Args:
            name: its name.
            found: the figure, or shares ``(n_seeds, n_questions)`` whose mean it is.
        """
        estimate = found if isinstance(found, Estimate) else mean_of(found)
        self.figures |= {
            name: estimate.value,
            f"{name}_low": estimate.low,
            f"{name}_high": estimate.high,
        }

    def compare(self, name: str, ours: Floats, other: Floats) -> None:
        """Write down by how much the mean of one is above that of the other, paired."""
        self.say(name, gain_of(ours, other))
