"""Truncation: which prefixes of a human thought a model has to continue."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import ConfigError
from datagen.traces.truncation import truncate

LENGTHS = st.integers(0, 300)
IDS = st.none() | st.text(max_size=8)


@given(n_steps=LENGTHS, n_prefixes=st.none() | st.integers(0, 40), seed_id=IDS)
def test_the_question_is_always_in_and_the_answer_step_never(
    n_steps: int, n_prefixes: int | None, seed_id: str | None
):
    lengths = truncate(n_steps, n_prefixes=n_prefixes, seed_id=seed_id)
    n_inner = max(n_steps - 1, 0)
    assert lengths[0] == 0
    assert list(lengths) == sorted(set(lengths))
    assert lengths[-1] <= n_inner
    assert len(lengths) - 1 == (n_inner if n_prefixes is None else min(n_prefixes, n_inner))


@given(n_steps=st.integers(2, 300), n_prefixes=st.integers(2, 20), seed_id=IDS)
def test_prefixes_lie_evenly_apart(n_steps: int, n_prefixes: int, seed_id: str | None):
    inner = truncate(n_steps, n_prefixes=n_prefixes, seed_id=seed_id)[1:]
    gaps = {high - low for low, high in pairwise(inner)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(n_steps=LENGTHS, fractions=st.lists(st.floats(0, 1), max_size=6))
def test_fractions_are_moved_inside_the_thought(n_steps: int, fractions: list[float]):
    lengths = truncate(n_steps, fractions=fractions)
    assert lengths[0] == 0
    assert all(0 < k < n_steps for k in lengths[1:])
    assert len(lengths) > 1 or not fractions or n_steps < 2


def test_fractions_choose_the_nearest_lengths():
    assert truncate(8, fractions=[0.75, 0.25, 0.5]) == (0, 2, 4, 6)
    assert truncate(5, fractions=[0.5, 0.7]) == (0, 3, 4)


def test_without_a_choice_every_length_but_the_last_is_taken():
    assert truncate(4) == (0, 1, 2, 3)


@pytest.mark.parametrize("n_steps", [0, 1])
def test_a_thought_of_one_step_leaves_the_bare_question(n_steps: int):
    assert truncate(n_steps, n_prefixes=3) == truncate(n_steps, fractions=[0.5]) == (0,)


def test_without_a_seed_id_the_grid_is_centred():
    assert truncate(10, n_prefixes=1) == (0, 5)
    assert truncate(10, n_prefixes=3) == (0, 2, 5, 8)


def test_the_choice_for_a_seed_id_never_changes():
    assert truncate(20, n_prefixes=3, seed_id="gsm8k-7") == (0, 5, 11, 17)


def test_over_many_seeds_each_step_is_cut_equally_often():
    cuts = Counter(k for i in range(9000) for k in truncate(10, n_prefixes=2, seed_id=str(i))[1:])
    assert sorted(cuts) == list(range(1, 10))
    assert all(abs(n - 2000) < 200 for n in cuts.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_steps": -1}, r"n_steps=-1 must not be negative"),
        ({"n_steps": 5, "n_prefixes": -2}, r"n_prefixes=-2 must not be negative"),
        ({"n_steps": 5, "fractions": [0.5, 1.5]}, r"holds 1.5; each must be between 0 and 1"),
        ({"n_steps": 5, "fractions": [float("nan")]}, r"holds nan"),
        ({"n_steps": 5, "fractions": [0.5], "n_prefixes": 1}, r"not both"),
        ({"n_steps": 1, "fractions": [1.5]}, r"holds 1.5"),
        ({"n_steps": 1, "n_prefixes": -2}, r"n_prefixes=-2"),
    ],
)
def test_values_out_of_range_are_named(arguments: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        truncate(**arguments)  # type: ignore[arg-type]
