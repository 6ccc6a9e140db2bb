"""The loop that both trainings run, and how long.

The surprising fact: a step takes so many tokens, not so many rows, and its rows are of like length.
So hardly anything is padding, and a step takes about as long as any other.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from datagen.guides.passes import passes

_WARMUP: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how hard to train.

    Attributes:
        epochs: passes over the training rows.
        minutes: stop after so many, whatever is left of the epochs; ``None``: never.
        learning_rate: the highest; it rises over the first tenth of the steps, and then falls to 0.
        tokens_per_step: most tokens of one step of the optimiser, padding included.
        heldout: share of the questions that are measured on and not trained on.
        seed: of order and initial weights.
    """

    epochs: int = 4
    minutes: float | None = None
    learning_rate: float = 3e-4
    tokens_per_step: int = 4096
    heldout: float = 0.2
    seed: int = 0


def fit(
    network: torch.nn.Module,
    lengths: Sequence[int],
    loss_of: Callable[[Sequence[int]], torch.Tensor],
    schedule: Schedule,
    on_step: Callable[[float, float], None] | None,
) -> None:
    """Take steps on passes of rows of like length, in random order."""
    rng, began = random.Random(schedule.seed), time.monotonic()
    batches = [
        batch
        for _ in range(schedule.epochs)
        for batch in _shuffled(list(passes(lengths, max_tokens=schedule.tokens_per_step)), rng)
    ]
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate)
    network.train()
    for step, batch in enumerate(batches):
        done = step / len(batches)
        if schedule.minutes is not None:
            done = max(done, (time.monotonic() - began) / (60 * schedule.minutes))
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * min((done + 0.01) / _WARMUP, 1, (1 - done) / 0.9)
        loss = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if on_step:
            on_step(done, loss.item())
    network.eval()


def _shuffled(batches: list[list[int]], rng: random.Random) -> list[list[int]]:
    rng.shuffle(batches)
    return batches


def mean(numbers: Sequence[float]) -> float:
    """NaN of nothing."""
    return sum(numbers) / len(numbers) if numbers else math.nan
