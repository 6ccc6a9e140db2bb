"""The posterior over a trace's first error, given rollouts from its prefixes.

The first error e is a hidden position; a rollout from a prefix is a noisy yes/no answer about it.
A state before the error succeeds with the policy's own rate p^w: p is the question's solve rate,
and w the share of the trace's difficulty that is still ahead, so that the rate rises with every
step that is behind. The error itself is a hurdle of its own, since where a policy has failed it
fails more easily again. Behind the error the rate is multiplied by a recovery rate that depends on
the distance: a mistake is noticed at once or hardly ever. Each prefix may also depart from all this
in its own way (a beta-binomial), so repeated answers of one prefix count for less and less, which
is why more rollouts cannot talk the posterior into certainty that its assumptions do not earn.
"""

from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from datagen.labels.hazard import N_FEATURES, N_SURPRISAL, StepBatch, log_first_error

N_DISTANCES: Final = 3
"""Recovery rates: right behind the error, one step later, and further on."""

_SOLVE_RATES: Final = torch.tensor(
    [0.003, 0.02, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98, 0.997],
    dtype=torch.float64,
)
"""Grid over a question's solve rate, denser at the ends where rates differ by factors."""

_FLOOR: Final = 1e-3
"""No rollout is certain to succeed or fail."""


@dataclass(slots=True)
class ErrorModel:
    """What is the same for all traces of a run; fitted by :mod:`datagen.labels.fitting`.

    All are float64 tensors on an unbounded scale, so that a gradient can move them.

    Attributes:
        weights: of the step features, for the log-odds of going wrong; ``(N_FEATURES,)``.
        trust: logarithm of how far the surprisal part of the weights is believed for the traces
            at hand; 0 is as far as for root rollouts.
        solve: logarithms of a and b of the Beta prior over solve rates; ``(2,)``.
        hurdle: logarithm of the error's difficulty, in steps of average difficulty.
        recovery: log-odds of the recovery rates by distance; ``(N_DISTANCES,)``.
        spread: logarithm of the beta-binomial concentration before and behind the error; ``(2,)``.
        luck: log-odds that a trace with an error ends right all the same.
        temperature: logarithm of a divisor of all log-probabilities, set by calibration alone.
    """

    weights: Tensor = field(default_factory=lambda: _default_weights())
    trust: Tensor = field(default_factory=lambda: _tensor(0.0))
    solve: Tensor = field(default_factory=lambda: _tensor([0.4, 0.4]))
    hurdle: Tensor = field(default_factory=lambda: _tensor(0.0))
    recovery: Tensor = field(default_factory=lambda: _tensor([-0.5, -1.5, -2.5]))
    spread: Tensor = field(default_factory=lambda: _tensor([2.3, 1.4]))
    luck: Tensor = field(default_factory=lambda: _tensor(-4.0))
    temperature: Tensor = field(default_factory=lambda: _tensor(0.0))


def _tensor(values: float | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _default_weights() -> Tensor:
    """A step goes wrong once in about fifteen times; surprisal and factors say nothing yet."""
    weights = torch.zeros(N_FEATURES, dtype=torch.float64)
    weights[N_SURPRISAL] = -2.6
    return weights


@dataclass(frozen=True, slots=True)
class TraceBatch:
    """Traces whose first error is sought.

    Attributes:
        steps: their steps.
        correct: whether each trace itself ended right; bool, ``(n_traces,)``.
        root_trials: verified rollouts of its question from the bare question, the trace itself
            left out; float64, ``(n_traces,)``.
        root_successes: how many of them ended right; likewise.
        n_given: leading steps that are known to be good (a person wrote them, say), int64,
            ``(n_traces,)``; none of them can be the first error.
    """

    steps: StepBatch
    correct: Tensor
    root_trials: Tensor
    root_successes: Tensor
    n_given: Tensor

    def __len__(self) -> int:
        return len(self.correct)

    def select(self, rows: Tensor) -> "TraceBatch":
        """Some of the traces."""
        return TraceBatch(
            self.steps.select(rows),
            self.correct[rows],
            self.root_trials[rows],
            self.root_successes[rows],
            self.n_given[rows],
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Rollouts from prefixes, counted: entry i is about the state after step ``step_idx[i]``.

    Attributes:
        row: which trace of the batch, int64, ``(n,)``.
        step_idx: the last step of the prefix, 0-based, int64, ``(n,)``.
        trials: verified rollouts, float64, ``(n,)``; ``successes`` of them ended right. A rollout
            counts at one prefix, the longest that it shares with the trace: the outcome depends on
            the past through the state alone, so earlier states learn nothing from it.
    """

    row: Tensor
    step_idx: Tensor
    trials: Tensor
    successes: Tensor

    @classmethod
    def of(cls, trials: Tensor, successes: Tensor) -> "Evidence":
        """From dense counts, each of shape ``(n_traces, longest)``."""
        row, step_idx = torch.nonzero(trials, as_tuple=True)
        return cls(row, step_idx, trials[row, step_idx].double(), successes[row, step_idx].double())


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of each trace.

    Attributes:
        first_error: probability of each position, ``(n_traces, longest + 1)``; the last column is
            "no error", padding is 0, rows sum to one.
        value: expected success rate of the state after each step, ``(n_traces, longest)``.
        information: expected information of one more rollout from after each step about the first
            error, in nats, ``(n_traces, longest)``: the mutual information between position and
            outcome, nuisance parameters averaged out (Lindley 1956). 0 where the outcome is known
            beforehand or tells nothing, and at a trace's last step, where nothing can follow.
        solve_rate: expected solve rate of the bare question, ``(n_traces,)``.
        log_evidence: log-probability of outcome and rollouts under the model, ``(n_traces,)``.
    """

    first_error: Tensor
    value: Tensor
    information: Tensor
    solve_rate: Tensor
    log_evidence: Tensor

    @property
    def before_error(self) -> Tensor:
        """Probability that each step comes before the first error, ``(n_traces, longest)``."""
        return 1.0 - self.first_error[:, :-1].cumsum(1)


def log_prior(model: ErrorModel, batch: TraceBatch) -> Tensor:
    """Joint log-probability of first error and outcome, ``(n_traces, longest + 1)``."""
    steps = batch.steps
    weights = torch.cat(
        [model.weights[:N_SURPRISAL] * model.trust.exp(), model.weights[N_SURPRISAL:]]
    )
    mask = steps.mask
    able = mask & (torch.arange(mask.shape[1]) >= batch.n_given[:, None])
    at_step, none = log_first_error(steps.features @ weights, able)
    at_step = at_step.masked_fill(~able, -1e4)
    lucky = torch.nn.functional.logsigmoid(model.luck)
    unlucky = torch.nn.functional.logsigmoid(-model.luck)
    correct = batch.correct
    return torch.cat(
        [
            at_step + torch.where(correct, lucky, unlucky)[:, None],
            # A trace without error that is called wrong: the verifier's mistake.
            (none + torch.where(correct, -0.002, -6.0))[:, None],
        ],
        dim=1,
    )


def log_solve_rate(model: ErrorModel, batch: TraceBatch) -> Tensor:
    """Log-probability of each rate of the grid given the root rollouts, ``(n_traces, n_rates)``."""
    a, b = model.solve.exp()
    rates = _SOLVE_RATES
    # The grid is even in log-odds but for its ends, hence a and b and not a - 1 and b - 1.
    prior = a * rates.log() + b * (-rates).log1p()
    failures = batch.root_trials - batch.root_successes
    seen = batch.root_successes[:, None] * rates.log() + failures[:, None] * (-rates).log1p()
    return (prior + seen).log_softmax(1)


def log_solve_rate_marginal(model: ErrorModel, trials: Tensor, successes: Tensor) -> Tensor:
    """Log-probability of root counts, the solve rate averaged out; shape as ``trials``."""
    a, b = model.solve.exp()
    rates = _SOLVE_RATES
    prior = (a * rates.log() + b * (-rates).log1p()).log_softmax(0)
    failures = trials - successes
    seen = successes[..., None] * rates.log() + failures[..., None] * (-rates).log1p()
    return (prior + seen).logsumexp(-1)


def success_rates(model: ErrorModel, n_steps: Tensor, step_idx: Tensor, longest: int) -> Tensor:
    """Success rate of the state after a step, for each position of the error and solve rate.

    Args:
        model: the parameters.
        n_steps: length of the trace, ``(n,)``.
        step_idx: the step, ``(n,)``.
        longest: positions run from 0 to ``longest``, the last one being "no error".

    Returns:
        ``(n, longest + 1, n_rates)``, in the open interval from 0 to 1.
    """
    error = torch.arange(longest + 1)
    ahead = (n_steps - 1 - step_idx).clamp(min=0)[:, None]
    behind = step_idx[:, None] >= error
    wrong = error < longest
    hurdle = model.hurdle.exp()
    share = (ahead + hurdle * (~behind & wrong)) / (n_steps[:, None] + hurdle * wrong)
    recovery = torch.sigmoid(model.recovery)
    distance = (step_idx[:, None] - error).clamp(0, N_DISTANCES - 1)
    kept = torch.where(behind & wrong, recovery[distance], torch.ones((), dtype=torch.float64))
    rates = kept[..., None] * (share[..., None] * _SOLVE_RATES.log()).exp()
    return rates.clamp(_FLOOR, 1.0 - _FLOOR)


def concentration(model: ErrorModel, step_idx: Tensor, longest: int) -> Tensor:
    """Beta-binomial concentration, ``(n, longest + 1, 1)``: after a step, by error position."""
    error = torch.arange(longest + 1)
    behind = (step_idx[:, None] >= error) & (error < longest)
    spread = model.spread.exp()
    return torch.where(behind, spread[1], spread[0])[..., None]


def log_likelihood(model: ErrorModel, batch: TraceBatch, evidence: Evidence) -> Tensor:
    """Of the evidence, ``(n_traces, longest + 1, n_rates)``."""
    longest = batch.steps.features.shape[1]
    total = torch.zeros(len(batch), longest + 1, len(_SOLVE_RATES), dtype=torch.float64)
    if not len(evidence.row):
        return total
    # Few traces differ in what matters here, and gammas are dear: each case is worked out once.
    lengths = batch.steps.n_steps[evidence.row].double()
    cases = torch.stack(
        [lengths, evidence.step_idx.double(), evidence.trials, evidence.successes], dim=1
    )
    cases, which = cases.unique(dim=0, return_inverse=True)
    n_steps, step_idx = cases[:, 0].long(), cases[:, 1].long()
    mean = success_rates(model, n_steps, step_idx, longest)
    k = concentration(model, step_idx, longest)
    n, c = cases[:, 2, None, None], cases[:, 3, None, None]
    good, bad = k * mean, k * (1.0 - mean)
    terms = (
        (torch.lgamma(good + c) - torch.lgamma(good))
        + (torch.lgamma(bad + n - c) - torch.lgamma(bad))
        - (torch.lgamma(k + n) - torch.lgamma(k))
    )
    return total.index_add(0, evidence.row, terms[which])


def joint(model: ErrorModel, batch: TraceBatch, evidence: Evidence) -> Tensor:
    """Log-probability of everything, ``(n_traces, longest + 1, n_rates)``."""
    heat = model.temperature.exp()
    prior = log_prior(model, batch)[..., None] + log_solve_rate(model, batch)[:, None]
    return (prior + log_likelihood(model, batch, evidence)) / heat


def posterior(model: ErrorModel, batch: TraceBatch, evidence: Evidence) -> Posterior:
    """What is believed of every trace, and what one more rollout would tell."""
    position, success, solve_rate, log_evidence = _believed(model, batch, evidence)
    value = (position[:, None] * success).sum(2)
    gain = _entropy(value) - (position[:, None] * _entropy(success)).sum(2)
    inner = torch.arange(gain.shape[1]) < batch.steps.n_steps[:, None] - 1
    return Posterior(
        position,
        value * batch.steps.mask,
        gain.clamp(min=0.0) * inner,
        solve_rate,
        log_evidence,
    )


def _believed(
    model: ErrorModel, batch: TraceBatch, evidence: Evidence
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Posterior of the position, success rates given the position, solve rate and log evidence.

    Shapes ``(n_traces, longest + 1)``, ``(n_traces, longest, longest + 1)`` and twice
    ``(n_traces,)``.
    The rates are those of one more rollout after each step: what its prefix has shown already
    counts as the beta-binomial has it.
    """
    longest = batch.steps.features.shape[1]
    log_weights = joint(model, batch, evidence)
    log_evidence = log_weights.logsumexp((1, 2))
    weights = (log_weights - log_evidence[:, None, None]).exp()
    position = weights.sum(2)
    share = weights / position.clamp(min=1e-12)[..., None]

    success = torch.zeros(len(batch), longest, longest + 1, dtype=torch.float64)
    step_idx = torch.arange(longest)
    # Rates depend on the length of a trace alone, which makes this a product of matrices.
    for n_steps in batch.steps.n_steps.unique().tolist():
        rows = torch.nonzero(batch.steps.n_steps == n_steps).squeeze(1)
        rates = success_rates(model, torch.full((longest,), n_steps), step_idx, longest)
        success[rows] = torch.einsum("bev,sev->bse", share[rows], rates)

    k = concentration(model, step_idx, longest).squeeze(2)
    trials = torch.zeros(len(batch), longest, dtype=torch.float64)
    successes = torch.zeros_like(trials)
    trials[evidence.row, evidence.step_idx] = evidence.trials
    successes[evidence.row, evidence.step_idx] = evidence.successes
    success = (k * success + successes[..., None]) / (k + trials[..., None])
    return position, success, (weights.sum(1) * _SOLVE_RATES).sum(1), log_evidence


def _entropy(p: Tensor) -> Tensor:
    """Of a coin that shows heads with probability ``p``, in nats."""
    p = p.clamp(1e-12, 1.0 - 1e-12)
    return -(p * p.log() + (1.0 - p) * (-p).log1p())
