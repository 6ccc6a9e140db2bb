"""Fitting the error model: what is known about made-up data is found in it again."""

import random
from dataclasses import fields, replace
from functools import cache

import pytest
import torch
from torch import Tensor

from datagen.factors.taxonomy import Factor
from datagen.labels import fitting
from datagen.labels.fitting import RootRollouts, fit
from datagen.labels.hazard import N_SURPRISAL, StepBatch, step_batch
from datagen.labels.posterior import ErrorModel, Evidence, TraceBatch, posterior
from datagen.prompts.reading import StepSurprisal
from datagen.traces.model import Step

T = 6
FACTORS = [Factor.COMPUTE] * (T - 1) + [Factor.ANSWER]
HAZARD = 0.12


def features(surprisals: list[list[float]]) -> StepBatch:
    """Traces of T steps by the content surprisal of each step."""
    steps = [Step("x", factor) for factor in FACTORS]
    return step_batch([(steps, [StepSurprisal(0.0, s) for s in row]) for row in surprisals])


class World:
    """Traces drawn from the model itself, and the truth about them."""

    def __init__(
        self,
        n: int,
        *,
        recovery: tuple[float, float, float] = (0.3, 0.1, 0.03),
        informative: bool = True,
        solve_rate: tuple[float, float] = (2.0, 2.0),
        seed: int = 0,
    ) -> None:
        rng = random.Random(seed)
        surprisals: list[list[float]] = []
        self.truth: list[int] = []
        root_correct: list[bool] = []
        counts: list[tuple[int, int]] = []
        root_surprisals: list[list[float]] = []
        trials = torch.zeros(n, T, dtype=torch.float64)
        successes = torch.zeros_like(trials)
        for row in range(n):
            p = rng.betavariate(*solve_rate)
            c = 0
            for _ in range(8):
                said, error = self._trace(rng, informative)
                root_surprisals.append(said)
                root_correct.append(error < 0)
                c += rng.random() < p
            counts.append((8, c))
            error = -1
            while error < 0:
                said, error = self._trace(rng, informative)
            surprisals.append(said)
            self.truth.append(error)
            for step in range(T - 1):
                ahead = T - 1 - step
                rate = p ** ((ahead + (step < error)) / (T + 1))
                rate *= 1.0 if step < error else recovery[min(step - error, 2)]
                trials[row, step] = 3
                successes[row, step] = sum(rng.random() < rate for _ in range(3))
        root_n, root_c = torch.tensor(counts, dtype=torch.float64).T
        self.batch = TraceBatch(
            features(surprisals),
            torch.zeros(n, dtype=torch.bool),
            root_n,
            root_c,
            torch.zeros(n, dtype=torch.int64),
        )
        self.evidence = Evidence.of(trials, successes)
        self.roots = RootRollouts(
            features(root_surprisals), torch.tensor(root_correct), root_n, root_c
        )
        self.gold = torch.tensor(self.truth)

    @staticmethod
    def _trace(rng: random.Random, informative: bool) -> tuple[list[float], int]:
        wrong = [rng.random() < HAZARD for _ in range(T)]
        said = [rng.expovariate(1 / (2.5 if informative and bad else 0.5)) for bad in wrong]
        return said, wrong.index(True) if any(wrong) else -1


@cache
def world(informative: bool = True, often: bool = False) -> World:
    recovery = (0.7, 0.6, 0.5) if often else (0.3, 0.1, 0.03)
    return World(120, recovery=recovery, informative=informative)


@cache
def fitted(informative: bool = True, often: bool = False) -> ErrorModel:
    w = world(informative, often)
    return fit(ErrorModel(), roots=w.roots, batch=w.batch, evidence=w.evidence)


def parameters(m: ErrorModel) -> list[Tensor]:
    return [getattr(m, f.name) for f in fields(m)]


def loss(m: ErrorModel, w: World) -> Tensor:
    """What a fit makes least."""
    return (
        fitting._surprise_of_parameters(m)
        - fitting._log_outcomes(m, w.roots)
        - fitting._log_evidence(m, w.batch, w.evidence, None)
    )


# ---- what is there is found


def test_recovery_rates_come_out_in_their_order_and_nearly_right() -> None:
    rates = torch.sigmoid(fitted().recovery).tolist()
    assert rates == sorted(rates, reverse=True)
    assert rates == pytest.approx([0.3, 0.1, 0.03], abs=0.08)


def test_a_policy_that_recovers_often_is_told_from_one_that_does_not() -> None:
    rates = torch.sigmoid(fitted(often=True).recovery).tolist()
    assert rates == pytest.approx([0.7, 0.6, 0.5], abs=0.15)


def test_informative_surprisal_gets_weight_and_uninformative_gets_none() -> None:
    """Log-odds that two nats more add to a step, bend included."""

    def slope(m: ErrorModel) -> float:
        weights = m.weights * m.trust.exp()
        return float(3 * weights[0] + 2 * weights[2] - weights[0])

    # Exponentials of means 0.5 and 2.5: two nats make an error 2 * (2 - 0.4) nats likelier.
    assert 2.2 < slope(fitted()) < 4.2
    assert abs(slope(fitted(informative=False))) < 0.8


def test_steps_go_wrong_as_often_as_they_did() -> None:
    m = fitted(informative=False)
    hazards = torch.sigmoid(world(informative=False).batch.steps.features @ m.weights)
    assert float(hazards.mean()) == pytest.approx(HAZARD, abs=0.03)


@pytest.mark.parametrize("beta", [(6.0, 2.0), (1.0, 4.0)])
def test_the_prior_over_solve_rates_has_their_mean(beta: tuple[float, float]) -> None:
    m = fit(ErrorModel(), roots=World(100, solve_rate=beta).roots)
    a, b = m.solve.exp().tolist()
    assert a / (a + b) == pytest.approx(beta[0] / sum(beta), abs=0.06)


# ---- how it fits


def test_the_gradient_where_it_ends_is_small() -> None:
    w = world()
    m = fit(ErrorModel(), roots=w.roots, batch=w.batch, evidence=w.evidence, max_iterations=500)
    for name in ("weights", *fitting._WIDTHS):
        getattr(m, name).requires_grad_()
    loss(m, w).backward()  # pyright: ignore
    steepest = {
        name: float(getattr(m, name).grad.abs().max()) for name in ("weights", *fitting._WIDTHS)
    }
    assert max(steepest.values()) < 0.1, steepest


def test_fifty_iterations_are_as_good_as_many() -> None:
    w = world()
    long = fit(ErrorModel(), roots=w.roots, batch=w.batch, evidence=w.evidence, max_iterations=500)
    assert float(loss(fitted(), w) - loss(long, w)) < 0.5  # nats, of a thousand rollouts
    assert float(loss(ErrorModel(), w) - loss(long, w)) > 50


def test_the_same_data_give_the_same_model() -> None:
    w = World(30)
    one, other = (
        fit(ErrorModel(), roots=w.roots, batch=w.batch, evidence=w.evidence) for _ in range(2)
    )
    assert all(map(torch.equal, parameters(one), parameters(other)))


def test_the_model_that_it_began_with_stays_as_it_is() -> None:
    w, m = World(30), ErrorModel()
    before = [p.clone() for p in parameters(m)]
    after = fit(m, roots=w.roots, batch=w.batch, evidence=w.evidence)
    assert all(map(torch.equal, parameters(m), before))
    assert not any(p.requires_grad for p in [*parameters(m), *parameters(after)])
    assert not torch.equal(after.recovery, m.recovery)


def test_temperature_is_kept_and_changes_no_other_parameter() -> None:
    w = World(30)
    hot = replace(ErrorModel(), temperature=torch.tensor(1.0, dtype=torch.float64))
    plain, tempered = (
        fit(m, roots=w.roots, batch=w.batch, evidence=w.evidence) for m in (ErrorModel(), hot)
    )
    assert float(tempered.temperature) == 1.0
    for one, other in zip(parameters(plain)[:-1], parameters(tempered)[:-1], strict=True):
        torch.testing.assert_close(one, other)


# ---- gold


def test_gold_positions_make_the_posterior_of_those_positions_likelier() -> None:
    w = world(informative=False)
    known = fit(ErrorModel(), batch=w.batch, evidence=w.evidence, gold=w.gold)
    blind = fit(ErrorModel(), batch=w.batch, evidence=w.evidence)

    def mean_mass(m: ErrorModel) -> float:
        p = posterior(m, w.batch, w.evidence).first_error
        return float(p.gather(1, w.gold[:, None]).log().mean())

    assert mean_mass(known) > mean_mass(blind)


def test_gold_that_is_unknown_is_no_gold() -> None:
    w = World(30)
    unknown = torch.full_like(w.gold, -2)
    one = fit(ErrorModel(), batch=w.batch, evidence=w.evidence, gold=unknown)
    other = fit(ErrorModel(), batch=w.batch, evidence=w.evidence)
    assert all(map(torch.equal, parameters(one), parameters(other)))


def test_gold_of_minus_one_says_that_there_was_no_error() -> None:
    batch = World(30).batch
    right = replace(batch, correct=torch.ones(30, dtype=torch.bool))
    none = Evidence.of(torch.zeros(30, T), torch.zeros(30, T))
    sound = fit(ErrorModel(), batch=right, evidence=none, gold=torch.full((30,), -1))
    unsound = fit(ErrorModel(), batch=right, evidence=none, gold=torch.full((30,), 2))
    assert sound.weights[N_SURPRISAL] < unsound.weights[N_SURPRISAL]


# ---- with little


def test_without_data_the_prior_is_the_fit() -> None:
    for m in (fit(ErrorModel()), fit(ErrorModel(recovery=torch.tensor([2.0] * 3).double()))):
        for found, default in zip(parameters(m), parameters(ErrorModel()), strict=True):
            torch.testing.assert_close(found, default, atol=1e-3, rtol=0)


def test_empty_batches_and_no_evidence_are_data_too() -> None:
    w = World(3)
    nobody = torch.tensor([], dtype=torch.int64)
    nothing = Evidence.of(torch.zeros(0, 0), torch.zeros(0, 0))
    only_roots = fit(ErrorModel(), roots=w.roots)
    with_none = fit(ErrorModel(), roots=w.roots, batch=w.batch.select(nobody), evidence=nothing)
    assert all(map(torch.equal, parameters(only_roots), parameters(with_none)))
    counts = torch.zeros(0, dtype=torch.float64)
    no_roots = RootRollouts(step_batch([]), torch.zeros(0, dtype=torch.bool), counts, counts)
    assert torch.isfinite(fit(ErrorModel(), roots=no_roots).weights).all()


def test_one_trace_is_enough_to_fit_and_moves_little() -> None:
    w = World(1)
    m = fit(ErrorModel(), batch=w.batch, evidence=w.evidence)
    for found, default in zip(parameters(m), parameters(ErrorModel()), strict=True):
        assert torch.isfinite(found).all()
        assert float((found - default).abs().max()) < 1.5


def test_of_very_many_root_rollouts_an_even_part_is_looked_at() -> None:
    n = fitting._MAX_ROWS + 1
    steps = features([[0.0] * T] * n)
    counts = torch.zeros(0, dtype=torch.float64)
    kept = fitting._thinned(RootRollouts(steps, torch.arange(n) % 4 == 0, counts, counts))
    assert len(kept.correct) == len(kept.steps.n_steps) == n // 2 + 1
    assert kept.correct.tolist()[:4] == [True, False, True, False]
