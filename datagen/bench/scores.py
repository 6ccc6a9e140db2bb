"""How good predicted first errors are: accuracies with bootstrap intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

N_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % bootstrap interval over traces."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(measure: Callable[[Ints], float], n: int, *, seed: int = 0) -> Estimate:
    """``measure`` of all ``n`` traces, and of traces drawn with replacement (Efron 1979).

    Args:
        measure: takes row numbers, possibly repeated.
        n: number of traces.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    drawn = [measure(rng.integers(0, n, n)) for _ in range(N_RESAMPLES)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(measure(np.arange(n)), float(low), float(high))


def exact(predicted: Ints, truth: Ints) -> Estimate:
    """Share of traces whose first error is found exactly."""
    hit = predicted == truth
    return bootstrap(lambda rows: float(hit[rows].mean()), len(truth))


def within_one(predicted: Ints, truth: Ints) -> Estimate:
    """Share of traces whose first error is missed by one step at most; -1 is next to nothing."""
    hit = (np.abs(predicted - truth) <= 1) & ((predicted < 0) == (truth < 0))
    return bootstrap(lambda rows: float(hit[rows].mean()), len(truth))


def processbench_f1(predicted: Ints, truth: Ints) -> Estimate:
    """Harmonic mean of the accuracies on traces with and without an error.

    Zheng et al. 2024, arXiv 2412.06559, section 4.1. Not a number if either kind is missing.
    """
    hit, bad = predicted == truth, truth >= 0

    def f1(rows: Ints) -> float:
        wrong, right = hit[rows][bad[rows]], hit[rows][~bad[rows]]
        if not len(wrong) or not len(right):
            return float("nan")
        a, b = float(wrong.mean()), float(right.mean())
        return 2 * a * b / (a + b) if a + b else 0.0

    return bootstrap(f1, len(truth))
