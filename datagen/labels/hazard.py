"""How likely each step is to be the first error, before any rollout has been drawn for it.

A step is as risky as the policy itself found it improbable, as steps of its thought factor usually
are, and as what follows it makes it: a mistake behind which an error is detected is probably put
right. The weights are never set by hand. Root rollouts whose outcome is known teach them, though
nobody knows which of a wrong rollout's steps was to blame: a trace is right if none of its steps
went wrong, which is a likelihood (multiple-instance learning by a noisy OR).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from datagen.factors.taxonomy import Factor
from datagen.prompts.reading import StepSurprisal
from datagen.traces.model import Step

_FACTOR_IDX: Final = {factor: idx for idx, factor in enumerate(Factor)}
_N_FACTORS: Final = len(Factor)
_MOST: Final = 12.0
"""Surprisals beyond this many nats say no more; a foreign tokenizer can yield far greater ones."""

N_SURPRISAL: Final = 4
"""Leading columns of the features that come from surprisal: content, action, and whether each is
beyond one nat by how much; the bend lets a weight differ between likely and unlikely tokens."""

_N_WHOLE: Final = 2
"""Columns that are the same for all steps of a trace: a constant, and the logarithm of its length.
Long traces are not as much riskier as they have more steps. Without the length, that would be
explained by a great risk at a step that every trace has once, such as the last."""

N_FEATURES: Final = N_SURPRISAL + _N_WHOLE + 2 * _N_FACTORS + 1
"""Surprisal, the whole trace, this step's factor, the next step's (one more: this is the last)."""

_TYPICAL_LENGTH: Final = 8


IMPOSSIBLE: Final = -1e9
"""Stands for a logarithm of zero, whose gradient would be no number."""


@dataclass(frozen=True, slots=True)
class StepBatch:
    """Steps of several traces, padded at the end.

    Attributes:
        features: float64, ``(n_traces, longest, N_FEATURES)``.
        follow: probability with which the policy, left alone, would write each step just so;
            float64, ``(n_traces, longest)``, 0 at padding.
        n_steps: int64, ``(n_traces,)``.
    """

    features: Tensor
    follow: Tensor
    n_steps: Tensor

    @property
    def mask(self) -> Tensor:
        """Where there is a step; bool, ``(n_traces, longest)``."""
        return torch.arange(self.features.shape[1]) < self.n_steps[:, None]

    def select(self, rows: Tensor) -> "StepBatch":
        """Some of the traces, padded no further than the longest of them."""
        n_steps = self.n_steps[rows]
        longest = int(n_steps.max()) if len(n_steps) else 0
        return StepBatch(self.features[rows, :longest], self.follow[rows, :longest], n_steps)

    def without_features(self) -> "StepBatch":
        """The same steps with nothing that tells them apart."""
        bare = torch.zeros_like(self.features)
        bare[:, :, N_SURPRISAL] = 1.0
        return StepBatch(bare, self.follow, self.n_steps)


def step_batch(
    traces: Sequence[tuple[Sequence[Step], Sequence[StepSurprisal]]],
) -> StepBatch:
    """Features of the steps of ``traces``, each given as its steps and their surprisals.

    Raises:
        ValueError: if a trace has not one surprisal per step.
    """
    longest = max((len(steps) for steps, _ in traces), default=0)
    features = torch.zeros(len(traces), longest, N_FEATURES, dtype=torch.float64)
    follow = torch.zeros(len(traces), longest, dtype=torch.float64)
    for row, (steps, surprisals) in enumerate(traces):
        if len(steps) != len(surprisals):
            raise ValueError(f"{len(surprisals)} surprisals for {len(steps)} steps of trace {row}")
        if not steps:
            continue
        said = torch.tensor([(s.content, s.action) for s in surprisals], dtype=torch.float64)
        said = said.clamp(0.0, _MOST)
        follow[row, : len(steps)] = torch.tensor([math.exp(-s.total) for s in surprisals])
        own = torch.tensor([_FACTOR_IDX[step.factor] for step in steps])
        following = torch.cat([own[1:], torch.tensor([_N_FACTORS])])
        block = features[row, : len(steps)]
        block[:, 0:2] = said
        block[:, 2:4] = (said - 1.0).clamp(min=0.0)
        block[:, N_SURPRISAL] = 1.0
        block[:, N_SURPRISAL + 1] = math.log(len(steps) / _TYPICAL_LENGTH)
        at = torch.arange(len(steps))
        block[at, N_SURPRISAL + _N_WHOLE + own] = 1.0
        block[at, N_SURPRISAL + _N_WHOLE + _N_FACTORS + following] = 1.0
    n_steps = torch.tensor([len(steps) for steps, _ in traces], dtype=torch.int64)
    return StepBatch(features, follow, n_steps)


def log_first_error(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability that each step is the first error, and that none is.

    Args:
        logits: log-odds of each step's going wrong, ``(n_traces, longest)``.
        mask: where there is a step.

    Returns:
        ``(n_traces, longest)``, minus infinity (in effect) at padding; and ``(n_traces,)``.
    """
    logits = logits.masked_fill(~mask, IMPOSSIBLE)
    fine = torch.nn.functional.logsigmoid(-logits)
    until = fine.cumsum(1)
    return torch.nn.functional.logsigmoid(logits) + until - fine, fine.sum(1)
