"""What is believed of a trace's first error, judges included, and what a review would change.

The posterior knows rollouts and no judge. Here the judges' verdict is one more piece of evidence,
with a reliability that is fitted to the very traces at hand: to those on which the posterior is
sure, no truth is needed to see how often judges are right. So a disagreement counts for as much as
the judges of this run have earned.

A hard label is good before the first error and bad from there on. If the labels have it at ``f``
and it is at ``e``, ``|f - e|`` labels of steps are wrong, with "none" standing behind the last one.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

_RELIABILITIES: Final = np.linspace(0.05, 0.95, 19)
_PSEUDO_VOTES: Final = 4.0
"""Weight of the prior belief that judges are right in two of three cases."""


def believe(pool: pl.DataFrame, *, temperature: float = 1.0) -> list[pl.Series]:
    """How sure one can be of each trace's first error, and what it is worth to know it.

    Args:
        pool: one row per trace with ``p_first_error`` (one probability per step, last: none),
            ``first_error`` (the labels', -1 for none) and ``judge_first_error`` (null: undecided).
        temperature: of the probabilities; above 1 they are less sure.

    Returns:
        Columns ``entropy`` (nats) of the belief that includes the judges, ``n_flips``, the expected
        number of step labels that the truth would change, and ``value``, with the trace's own row
        counted as one label more, per step that must be read.
    """
    beliefs = [heated(np.array(p, dtype=float), temperature) for p in pool["p_first_error"]]
    judged: list[int | None] = pool["judge_first_error"].to_list()
    heeded = _heed(beliefs, judged)
    entropy, n_flips, value = (np.zeros(len(beliefs)) for _ in range(3))
    for row, (q, first) in enumerate(zip(heeded, pool["first_error"], strict=True)):
        places = np.arange(len(q))
        at = first % len(q)
        n_flips[row] = (q * np.abs(places - at)).sum()
        value[row] = (n_flips[row] + 1.0 - q[at]) / len(q)
        entropy[row] = -(q * np.log(np.maximum(q, 1e-300))).sum()
    return [
        pl.Series("entropy", np.maximum(entropy, 0.0)),
        pl.Series("n_flips", n_flips),
        # What is left of 1 - 1 after rounding is worth nothing.
        pl.Series("value", np.where(value > 1e-9, value, 0.0)),
    ]


def heated(p: Floats, temperature: float) -> Floats:
    """Probabilities that are less sure above temperature 1, and surer below."""
    q = np.power(p / p.sum(), 1.0 / temperature)
    return q / q.sum()


def _heed(beliefs: list[Floats], judged: list[int | None]) -> list[Floats]:
    """Beliefs with the judges' verdict weighed in."""
    said = [row for row, verdict in enumerate(judged) if verdict is not None]
    reliability = {
        found: _reliability(
            [beliefs[row] for row in said if (judged[row] != -1) == found],
            [at for row in said if ((at := judged[row]) is not None) and (at != -1) == found],
        )
        for found in (False, True)
    }
    heeded: list[Floats] = []
    for p, verdict in zip(beliefs, judged, strict=True):
        if verdict is None:
            heeded.append(p)
            continue
        odds = _likelihood(len(p), verdict, reliability[verdict != -1])
        heeded.append(p * odds / (p * odds).sum())
    return heeded


def _likelihood(n_places: int, verdict: int, reliability: float) -> Floats:
    """Of the verdict, given each place of the first error: right, or any of the other places."""
    odds = np.full(n_places, (1.0 - reliability) / max(1, n_places - 1))
    odds[verdict % n_places] = reliability
    return odds


def _reliability(beliefs: list[Floats], verdicts: list[int]) -> float:
    """The share of right verdicts that makes them most probable, as far as they are there."""
    log_p = _PSEUDO_VOTES * (2 / 3 * np.log(_RELIABILITIES) + 1 / 3 * np.log(1 - _RELIABILITIES))
    for p, verdict in zip(beliefs, verdicts, strict=True):
        own = p[verdict % len(p)]
        others = (1.0 - own) / max(1, len(p) - 1)
        log_p = log_p + np.log(_RELIABILITIES * own + (1 - _RELIABILITIES) * others)
    return float(_RELIABILITIES[int(np.argmax(log_p))])
