"""Whether probabilities mean what they say, by hand, and a refit that makes them."""

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datagen.labels import calibration as module
from datagen.labels.calibration import before_first_error, calibrate, calibration, refit
from datagen.labels.hazard import N_FEATURES, N_SURPRISAL, StepBatch
from datagen.labels.posterior import ErrorModel, Evidence, TraceBatch, posterior

# ---- by hand


def test_errors_by_hand() -> None:
    found = calibration([0.1, 0.9, 0.3, 0.7], [False, True, True, False], n_bins=2)
    assert found.table.to_dict(as_series=False) == {
        "n": [2, 2],
        "mean_predicted": pytest.approx([0.2, 0.8]),
        "share_true": [0.5, 0.5],
    }
    assert found.ece == pytest.approx(0.3)
    assert found.brier == pytest.approx((0.01 + 0.01 + 0.49 + 0.49) / 4)
    assert found.n == 4


def test_bins_count_by_what_they_hold() -> None:
    found = calibration([0.0, 0.5, 1.0], [True, True, True], n_bins=2)
    assert found.table["n"].to_list() == [2, 1]
    assert found.ece == pytest.approx((2 * 0.75 + 1 * 0.0) / 3)


def test_there_are_no_empty_bins() -> None:
    found = calibration([0.2, 0.4], [False, True])
    assert found.table["n"].to_list() == [1, 1]
    assert found.ece == pytest.approx((0.2 + 0.6) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_all_are_judged_and_errors_are_within_0_and_1(pairs: list[tuple[float, bool]]) -> None:
    p, y = [p for p, _ in pairs], [y for _, y in pairs]
    found = calibration(p, y)
    assert found.n == found.table["n"].sum() == len(pairs)
    assert 0 <= found.ece <= 1
    assert 0 <= found.brier <= 1
    assert found.table["mean_predicted"].is_sorted()
    assert (found.table["n"].max() or 0) - (found.table["n"].min() or 0) <= 1  # type: ignore[operator]


@pytest.mark.parametrize(("p", "y"), [([], []), ([0.5], []), ([0.5], [True, False])])
def test_what_cannot_be_compared_is_refused(p: list[float], y: list[bool]) -> None:
    with pytest.raises(ValueError, match=rf"{len(p)} probabilities for {len(y)} outcomes"):
        calibration(p, y)


# ---- against gold labels

T = 8
RECOVERY = 0.25


def traces(n: int, *, correct: bool = False) -> TraceBatch:
    features = torch.zeros(n, T, N_FEATURES, dtype=torch.float64)
    features[:, :, N_SURPRISAL] = 1.0
    none = torch.zeros(n, dtype=torch.float64)
    never_again = torch.zeros(n, T, dtype=torch.float64)
    steps = StepBatch(features, never_again, torch.full((n,), T))
    return TraceBatch(steps, torch.full((n,), correct), none, none, none.long())


@cache
def made(n: int = 160, seed: int = 0) -> tuple[TraceBatch, Evidence, torch.Tensor]:
    """Traces with an error anywhere, and four rollouts from half of the prefixes of each."""
    rng = random.Random(seed)
    trials = torch.zeros(n, T, dtype=torch.float64)
    successes, gold = torch.zeros_like(trials), torch.zeros(n, dtype=torch.int64)
    for row in range(n):
        p, gold[row] = rng.betavariate(2, 2), rng.randrange(T)
        for step in range(0, T - 1, 2):
            sound = step < int(gold[row])
            rate = p ** ((T - 1 - step + sound) / (T + 1)) * (1.0 if sound else RECOVERY)
            trials[row, step] = 4
            successes[row, step] = sum(rng.random() < rate for _ in range(4))
    return traces(n), Evidence.of(trials, successes), gold


def half(odd: bool) -> tuple[TraceBatch, Evidence, torch.Tensor]:
    batch, evidence, gold = made()
    rows = torch.arange(int(odd), len(gold), 2)
    keep = evidence.row % 2 == int(odd)
    kept = Evidence(
        evidence.row[keep] // 2,
        evidence.step_idx[keep],
        evidence.trials[keep],
        evidence.successes[keep],
    )
    return batch.select(rows), kept, gold[rows]


OVERCONFIDENT = replace(
    ErrorModel(),
    recovery=torch.tensor([-7.0] * 3, dtype=torch.float64),
    spread=torch.tensor(9.0, dtype=torch.float64),
)
"""Takes a success for a proof, and every rollout for an independent one."""


def log_loss(model: ErrorModel, data: tuple[TraceBatch, Evidence, torch.Tensor]) -> float:
    batch, evidence, gold = data
    p = posterior(model, batch, evidence).first_error
    return -float(p.gather(1, (gold % p.shape[1])[:, None]).clamp(min=1e-12).log().mean())


def test_a_refit_mends_an_overconfident_model_on_traces_that_it_has_not_seen() -> None:
    mended = refit(OVERCONFIDENT, *half(odd=False))
    held_out = half(odd=True)
    assert log_loss(mended, held_out) < 0.75 * log_loss(OVERCONFIDENT, held_out)
    assert calibrate(mended, *held_out).ece < 0.06 < 0.12 < calibrate(OVERCONFIDENT, *held_out).ece
    assert float(torch.sigmoid(mended.recovery).mean()) == pytest.approx(RECOVERY, abs=0.1)


def test_another_temperature_than_the_one_found_fits_the_labels_less() -> None:
    model = refit(ErrorModel(), *made())
    assert 0.5 < float(model.temperature.exp()) < 2  # they were drawn from the model's own kind
    for step in (-0.5, 0.5):
        other = replace(model, temperature=model.temperature + step)
        assert log_loss(other, made()) > log_loss(model, made())


def test_temperature_alone_takes_from_overconfidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fit", lambda model, **_: model)
    cooled = refit(OVERCONFIDENT, *half(odd=False))
    assert cooled.temperature > 0.4
    assert torch.equal(cooled.recovery, OVERCONFIDENT.recovery)
    assert log_loss(cooled, half(odd=True)) < log_loss(OVERCONFIDENT, half(odd=True)) - 0.3


def test_a_refit_leaves_its_model_alone_and_gives_the_same_again() -> None:
    model = ErrorModel()
    one, other = (refit(model, *half(odd=True)) for _ in range(2))
    assert torch.equal(one.recovery, other.recovery)
    assert torch.equal(one.temperature, other.temperature)
    assert torch.equal(model.recovery, ErrorModel().recovery)


def test_a_refit_needs_no_trace_without_a_label() -> None:
    batch, evidence, gold = made()
    few = torch.where(torch.arange(len(gold)) < 20, gold, -2)
    model = refit(OVERCONFIDENT, batch, evidence, few)
    assert log_loss(model, made()) < log_loss(OVERCONFIDENT, made())
    assert torch.isfinite(
        refit(ErrorModel(), batch, evidence, torch.full_like(gold, -2)).recovery
    ).all()


def test_steps_before_the_first_error_are_the_event() -> None:
    batch = traces(4)
    batch = replace(batch, steps=replace(batch.steps, n_steps=torch.tensor([3, 4, 2, 8])))
    belief = posterior(ErrorModel(), batch, Evidence.of(torch.zeros(4, T), torch.zeros(4, T)))
    p, happened = before_first_error(belief, batch, torch.tensor([1, -1, 0, -2]))
    assert happened.tolist() == [True, False, False, *[True] * 4, False, False]
    expected = [
        *belief.before_error[0, :3],
        *belief.before_error[1, :4],
        *belief.before_error[2, :2],
    ]
    assert p.tolist() == pytest.approx([float(q) for q in expected])
    assert np.all((p > -1e-9) & (p < 1))


def test_without_gold_labels_nothing_can_be_calibrated() -> None:
    batch, evidence, gold = made()
    with pytest.raises(ValueError, match="0 probabilities for 0 outcomes"):
        calibrate(ErrorModel(), batch, evidence, torch.full_like(gold, -2))
