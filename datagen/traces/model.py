"""Steps and traces: what every stage of the pipeline hands on.

Both are immutable, so that a prefix of a trace can be shared by thousands of rollouts.
"""

from dataclasses import dataclass
from typing import Literal, Self

from datagen.factors.taxonomy import Factor

Provenance = Literal["human", "model", "code"]


@dataclass(frozen=True, slots=True)
class Step:
    """One reasoning step.

    Attributes:
        text: the step's words, without markup. For traces that were split from prose the text
            keeps its trailing white space, so that joining the steps gives the prose back.
        factor: the thought factor that the step performs.
        provenance: who wrote the step.
    """

    text: str
    factor: Factor = Factor.OTHER
    provenance: Provenance = "model"


@dataclass(frozen=True, slots=True)
class Trace:
    """A question with ordered steps and, once it has ended, an answer.

    Attributes:
        question: the question as it was asked.
        steps: the steps in order; step_idx is 0-based everywhere.
        answer: the visible answer after the thought, or ``None`` while the trace is unfinished.
    """

    question: str
    steps: tuple[Step, ...] = ()
    answer: str | None = None

    def prefix(self, n_steps: int) -> Self:
        """Return the state after the first ``n_steps`` steps, without an answer.

        Raises:
            ValueError: if ``n_steps`` is negative or larger than the trace.
        """
        if not 0 <= n_steps <= len(self.steps):
            raise ValueError(f"n_steps={n_steps!r} must be between 0 and {len(self.steps)}")
        return type(self)(question=self.question, steps=self.steps[:n_steps])

    def extended(self, *steps: Step) -> Self:
        """Return this unfinished trace with ``steps`` appended."""
        return type(self)(question=self.question, steps=(*self.steps, *steps))
