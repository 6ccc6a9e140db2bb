"""Do the probabilities mean what they say? Reliability against gold labels, and a refit to them.

The event is "this step comes before the first error", one for each step of each trace. Its
probabilities are binned by equal counts, not equal widths: most of them lie near 0 or 1, and a bin
that holds three steps says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from datagen.labels.fitting import RootRollouts, fit
from datagen.labels.posterior import ErrorModel, Evidence, Posterior, TraceBatch, joint, posterior

_HEATS: Final = np.geomspace(0.25, 8.0, 41)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities can be believed.

    Attributes:
        table: one row per bin: ``n``, ``mean_predicted``, ``share_true``.
        ece: expected calibration error, the mean absolute gap between the two, weighted by ``n``.
        brier: mean squared error of the probabilities.
        n: how many were judged.
    """

    table: pl.DataFrame
    ece: float
    brier: float
    n: int


def calibration(
    predicted: Sequence[float] | npt.NDArray[np.float64],
    happened: Sequence[bool] | npt.NDArray[np.bool_],
    *,
    n_bins: int = 10,
) -> Calibration:
    """Compare probabilities with what happened (Naeini et al. 2015, with bins of equal counts).

    Raises:
        ValueError: without predictions, or if the two differ in length.
    """
    p, y = np.asarray(predicted, dtype=float), np.asarray(happened, dtype=float)
    if not len(p) or len(p) != len(y):
        raise ValueError(f"{len(p)} probabilities for {len(y)} outcomes cannot be compared")
    order = np.argsort(p, kind="stable")
    bins = [chunk for chunk in np.array_split(order, n_bins) if len(chunk)]
    table = pl.DataFrame(
        {
            "n": [len(chunk) for chunk in bins],
            "mean_predicted": [float(p[chunk].mean()) for chunk in bins],
            "share_true": [float(y[chunk].mean()) for chunk in bins],
        }
    )
    gap = (table["mean_predicted"] - table["share_true"]).abs()
    ece = float((gap * table["n"]).sum() / len(p))
    return Calibration(table, ece, float(np.square(p - y).mean()), len(p))


def before_first_error(
    belief: Posterior, batch: TraceBatch, gold: Tensor
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Predicted and true "comes before the first error" of every step of traces with gold labels.

    Args:
        belief: posterior of the batch.
        batch: the traces.
        gold: true first errors, -1 for none, -2 for unknown (left out); ``(n_traces,)``.

    Returns:
        Two arrays over the steps of all traces with a gold label, in order.
    """
    step_idx = torch.arange(batch.steps.mask.shape[1])
    # Steps that were given as good are no predictions.
    mask = batch.steps.mask & (gold != -2)[:, None] & (step_idx >= batch.n_given[:, None])
    before = (step_idx < gold[:, None]) | (gold == -1)[:, None]
    return belief.before_error[mask].numpy(), before[mask].numpy()


def refit(
    model: ErrorModel,
    batch: TraceBatch,
    evidence: Evidence,
    gold: Tensor,
    *,
    roots: RootRollouts | None = None,
) -> ErrorModel:
    """Fit recovery, solve rates and the rest to gold labels, then the temperature.

    Args:
        model: where to begin.
        batch: traces, with ``evidence``.
        evidence: their rollouts.
        gold: true first errors; -1 for none, -2 for unknown.
        roots: root rollouts of the run.
    """
    fitted = fit(model, roots=roots, batch=batch, evidence=evidence, gold=gold)
    known = gold != -2
    log_joint = joint(replace(fitted, temperature=torch.zeros(())), batch, evidence)
    at_gold = (gold % log_joint.shape[1])[:, None]

    def loss(heat: float) -> float:
        log_p = (log_joint / heat).logsumexp(2).log_softmax(1)
        return float(-log_p.gather(1, at_gold)[known].sum()) + 0.5 * float(np.log(heat) / 0.5) ** 2

    heat = min(_HEATS, key=loss)
    return replace(fitted, temperature=torch.tensor(float(np.log(heat)), dtype=torch.float64))


def calibrate(
    model: ErrorModel, batch: TraceBatch, evidence: Evidence, gold: Tensor, *, n_bins: int = 10
) -> Calibration:
    """How well the model's posterior agrees with gold labels."""
    predicted, happened = before_first_error(posterior(model, batch, evidence), batch, gold)
    return calibration(predicted, happened, n_bins=n_bins)
