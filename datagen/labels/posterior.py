"""The posterior over a trace's first error, given rollouts from its prefixes.

The first error e is a hidden position; a rollout from a prefix is a noisy yes/no answer about it.
A state before the error succeeds with the policy's own rate p^w: p is the question's solve rate,
and w the share of the trace's difficulty that is still ahead, so that the rate rises with every
step that is behind, up to a ceiling. The error itself is a hurdle of its own, since where a policy
has failed it fails more easily again. Behind the error the rate is multiplied by a recovery rate
that depends on the distance: a mistake is noticed at once or hardly ever.

A rollout is evidence where it leaves the trace. Up to there it has only passed through the trace's
own states, and if it never leaves, it had to end like the trace and says nothing. The policy's
probability f of writing the trace's next step just so is known from the scoring pass, so the rate u
among those that leave follows from the rates v of the states: v = f v' + (1 - f) u, with v' of the
next state. Where the next step is all but certain, those who leave mostly err; where the next step
is the error, they mostly escape it.

Each place of departure may also differ from all this in its own way (a beta-binomial), so repeated
answers of one place count for less and less, and more rollouts cannot talk the posterior into
certainty that its assumptions do not earn.
"""

from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from datagen.labels.hazard import (
    IMPOSSIBLE,
    N_FEATURES,
    N_SURPRISAL,
    StepBatch,
    log_first_error,
)

N_DISTANCES: Final = 3
"""Recovery rates: right behind the error, one step later, and further on."""

_SOLVE_RATES: Final = torch.tensor(
    [0.003, 0.02, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98, 0.997],
    dtype=torch.float64,
)
"""Grid over a question's solve rate, denser at the ends where rates differ by factors."""

_FLOOR: Final = 1e-3
"""No rollout is certain to succeed or fail."""

_LEAST: Final = 0.01
"""The same of rollouts that leave the trace, of which less is known."""

_MOST_FOLLOW: Final = 0.95
"""Where more follow, too few leave to divide by their share."""


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
        ceiling: log-odds of the success rate that even the best state has; below 1 if policies find
            it harder to go on from a prefix than to think without a break.
        recovery: log-odds of the recovery rates by distance; ``(N_DISTANCES,)``.
        spread: logarithm of the beta-binomial concentration, one for all places: with two, many
            successes would speak for the place that varies more, whatever its rate.
        parting: log-odds of how far the probability of following the trace is believed. At 0 % the
            rollouts that leave succeed like all others, at 100 % as the decomposition has it.
        luck: log-odds that a trace with an error ends right all the same.
        temperature: logarithm of a divisor of all log-probabilities, set by calibration alone.
    """

    weights: Tensor = field(default_factory=lambda: _default_weights())
    trust: Tensor = field(default_factory=lambda: _tensor(0.0))
    solve: Tensor = field(default_factory=lambda: _tensor([0.4, 0.4]))
    hurdle: Tensor = field(default_factory=lambda: _tensor(0.0))
    ceiling: Tensor = field(default_factory=lambda: _tensor(4.0))
    recovery: Tensor = field(default_factory=lambda: _tensor([-0.5, -1.5, -2.5]))
    spread: Tensor = field(default_factory=lambda: _tensor(1.8))
    parting: Tensor = field(default_factory=lambda: _tensor(0.5))
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
    """Rollouts, counted where they left their trace: entry i is about leaving after a step.

    Attributes:
        row: which trace of the batch, int64, ``(n,)``.
        step_idx: the last step that they share with it, 0-based, int64, ``(n,)``; never its last.
        trials: verified rollouts, float64, ``(n,)``; ``successes`` of them ended right. A rollout
            counts at one place, wherever it was drawn from: the outcome depends on the past through
            the state alone, so earlier states learn nothing from it.
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
            outcome, nuisance parameters averaged out (Lindley 1956), over all places where it can
            leave the trace. 0 at a trace's last step, where nothing can follow.
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

    @property
    def most_probable(self) -> list[int]:
        """The most probable first error of each trace, 0-based, -1 for none."""
        none = self.first_error.shape[1] - 1
        return [-1 if idx == none else idx for idx in self.first_error.argmax(1).tolist()]


def log_prior(model: ErrorModel, batch: TraceBatch) -> Tensor:
    """Joint log-probability of first error and outcome, ``(n_traces, longest + 1)``."""
    steps = batch.steps
    weights = torch.cat(
        [model.weights[:N_SURPRISAL] * model.trust.exp(), model.weights[N_SURPRISAL:]]
    )
    mask = steps.mask
    able = mask & (torch.arange(mask.shape[1]) >= batch.n_given[:, None])
    at_step, none = log_first_error(steps.features @ weights, able)
    at_step = at_step.masked_fill(~able, IMPOSSIBLE)
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
    kept = kept * torch.sigmoid(model.ceiling)
    rates = kept[..., None] * (share[..., None] * _SOLVE_RATES.log()).exp()
    return rates.clamp(_FLOOR, 1.0 - _FLOOR)


def log_likelihood(model: ErrorModel, batch: TraceBatch, evidence: Evidence) -> Tensor:
    """Of the evidence, ``(n_traces, longest + 1, n_rates)``."""
    longest = batch.steps.features.shape[1]
    total = torch.zeros(len(batch), longest + 1, len(_SOLVE_RATES), dtype=torch.float64)
    if not len(evidence.row):
        return total
    # Few traces differ in what matters here: each case is worked out once.
    row, step_idx = evidence.row, evidence.step_idx
    follow = batch.steps.follow[row, step_idx + 1].round(decimals=2)
    columns = (batch.steps.n_steps[row], step_idx, evidence.trials, evidence.successes, follow)
    columns = (*columns, batch.correct[row])
    cases, which = torch.stack([c.double() for c in columns], 1).unique(dim=0, return_inverse=True)
    n_steps, step_idx = cases[:, 0].long(), cases[:, 1].long()
    here = success_rates(model, n_steps, step_idx, longest)
    after = success_rates(model, n_steps, step_idx + 1, longest)
    ends = (step_idx + 2 == n_steps)[:, None, None]
    after = torch.where(ends, cases[:, 5, None, None], after)
    mean = leaving_rates(here, after, following(model, cases[:, 4, None, None]))
    k = model.spread.exp().expand_as(mean)
    n, c = cases[:, 2].long(), cases[:, 3].long()
    terms = _log_rising(k * mean, c) + _log_rising(k * (1.0 - mean), n - c) - _log_rising(k, n)
    return total.index_add(0, row, terms[which])


def _log_rising(x: Tensor, count: Tensor) -> Tensor:
    """Logarithm of the rising factorial x (x + 1) … (x + count - 1), case by case.

    Counts are mostly 1 or 2, where this is many times faster than differences of log-gammas.
    """
    case = torch.repeat_interleave(torch.arange(len(count)), count)
    step = torch.arange(len(case)) - torch.repeat_interleave(count.cumsum(0) - count, count)
    factors = (x[case] + step[:, None, None]).log()
    return torch.zeros_like(x).index_add(0, case, factors)


def leaving_rates(here: Tensor, after: Tensor, follow: Tensor) -> Tensor:
    """Success rate of rollouts that do not write the trace's next step.

    Args:
        here: success rate of the state.
        after: success rate once the trace's next step is written.
        follow: the probability of writing it, by :func:`following`.
    """
    return ((here - follow * after) / (1.0 - follow)).clamp(_LEAST, 1.0 - _LEAST)


def following(model: ErrorModel, follow: Tensor) -> Tensor:
    """Probability of writing the trace's next step, as far as the model believes the policy's."""
    return (torch.sigmoid(model.parting) * follow).clamp(max=_MOST_FOLLOW)


def joint(model: ErrorModel, batch: TraceBatch, evidence: Evidence) -> Tensor:
    """Log-probability of everything, ``(n_traces, longest + 1, n_rates)``."""
    heat = model.temperature.exp()
    prior = log_prior(model, batch)[..., None] + log_solve_rate(model, batch)[:, None]
    return (prior + log_likelihood(model, batch, evidence)) / heat


def posterior(model: ErrorModel, batch: TraceBatch, evidence: Evidence) -> Posterior:
    """What is believed of every trace, and what one more rollout would tell."""
    log_weights = joint(model, batch, evidence)
    log_evidence = log_weights.logsumexp((1, 2))
    weights = (log_weights - log_evidence[:, None, None]).exp()
    position = weights.sum(2)
    leaving = _leaving(model, batch, evidence, weights / position.clamp(min=1e-12)[..., None])
    believed = position[:, None]
    tells = _entropy((believed * leaving).sum(2)) - (believed * _entropy(leaving)).sum(2)
    # From each state a rollout goes on to leave the trace somewhere, or never.
    value = torch.zeros(batch.steps.mask.shape, dtype=torch.float64)
    gain = torch.zeros_like(value)
    ends = batch.correct.double()[:, None].expand(-1, leaving.shape[2])
    at_end, told = ends, torch.zeros(len(batch), dtype=torch.float64)
    follow = following(model, batch.steps.follow)
    for step_idx in reversed(range(value.shape[1])):
        inner = step_idx < batch.steps.n_steps - 1
        if step_idx + 1 < value.shape[1]:
            f = follow[:, step_idx + 1]
            moved = f[:, None] * at_end + (1.0 - f)[:, None] * leaving[:, step_idx]
            at_end = torch.where(inner[:, None], moved, ends)
            here = f * told + (1.0 - f) * tells[:, step_idx].clamp(min=0.0)
            told = torch.where(inner, here, torch.zeros_like(here))
        value[:, step_idx] = (position * at_end).sum(1)
        gain[:, step_idx] = told
    return Posterior(
        position,
        value.clamp(0.0, 1.0) * batch.steps.mask,
        gain,
        (weights.sum(1) * _SOLVE_RATES).sum(1),
        log_evidence,
    )


def _leaving(model: ErrorModel, batch: TraceBatch, evidence: Evidence, share: Tensor) -> Tensor:
    """Success rate of one more rollout that leaves after each step, given the error's position.

    What has been seen of those who left there counts as the beta-binomial has it.

    Args:
        model: the parameters.
        batch: the traces.
        evidence: rollouts so far.
        share: posterior of the solve rate given the position, ``(n_traces, longest + 1, n_rates)``.

    Returns:
        ``(n_traces, longest, longest + 1)``.
    """
    longest = batch.steps.features.shape[1]
    step_idx = torch.arange(longest)
    rate = torch.zeros(len(batch), longest + 1, longest + 1, dtype=torch.float64)
    # Rates depend on the length of a trace alone, which makes this a product of matrices.
    for n_steps in batch.steps.n_steps.unique().tolist():
        rows = torch.nonzero(batch.steps.n_steps == n_steps).squeeze(1)
        rates = success_rates(model, torch.full((longest,), n_steps), step_idx, longest)
        rate[rows, :longest] = torch.einsum("bev,sev->bse", share[rows], rates)
    last = torch.nn.functional.one_hot(batch.steps.n_steps - 1, longest + 1).bool()[..., None]
    rate = torch.where(last, batch.correct.double()[:, None, None], rate)
    follow = torch.nn.functional.pad(batch.steps.follow[:, 1:], (0, 1))[..., None]
    mean = leaving_rates(rate[:, :-1], rate[:, 1:], following(model, follow))
    k = model.spread.exp()
    trials = torch.zeros(len(batch), longest, 1, dtype=torch.float64)
    successes = torch.zeros_like(trials)
    trials[evidence.row, evidence.step_idx, 0] = evidence.trials
    successes[evidence.row, evidence.step_idx, 0] = evidence.successes
    return (k * mean + successes) / (k + trials)


def _entropy(p: Tensor) -> Tensor:
    """Of a coin that shows heads with probability ``p``, in nats."""
    p = p.clamp(1e-12, 1.0 - 1e-12)
    return -(p * p.log() + (1.0 - p) * (-p).log1p())
