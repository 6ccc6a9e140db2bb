"""What the search for first errors is given: when to stop, the traces, and attempts to learn from.

It stands apart from :mod:`datagen.search.first_error` because that needs PyTorch, and settings are
read by commands that should start at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datagen.engines.protocol import Sampling
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.search.evidence import Verify
from datagen.traces.model import Trace


@dataclass(frozen=True, slots=True)
class FirstErrorConfig:
    """When to ask and when to stop.

    Attributes:
        confidence: a trace is settled once one position has this much posterior mass.
        max_rollouts: most rollouts per trace.
        wave: rollouts per trace and wave, all from the same prefix.
        min_information: a trace is given up when no rollout is expected to tell more, in nats.
        prior: ``"fitted"`` from the steps' surprisal and thought factors; ``"flat"`` takes every
            step for equally suspect, which is there to be compared with.
        refit_after: waves after which the model is fitted again to everything seen so far, as it is
            after the last one; empty: never.
        sampling: how rollouts are drawn.
        dialect: how the policy is asked.
    """

    confidence: float = 0.9
    max_rollouts: int = 12
    wave: int = 1
    min_information: float = 0.002
    prior: Literal["fitted", "flat"] = "fitted"
    refit_after: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    sampling: Sampling = field(default_factory=Sampling)
    dialect: Dialect = NATIVE


@dataclass(frozen=True, slots=True)
class Suspect:
    """A whole trace whose first error is sought.

    Attributes:
        trace: the trace.
        correct: whether it ended right.
        question: what tells questions apart; root rollouts of the same one tell its solve rate.
        verify: judges completions of its question.
        n_given: leading steps that are known to be good.
        known: rollouts drawn before, as (steps shared with the trace, ended right), one each;
            without the attempts at its question, which are found by themselves.
        n_samples: how many samples of a prefix were drawn before, by its length in steps. The
            search goes on behind them: the journal would give them again, to be counted twice.
    """

    trace: Trace
    correct: bool
    question: str
    verify: Verify
    n_given: int = 0
    known: Sequence[tuple[int, bool]] = ()
    n_samples: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True, slots=True)
class Attempt:
    """A whole rollout from a bare question (or a given prefix) with its outcome.

    Attributes:
        trace: given steps and what the rollout added.
        correct: whether it ended right.
        question: as in :class:`Suspect`.
        n_given: steps that the rollout did not write.
    """

    trace: Trace
    correct: bool
    question: str
    n_given: int = 0
