"""Means with intervals, over questions and over the seeds of trainings.

Both vary: another draw of questions gives another mean, and so does another order of the training
rows. The bootstrap draws both anew, and where two methods are compared it draws the same questions
and the same seeds for both, since what is hard for one is mostly hard for the other.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from datagen.bench.downstream.students import Floats
from datagen.bench.scores import N_RESAMPLES, Estimate, Ints

_RNG_SEED: Final = 0


def mean_of(hits: Floats) -> Estimate:
    """Mean of ``(n_seeds, n_questions)`` shares, with its 95 % bootstrap interval."""
    return resampled(
        lambda seeds, rows: float(hits[np.ix_(seeds, rows)].mean()), hits.shape[0], hits.shape[1]
    )


def gain_of(ours: Floats, other: Floats) -> Estimate:
    """Mean of the first less mean of the second, over the same questions.

    Args:
        ours: ``(n_seeds, n_questions)``.
        other: the same; or ``(1, n_questions)``, if nothing of it was trained.
    """
    paired = np.broadcast_to(other, ours.shape) if len(other) == 1 else other
    return mean_of(ours - paired)


def resampled(measure: Callable[[Ints, Ints], float], n_seeds: int, n_rows: int) -> Estimate:
    """``measure`` of all seeds and rows, and of both drawn with replacement.

    Args:
        measure: takes indices of seeds and of rows, possibly repeated.
        n_seeds: number of seeds.
        n_rows: number of rows.
    """
    rng = np.random.default_rng(_RNG_SEED)
    drawn = [
        measure(rng.integers(0, n_seeds, n_seeds), rng.integers(0, n_rows, n_rows))
        for _ in range(N_RESAMPLES)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    value = measure(np.arange(n_seeds), np.arange(n_rows))
    return Estimate(value, float(low), float(high))


def f1_of(predicted: Ints, truth: Ints) -> Estimate:
    """ProcessBench's F1 over seeds (Zheng et al. 2024, section 4.1): the mean of each seed's.

    Args:
        predicted: first errors, -1 for none; ``(n_seeds, n_rows)``.
        truth: ``(n_rows,)``.
    """
    hit, bad = predicted == truth, truth >= 0

    def f1(seeds: Ints, rows: Ints) -> float:
        here, wrong = hit[np.ix_(seeds, rows)].astype(np.float64), bad[rows]
        if wrong.all() or not wrong.any():
            return float("nan")
        a, b = here[:, wrong].mean(1), here[:, ~wrong].mean(1)
        return float((2 * a * b / np.maximum(a + b, 1e-9)).mean())

    return resampled(f1, predicted.shape[0], predicted.shape[1])
