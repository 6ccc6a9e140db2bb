"""Fit the error model to a run by empirical Bayes, and to gold labels where there are any.

Nothing here needs to know a first error: outcomes of root rollouts teach the hazard, and of
the traces at hand the likelihood of their rollouts, summed over all positions that the error could
have, teaches recovery, hurdle and trust. Gold positions, if given, simply remove the sum.
"""

from dataclasses import dataclass, fields, replace
from typing import Final

import torch
from torch import Tensor

from datagen.labels.hazard import StepBatch, log_first_error
from datagen.labels.posterior import (
    ErrorModel,
    Evidence,
    TraceBatch,
    joint,
    log_prior,
    log_solve_rate_marginal,
)

_WIDTHS: Final = {
    "trust": 0.35,
    "solve": 1.0,
    "hurdle": 1.0,
    "ceiling": 1.5,
    "recovery": 1.0,
    "spread": 0.7,
    "parting": 1.0,
    "luck": 1.0,
}
"""Standard deviations of the Gaussian priors around the defaults; of the weights it is 1."""

_MAX_ROWS: Final = 2048
"""Root rollouts, and traces, that are used for a fit; more would only cost time."""


@dataclass(frozen=True, slots=True)
class RootRollouts:
    """Whole rollouts from bare questions.

    Attributes:
        steps: their steps.
        correct: whether each ended right; bool, ``(n_rollouts,)``.
        trials: verified rollouts per question, float64, ``(n_questions,)``; ``successes`` of them
            ended right.
    """

    steps: StepBatch
    correct: Tensor
    trials: Tensor
    successes: Tensor


def fit(
    model: ErrorModel,
    *,
    roots: RootRollouts | None = None,
    batch: TraceBatch | None = None,
    evidence: Evidence | None = None,
    gold: Tensor | None = None,
    max_iterations: int = 30,
) -> ErrorModel:
    """The parameters of greatest posterior probability, starting from ``model``.

    Args:
        model: where to begin; it stays as it is. Its temperature is kept.
        roots: root rollouts of the run.
        batch: traces whose first error is sought, with ``evidence`` about them.
        evidence: rollouts from their prefixes.
        gold: true first errors of ``batch``, int64, ``(n_traces,)``; -1 for none, -2 for unknown.
        max_iterations: of L-BFGS.

    Returns:
        A new model; the same data give the same model.
    """
    fitted = replace(
        model,
        **{f.name: getattr(model, f.name).detach().clone() for f in fields(model)},
    )
    names = ["weights", *_WIDTHS]
    parameters = [getattr(fitted, name).requires_grad_() for name in names]
    if roots is not None:
        roots = _thinned(roots)
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=max_iterations, line_search_fn="strong_wolfe", tolerance_change=1e-6
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = _surprise_of_parameters(fitted)
        if roots is not None:
            total = total - _log_outcomes(fitted, roots)
        if batch is not None and evidence is not None and len(batch):
            total = total - _log_evidence(fitted, batch, evidence, gold)
        total.backward()  # pyright: ignore[reportUnknownMemberType]
        return total

    optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    for parameter in parameters:
        parameter.requires_grad_(False)
    return fitted


def _surprise_of_parameters(model: ErrorModel) -> Tensor:
    """Minus log prior of the parameters, up to a constant."""
    default = ErrorModel()
    total = 0.5 * (model.weights - default.weights).square().sum()
    for name, width in _WIDTHS.items():
        departure = (getattr(model, name) - getattr(default, name)) / width
        total = total + 0.5 * departure.square().sum()
    return total


def _log_outcomes(model: ErrorModel, roots: RootRollouts) -> Tensor:
    """Of the root rollouts: each outcome given its steps, and the counts per question."""
    _, none = log_first_error(roots.steps.features @ model.weights, roots.steps.mask)
    luck = torch.sigmoid(model.luck)
    right = (none.exp() + (1.0 - none.exp()) * luck).clamp(1e-6, 1.0 - 1e-6)
    outcomes = torch.where(roots.correct, right.log(), (-right).log1p()).sum()
    return outcomes + log_solve_rate_marginal(model, roots.trials, roots.successes).sum()


def _log_evidence(
    model: ErrorModel, batch: TraceBatch, evidence: Evidence, gold: Tensor | None
) -> Tensor:
    """Of the rollouts from prefixes (and the gold positions), given how the traces ended."""
    # What the data say is no matter of temperature, which belongs to the posterior alone.
    plain = replace(model, temperature=torch.zeros((), dtype=torch.float64))
    log_joint = joint(plain, batch, evidence).logsumexp(2)
    outcome = log_prior(model, batch).logsumexp(1)
    if gold is None:
        return (log_joint.logsumexp(1) - outcome).sum()
    at_gold = log_joint.gather(1, (gold % log_joint.shape[1])[:, None]).squeeze(1)
    known = torch.where(gold == -2, log_joint.logsumexp(1), at_gold)
    return (known - outcome).sum()


def _thinned(roots: RootRollouts) -> RootRollouts:
    every = -(-len(roots.correct) // _MAX_ROWS)
    rows = torch.arange(0, len(roots.correct), max(every, 1))
    return replace(roots, steps=roots.steps.select(rows), correct=roots.correct[rows])
