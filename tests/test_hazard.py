"""How likely steps are to go wrong: features by hand, and the noisy OR by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.factors.taxonomy import Factor
from datagen.labels.hazard import N_FEATURES, N_SURPRISAL, log_first_error, step_batch
from datagen.prompts.reading import StepSurprisal
from datagen.traces.model import Step

COMPUTE, ANSWER = Step("1+1=2", Factor.COMPUTE), Step("2", Factor.ANSWER)
OWN, NEXT = N_SURPRISAL + 2, N_SURPRISAL + 2 + len(Factor)


def said(content: float, action: float = 0.0) -> StepSurprisal:
    return StepSurprisal(action=action, content=content)


# ---- features


def test_a_step_has_its_surprisal_a_constant_its_factor_and_the_next_ones() -> None:
    features = step_batch([([COMPUTE, ANSWER], [said(3.0, 0.5), said(0.25, 2.0)])]).features[0]
    assert features.shape == (2, N_FEATURES)
    assert features[0, :N_SURPRISAL].tolist() == [3.0, 0.5, 2.0, 0.0]
    assert features[1, :N_SURPRISAL].tolist() == [0.25, 2.0, 0.0, 1.0]
    factors = list(Factor)
    compute, answer, last = factors.index(Factor.COMPUTE), factors.index(Factor.ANSWER), len(Factor)
    assert torch.nonzero(features[0, N_SURPRISAL:]).squeeze(1).tolist() == [
        0, 1, OWN + compute - N_SURPRISAL, NEXT + answer - N_SURPRISAL,
    ]  # fmt: skip
    assert torch.nonzero(features[1, N_SURPRISAL:]).squeeze(1).tolist() == [
        0, 1, OWN + answer - N_SURPRISAL, NEXT + last - N_SURPRISAL,
    ]  # fmt: skip
    assert NEXT + last == N_FEATURES - 1


def test_surprisal_beyond_all_measure_is_cut_and_infinity_is_no_trouble() -> None:
    features = step_batch([([COMPUTE], [said(math.inf, 500.0)])]).features[0, 0]
    assert features[:N_SURPRISAL].tolist() == [12.0, 12.0, 11.0, 11.0]


def test_traces_are_padded_and_the_mask_says_where() -> None:
    short, long = [COMPUTE], [COMPUTE, COMPUTE, ANSWER]
    batch = step_batch([(short, [said(1)]), (long, [said(2)] * 3), ([], [])])
    assert batch.n_steps.tolist() == [1, 3, 0]
    assert batch.mask.tolist() == [[True, False, False], [True] * 3, [False] * 3]
    assert not batch.features[~batch.mask].any()


def test_some_of_the_traces_are_padded_no_further_than_they_need() -> None:
    batch = step_batch([([COMPUTE], [said(1)]), ([COMPUTE] * 3, [said(2)] * 3)])
    alone = batch.select(torch.tensor([0]))
    assert alone.features.shape == (1, 1, N_FEATURES)
    assert torch.equal(alone.features, step_batch([([COMPUTE], [said(1)])]).features)
    assert batch.select(torch.tensor([], dtype=torch.int64)).features.shape == (0, 0, N_FEATURES)
    assert batch.select(torch.tensor([1, 0])).n_steps.tolist() == [3, 1]


def test_without_features_steps_are_all_alike() -> None:
    batch = step_batch([([COMPUTE, ANSWER], [said(5), said(0)])]).without_features()
    assert torch.equal(batch.features[0, 0], batch.features[0, 1])
    assert batch.features[0, 0].nonzero().tolist() == [[N_SURPRISAL]]


def test_a_batch_of_no_traces_is_a_batch() -> None:
    batch = step_batch([])
    assert batch.features.shape == (0, 0, N_FEATURES)
    assert batch.mask.shape == (0, 0)


def test_a_trace_without_a_surprisal_for_each_step_is_refused() -> None:
    with pytest.raises(ValueError, match="1 surprisals for 2 steps of trace 1"):
        step_batch([([], []), ([COMPUTE, ANSWER], [said(1)])])


# ---- the noisy OR


def test_the_first_error_is_the_first_step_that_goes_wrong() -> None:
    hazards = torch.tensor([[0.1, 0.5, 0.2], [0.25, 0.9, 0.9]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    at_step, none = log_first_error(hazards.logit(), mask)
    assert at_step[0].exp().tolist() == pytest.approx([0.1, 0.9 * 0.5, 0.9 * 0.5 * 0.2])
    assert at_step[1].exp().tolist() == pytest.approx([0.25, 0.0, 0.0])
    assert none.exp().tolist() == pytest.approx([0.9 * 0.5 * 0.8, 0.75])


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_first_error_and_none_are_a_distribution(logits: list[float]) -> None:
    told = torch.tensor([logits], dtype=torch.float64)
    at_step, none = log_first_error(told, torch.ones_like(told, dtype=torch.bool))
    assert torch.isfinite(at_step).all()
    assert float(at_step.exp().sum() + none.exp().sum()) == pytest.approx(1.0)


def test_a_trace_of_no_steps_has_no_error() -> None:
    for longest in (0, 3):
        nothing = torch.zeros(1, longest, dtype=torch.float64)
        at_step, none = log_first_error(nothing, nothing.bool())
        assert none.tolist() == [0.0]
        assert at_step.exp().tolist() == [[0.0] * longest]


def test_the_gradient_is_a_number_at_padding_and_at_certainty() -> None:
    logits = torch.tensor([[900.0, -900.0, 0.0]], dtype=torch.float64, requires_grad=True)
    at_step, none = log_first_error(logits, torch.tensor([[True, True, False]]))
    torch.cat([at_step[:, :2].exp().sum(1), none.exp()]).sum().backward()  # pyright: ignore
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
