"""The first-error posterior: probabilities, what they learn from rollouts, and what to ask next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from datagen.labels import posterior as module
from datagen.labels.hazard import N_FEATURES, N_SURPRISAL, StepBatch
from datagen.labels.posterior import (
    N_DISTANCES,
    ErrorModel,
    Evidence,
    Posterior,
    TraceBatch,
    log_likelihood,
    log_prior,
    posterior,
)

RATES: list[float] = module._SOLVE_RATES.tolist()
Counts = dict[tuple[int, int], tuple[int, int]]
"""(trials, successes) by row and step."""


def number(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def batch(
    n_steps: Sequence[int],
    *,
    correct: Sequence[bool] | None = None,
    roots: Sequence[tuple[int, int]] | None = None,
    n_given: Sequence[int] | None = None,
    logits: Sequence[Sequence[float]] | None = None,
    follow: Sequence[Sequence[float]] | None = None,
) -> TraceBatch:
    """Traces by length; ``roots`` are (trials, successes), ``logits`` in the constant's column."""
    n = len(n_steps)
    features = torch.zeros(n, max(n_steps), N_FEATURES, dtype=torch.float64)
    features[:, :, N_SURPRISAL] = 1.0
    for row, said in enumerate(logits or ()):
        features[row, : len(said), N_SURPRISAL] = number(said)
    repeated = torch.zeros(n, max(n_steps), dtype=torch.float64)
    for row, shares in enumerate(follow or ()):
        repeated[row, : len(shares)] = number(shares)
    trials, successes = zip(*(roots or [(0, 0)] * n), strict=True)
    return TraceBatch(
        StepBatch(features, repeated, torch.tensor(n_steps)),
        torch.tensor(correct or [False] * n),
        number(trials),
        number(successes),
        torch.tensor(n_given or [0] * n),
    )


def evidence(counts: Counts) -> Evidence:
    rows, steps = [row for row, _ in counts], [step for _, step in counts]
    trials, successes = zip(*counts.values(), strict=True) if counts else ((), ())
    return Evidence(
        torch.tensor(rows, dtype=torch.int64),
        torch.tensor(steps, dtype=torch.int64),
        number(trials),
        number(successes),
    )


def model(logit: float = -2.6, **parameters: Any) -> ErrorModel:
    weights = torch.zeros(N_FEATURES, dtype=torch.float64)
    weights[N_SURPRISAL] = logit
    return replace(
        ErrorModel(weights), **{name: number(value) for name, value in parameters.items()}
    )


def flat_logits(n_steps: int) -> list[float]:
    """Log-odds of the steps' going wrong with which each is the first error equally likely."""
    left = [n_steps - idx + 1e-6 for idx in range(n_steps)]
    return [-math.log(rest - 1) for rest in left]


@st.composite
def cases(draw: st.DrawFn, *, most_trials: int = 6) -> tuple[TraceBatch, Counts]:
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    n = len(lengths)
    trials = draw(st.lists(st.integers(0, most_trials), min_size=n, max_size=n))
    roots = [(k, draw(st.integers(0, k))) for k in trials]
    counts: Counts = {}
    for row, n_steps in enumerate(lengths):
        for step in range(n_steps - 1):
            if k := draw(st.integers(0, most_trials)):
                counts[row, step] = (k, draw(st.integers(0, k)))
    made = batch(
        lengths,
        correct=draw(st.lists(st.booleans(), min_size=n, max_size=n)),
        roots=roots,
        n_given=[draw(st.integers(0, n_steps)) for n_steps in lengths],
        logits=[[draw(st.floats(-2, 3)) for _ in range(n_steps)] for n_steps in lengths],
        follow=[[draw(st.integers(0, 100)) / 100 for _ in range(n_steps)] for n_steps in lengths],
    )
    return made, counts


@st.composite
def models(draw: st.DrawFn, *, far: float = 3.0) -> ErrorModel:
    def some(n: int) -> list[float]:
        return draw(st.lists(st.floats(-far, far), min_size=n, max_size=n))

    return ErrorModel(
        number(some(N_FEATURES)),
        number(some(1)[0]),
        number(some(2)),
        number(some(1)[0]),
        number(some(1)[0]),
        number(some(N_DISTANCES)),
        number(some(1)[0]),
        number(some(1)[0]),
        number(some(1)[0]),
        number(some(1)[0]),
    )


# ---- by brute force


@dataclass
class Enumerated:
    first_error: list[float]
    value: list[float]
    information: list[float]
    log_evidence: float


def enumerated(m: ErrorModel, made: TraceBatch, counts: Counts, row: int) -> Enumerated:
    """One trace's posterior with nothing but sums over all positions and rates."""
    n_steps, given_ = int(made.steps.n_steps[row]), int(made.n_given[row])
    correct = bool(made.correct[row])
    luck, hurdle = 1 / (1 + math.exp(-m.luck)), math.exp(m.hurdle)
    a, b = m.solve.exp().tolist()
    root_n, root_c = float(made.root_trials[row]), float(made.root_successes[row])
    rate_weights = [
        v ** (a + root_c) * (1 - v) ** (b + root_n - root_c) for v in RATES
    ]  # an even grid in log-odds: v^(a-1) (1-v)^(b-1) times v (1-v)
    logits = (made.steps.features[row] @ m.weights).tolist()
    hazards = [0.0 if i < given_ else 1 / (1 + math.exp(-logits[i])) for i in range(n_steps)]

    def prior(error: int) -> float:
        fine = math.prod(1 - h for h in hazards[:error])
        if error == n_steps:
            return fine * math.exp(-0.002 if correct else -6.0)
        return fine * hazards[error] * (luck if correct else 1 - luck)

    def rate(step: int, error: int, v: float) -> float:
        ahead = n_steps - 1 - step
        if error == n_steps:
            plain = v ** (ahead / n_steps)
        elif step < error:
            plain = v ** ((ahead + hurdle) / (n_steps + hurdle))
        else:
            distance = min(step - error, N_DISTANCES - 1)
            recovery = 1 / (1 + math.exp(-m.recovery[distance]))
            plain = recovery * v ** (ahead / (n_steps + hurdle))
        return min(max(plain / (1 + math.exp(-m.ceiling)), 1e-3), 1 - 1e-3)

    believed = 1 / (1 + math.exp(-m.parting))
    follow = [min(believed * f, 0.95) for f in made.steps.follow[row].tolist()]

    def leaving(step: int, here: float, after: float) -> float:
        """v = f v' + (1 - f) u, solved for u."""
        f = follow[step + 1]
        return min(max((here - f * after) / (1 - f), 0.01), 0.99)

    def shape(step: int, error: int, v: float) -> tuple[float, float]:
        after = float(correct) if step + 2 == n_steps else rate(step + 1, error, v)
        u, k = leaving(step, rate(step, error, v), after), math.exp(m.spread)
        return k * u, k * (1 - u)

    def likelihood(error: int, v: float) -> float:
        product = 1.0
        for (at, step), (n, c) in counts.items():
            if at == row:
                good, bad = shape(step, error, v)
                for i in range(n):  # successes first, then failures
                    odds = (good + i) if i < c else (bad + i - c)
                    product *= odds / (good + bad + i)
        return product

    heat = math.exp(m.temperature)
    total = sum(rate_weights)
    weight = {
        (e, v): (prior(e) * w / total * likelihood(e, v)) ** (1 / heat)
        for e in range(n_steps + 1)
        for v, w in zip(RATES, rate_weights, strict=True)
    }
    mass = sum(weight.values())
    p = {key: w / mass for key, w in weight.items()}
    position = [sum(p[e, v] for v in RATES) for e in range(n_steps + 1)]
    # Of one more rollout: where it leaves is told by the policy, how it then ends by the position.
    outcome = [[float(correct)] * (n_steps + 1)]
    information = [0.0]
    for step in reversed(range(n_steps - 1)):
        n, c = counts.get((row, step), (0, 0))
        ends: list[float] = []
        for e, q in enumerate(position):
            mean = [
                sum(p[e, v] * rate(at, e, v) for v in RATES) / max(q, 1e-12)
                for at in (step, step + 1)
            ]
            u = leaving(step, mean[0], float(correct) if step + 2 == n_steps else mean[1])
            k = math.exp(m.spread)
            ends.append((k * u + c) / (k + n))
        overall = sum(q * u for q, u in zip(position, ends, strict=True))
        mutual = sum(
            q * share * math.log(share / total_share)
            for q, u in zip(position, ends, strict=True)
            for share, total_share in ((u, overall), (1 - u, 1 - overall))
            if share > 0
        )
        f = follow[step + 1]
        information.insert(0, f * information[0] + (1 - f) * mutual)
        last = outcome[0]
        outcome.insert(0, [f * a + (1 - f) * b for a, b in zip(last, ends, strict=True)])
    value = [sum(q * w for q, w in zip(position, at, strict=True)) for at in outcome]
    return Enumerated(position, value, information, math.log(mass))


@given(cases(), models(far=2.0))
@settings(max_examples=60, deadline=None)
def test_the_posterior_is_what_enumeration_gives(
    case: tuple[TraceBatch, Counts], m: ErrorModel
) -> None:
    made, counts = case
    belief = posterior(m, made, evidence(counts))
    for row, n_steps in enumerate(made.steps.n_steps.tolist()):
        by_hand = enumerated(m, made, counts, row)
        masses = belief.first_error[row].tolist()
        assert [*masses[:n_steps], masses[-1]] == pytest.approx(by_hand.first_error, abs=1e-9)
        assert belief.value[row, :n_steps].tolist() == pytest.approx(by_hand.value, abs=1e-9)
        told = belief.information[row, :n_steps].tolist()
        assert told == pytest.approx(by_hand.information, abs=1e-8)
        assert float(belief.log_evidence[row]) == pytest.approx(by_hand.log_evidence, abs=1e-6)


# ---- probabilities


def check_probabilities(belief: Posterior, made: TraceBatch) -> None:
    for told in (belief.first_error, belief.value, belief.information, belief.solve_rate):
        assert torch.isfinite(told).all()
    assert torch.isfinite(belief.log_evidence).all()
    assert belief.first_error.sum(1).tolist() == pytest.approx([1.0] * len(made))
    assert (belief.first_error >= 0).all()
    assert ((belief.value >= 0) & (belief.value <= 1 + 1e-12)).all()
    assert ((belief.information >= 0) & (belief.information <= math.log(2) + 1e-12)).all()
    assert ((belief.solve_rate > 0) & (belief.solve_rate < 1)).all()
    for row, n_steps in enumerate(made.steps.n_steps.tolist()):
        n_given = int(made.n_given[row])
        assert belief.first_error[row, :n_given].tolist() == [0.0] * n_given
        assert not belief.first_error[row, n_steps:-1].any()
        assert not belief.value[row, n_steps:].any()
        assert not belief.information[row, n_steps - 1 :].any()


@given(cases(), models())
@settings(max_examples=60, deadline=None)
def test_rows_are_distributions_and_padding_and_given_steps_have_no_mass(
    case: tuple[TraceBatch, Counts], m: ErrorModel
) -> None:
    made, counts = case
    check_probabilities(posterior(m, made, evidence(counts)), made)


@given(cases(most_trials=5000), models(far=8.0))
@settings(max_examples=60, deadline=None)
def test_masses_of_misleading_evidence_and_extreme_parameters_leave_it_finite(
    case: tuple[TraceBatch, Counts], m: ErrorModel
) -> None:
    made, counts = case
    check_probabilities(posterior(m, made, evidence(counts)), made)


def test_a_batch_of_no_traces_has_a_posterior_of_no_rows() -> None:
    none = batch([3]).select(torch.tensor([], dtype=torch.int64))
    belief = posterior(ErrorModel(), none, evidence({}))
    assert belief.first_error.shape == (0, 1)
    assert belief.value.shape == belief.information.shape == (0, 0)


@given(cases(), models())
@settings(max_examples=50, deadline=None)
def test_a_trace_is_believed_the_same_alone_and_among_others(
    case: tuple[TraceBatch, Counts], m: ErrorModel
) -> None:
    made, counts = case
    together = posterior(m, made, evidence(counts))
    for row, n_steps in enumerate(made.steps.n_steps.tolist()):
        own = {(0, step): count for (at, step), count in counts.items() if at == row}
        alone = posterior(m, made.select(torch.tensor([row])), evidence(own))
        torch.testing.assert_close(alone.value[0], together.value[row, :n_steps])
        torch.testing.assert_close(alone.information[0], together.information[row, :n_steps])
        torch.testing.assert_close(alone.first_error[0, :-1], together.first_error[row, :n_steps])


# ---- evidence


@given(cases(), models(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_evidence_does_not_matter(
    case: tuple[TraceBatch, Counts], m: ErrorModel, random: Any
) -> None:
    made, counts = case
    shuffled = list(counts.items())
    random.shuffle(shuffled)
    one = posterior(m, made, evidence(counts))
    other = posterior(m, made, evidence(dict(shuffled)))
    torch.testing.assert_close(one.first_error, other.first_error)
    torch.testing.assert_close(one.information, other.information)


@given(cases(), models())
@settings(max_examples=50, deadline=None)
def test_the_likelihood_of_alike_cases_worked_out_once_is_the_sum_over_all(
    case: tuple[TraceBatch, Counts], m: ErrorModel
) -> None:
    made, counts = case
    naive = sum(
        (log_likelihood(m, made, evidence({at: count})) for at, count in counts.items()),
        torch.zeros_like(log_likelihood(m, made, evidence({}))),
    )
    torch.testing.assert_close(log_likelihood(m, made, evidence(counts)), naive)


def before(m: ErrorModel, made: TraceBatch, counts: Counts, step: int) -> float:
    return float(posterior(m, made, evidence(counts)).before_error[0, step])


@given(
    st.integers(2, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 2))),
    st.integers(0, 11).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
)
@settings(max_examples=60, deadline=None)
def test_success_never_makes_a_later_error_less_likely_nor_failure_more(
    place: tuple[int, int], seen: tuple[int, int]
) -> None:
    (n_steps, step), (n, c) = place, seen
    made = batch([n_steps], roots=[(8, 4)])
    now = before(model(), made, {(0, step): (n, c)} if n else {}, step)
    assert before(model(), made, {(0, step): (n + 1, c + 1)}, step) >= now
    assert before(model(), made, {(0, step): (n + 1, c)}, step) <= now


def test_eight_failures_of_one_prefix_tell_less_than_eight_independent_ones() -> None:
    made = batch([6], roots=[(8, 6)])
    clustered = log_likelihood(model(), made, evidence({(0, 2): (8, 0)}))[0]
    single = log_likelihood(model(), made, evidence({(0, 2): (1, 0)}))[0]
    # For an error behind the prefix against one before it, at a rate of a half.
    rate = RATES.index(0.5)
    told = float(clustered[1, rate] - clustered[4, rate])
    assert 0 < told < 0.8 * 8 * float(single[1, rate] - single[4, rate])


def test_a_prefix_that_departs_in_its_own_way_makes_its_next_answer_a_repetition() -> None:
    made = batch([6], roots=[(8, 6)])
    spent = posterior(model(), made, evidence({(0, 2): (8, 0)})).information[0]
    assert spent[2] < min(spent[0], spent[1])


# ---- the prior


def test_a_right_trace_without_evidence_mostly_has_no_error_and_a_wrong_one_has() -> None:
    belief = posterior(model(), batch([6, 6], correct=[True, False]), evidence({}))
    assert belief.first_error[0, -1] > 0.95
    assert belief.first_error[1, -1] < 0.02


def test_no_trust_ignores_surprisal_and_nothing_else() -> None:
    made = batch([4])
    made.steps.features[0, 2, :N_SURPRISAL] = 5.0
    made.steps.features[0, 1, N_SURPRISAL + 1] = 1.0
    plain = batch([4])
    plain.steps.features[0, 1, N_SURPRISAL + 1] = 1.0
    m = model(trust=-math.inf)
    m.weights[:N_SURPRISAL] = 1.0
    m.weights[N_SURPRISAL + 1] = 2.0
    torch.testing.assert_close(log_prior(m, made), log_prior(m, plain))
    trusting = replace(m, trust=number(0.0))
    assert (log_prior(trusting, made) - log_prior(trusting, plain))[0, 2] > 1
    assert (log_prior(m, made) - log_prior(m, batch([4])))[0, 1] > 1


def test_root_rollouts_move_the_solve_rate_and_what_states_are_worth() -> None:
    belief = posterior(model(), batch([4, 4, 4], roots=[(8, 0), (0, 0), (8, 8)]), evidence({}))
    assert belief.solve_rate[0] < 0.2 < belief.solve_rate[1] < 0.8 < belief.solve_rate[2]
    assert belief.value[0, 0] < belief.value[1, 0] < belief.value[2, 0]


def test_a_higher_temperature_is_less_sure_of_the_same() -> None:
    made, counts = batch([5]), {(0, 1): (4, 4), (0, 2): (4, 0)}
    cold, warm, hot = (
        posterior(model(temperature=t), made, evidence(counts)).first_error[0]
        for t in (-1.0, 0.0, 1.0)
    )
    assert cold.argmax() == warm.argmax() == hot.argmax() == 2
    assert cold.max() > warm.max() > hot.max() > 0.2


# ---- what to ask


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5, 8, 13, 16])
def test_without_noise_it_bisects(n_steps: int) -> None:
    m = model(1.0, solve=[9.0, 0.0], ceiling=20.0, recovery=[-20.0] * 3, spread=14.0)
    made = batch([n_steps], logits=[flat_logits(n_steps)])
    for truth in range(n_steps):
        counts: Counts = {}
        low, high = 0, n_steps  # the error is in low..high-1
        for _ in range(math.ceil(math.log2(n_steps))):
            belief = posterior(m, made, evidence(counts))
            if high - low == 1:
                break
            step = int(belief.information[0].argmax())
            assert abs((step + 1 - low) - (high - step - 1)) <= 1  # a middle
            low, high = (step + 1, high) if step < truth else (low, step + 1)
            counts[0, step] = (1, int(step < truth))
        assert (low, high) == (truth, truth + 1)
        assert posterior(m, made, evidence(counts)).first_error[0, truth] > 0.9


def test_a_wrong_trace_that_the_policy_always_repeats_is_worth_little_from_the_start() -> None:
    follow = [[0.0, 0.9, 0.9, 0.9]]
    belief = posterior(
        model(parting=9.0), batch([4, 4], follow=[follow[0], [0.0] * 4]), evidence({})
    )
    assert belief.value[0, 0] < 0.5 * belief.value[1, 0]
