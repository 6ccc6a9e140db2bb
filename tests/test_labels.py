"""Step labels and traces, from tables small enough to count by hand."""

from collections.abc import Sequence
from math import isclose
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.factors.taxonomy import Factor
from datagen.labels.monte_carlo import POSTERIOR_COLUMNS, label_steps, wilson
from datagen.traces.assemble import assemble_traces
from datagen.traces.markup import parse, render
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from datagen.traces.prefixes import make_prefixes
from schemas import Prefix, Rollout, Seed, StepLabel, Trace

Row = dict[str, Any]


# ---- Wilson intervals


@pytest.mark.parametrize(
    ("n_successes", "n_trials", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # By hand: z² = 3.8415, so 1/(1+z²) = 0.2065 for one success in one trial.
        (1, 1, 0.2065, 1.0),
        (0, 1, 0.0, 0.7935),
        (5, 10, 0.2366, 0.7634),
    ],
)
def test_wilson_intervals_are_the_published_ones(
    n_successes: int, n_trials: int, low: float, high: float
) -> None:
    interval = wilson(n_successes, n_trials)
    assert [round(bound, 4) for bound in interval] == [low, high]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_wilson_interval_lies_within_0_and_1_around_the_share(counts: tuple[int, int]) -> None:
    n_successes, n_trials = counts
    low, high = wilson(n_successes, n_trials)
    assert 0 <= low <= n_successes / n_trials + 1e-9
    assert n_successes / n_trials - 1e-9 <= high <= 1
    mirrored = wilson(n_trials - n_successes, n_trials)
    assert isclose(mirrored[0], 1 - high, abs_tol=1e-9)
    assert isclose(mirrored[1], 1 - low, abs_tol=1e-9)


def test_more_trials_make_a_narrower_interval() -> None:
    widths = [high - low for low, high in (wilson(n // 2, n) for n in (2, 8, 32, 128))]
    assert widths == sorted(widths, reverse=True)
    assert wilson(3, 4, z=1.0)[0] > wilson(3, 4)[0]


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (3, 2), (-1, 2)])
def test_what_is_no_share_has_no_interval(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"n_successes={counts[0]} of n_trials={counts[1]}"):
        wilson(*counts)


# ---- tables by hand

GOLD = "18"


def rollout(name: str, words: str, outcome: str, n_given: int = 0, **over: Any) -> Row:
    """A rollout named ``name``; each word is a step, the first ``n_given`` of them given."""
    steps = words.split()
    n_own = len(steps) - n_given
    return {
        "rollout_id": name,
        "prefix_id": "s@0",
        "seed_id": "s",
        "node_id": None,
        "algorithm": "puct",
        "sample_idx": 0,
        "n_given_steps": n_given,
        "steps": steps,
        "factors": ["Compute"] * len(steps),
        "step_source": [f"source of {step}" for step in steps],
        "step_n_tokens": [1] * n_own,
        "step_min_logprob": [-1.0] * n_own,
        "sloppy": False,
        "tail": "",
        "answer": {"correct": GOLD, "wrong": "17"}.get(outcome),
        "gold": GOLD,
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "",
        "n_tokens": n_own,
        "temperature": 1.0,
        "engine": "fake",
        "completion_key": f"key of {name}",
    } | over


def trace(words: str, outcome: str, rollout_id: str | None, n_human: int = 0, **over: Any) -> Row:
    steps = words.split()
    by = ["human"] * n_human + ["model"] * (len(steps) - n_human)
    return {
        "trace_id": f"trace {rollout_id}",
        "seed_id": "s",
        "prefix_id": "s@0",
        "rollout_id": rollout_id,
        "question": "q",
        "steps": steps,
        "factors": ["Compute"] * len(steps),
        "step_provenance": by,
        "step_source": [f"source of {step}" for step in steps],
        "n_human_steps": n_human,
        "answer": {"correct": GOLD, "wrong": "17"}.get(outcome),
        "gold": GOLD,
        "verifier": "numeric",
        "outcome": outcome,
        "provenance": "model" if rollout_id else "human",
        "engine": "fake" if rollout_id else None,
        "markup": "",
    } | over


def labels(traces: Sequence[Row], rollouts: Sequence[Row], **options: Any) -> pl.DataFrame:
    frame = label_steps(Trace.from_rows(traces), Rollout.from_rows(rollouts), **options)
    return StepLabel.validate(frame)


def counts(frame: pl.DataFrame) -> list[tuple[int, int]]:
    """(successes, trials) per step."""
    return list(frame.select("n_successes", "n_trials").iter_rows())


def verdicts(frame: pl.DataFrame) -> list[tuple[bool | None, str]]:
    return list(frame.select("hard_label", "label_source").iter_rows())


POOL = [
    rollout("r1", "a b c", "wrong"),
    rollout("r2", "a b d", "correct"),
    rollout("r3", "a x y", "wrong"),
    rollout("r4", "a b c", "unverifiable"),
    rollout("r5", "a b c", "truncated"),
    rollout("l1", "a p", "correct", n_given=1),
    rollout("l2", "a b p", "wrong", n_given=1),
    rollout("l3", "a b q", "wrong", n_given=2),
    rollout("l4", "a b c", "wrong", n_given=2),
]


def test_every_number_of_a_label_by_hand() -> None:
    frame = labels([trace("a b c", "wrong", "r1")], POOL)
    # r1 was drawn from the bare question; so were r2 and r3, its sisters, which are no trials.
    # After a: l1 and l2 begin there. l3 and l4 begin later.
    # After b: l2 passes through, l3 and l4 begin there. That r2 came home still proves b good.
    # After c: l4 passes through.
    assert counts(frame) == [(1, 2), (0, 3), (0, 1)]
    assert frame["mc_value"].to_list() == [0.5, 0.0, 0.0]
    assert [round(low, 4) for low in frame["wilson_low"]] == [0.0945, 0.0, 0.0]
    assert [round(high, 4) for high in frame["wilson_high"]] == [0.9055, 0.5615, 0.7935]
    assert verdicts(frame) == [(True, "rollouts"), (True, "outcome"), (False, "outcome")]
    counted = ("n_trials", "n_successes", "mc_value", "wilson_low", "wilson_high")
    assert frame.drop(*counted, *POSTERIOR_COLUMNS).row(1, named=True) == {
        "trace_id": "trace r1",
        "seed_id": "s",
        "step_idx": 1,
        "factor": "Compute",
        "text": "b",
        "provenance": "model",
        "step_source": "source of b",
        "hard_label": True,
        "label_source": "outcome",
    }


def test_counting_alone_leaves_what_a_posterior_says_null() -> None:
    frame = labels([trace("a b c", "wrong", "r1")], POOL)
    optional = {name for name, column in StepLabel.columns().items() if column.nullable}
    assert optional == {"mc_value", "wilson_low", "wilson_high", "hard_label", *POSTERIOR_COLUMNS}
    assert all(frame[name].null_count() == frame.height for name in POSTERIOR_COLUMNS)
    assert "posterior" not in set(frame["label_source"])


def test_a_traces_own_end_is_no_trial_for_its_own_steps() -> None:
    frame = labels([trace("a b", "correct", "r1")], [rollout("r1", "a b", "correct")])
    assert counts(frame) == [(0, 0), (0, 0)]
    assert frame["mc_value"].to_list() == [None, None]
    assert frame["wilson_low"].to_list() == frame["wilson_high"].to_list() == [None, None]


def test_its_own_end_is_taken_away_only_where_it_had_been_counted() -> None:
    pool = [
        rollout("r1", "a z", "wrong"),
        rollout("l1", "a b c", "correct", n_given=1),
        rollout("l2", "a b d", "wrong", n_given=2),
    ]
    # l1 begins after a: it counts there and later, for others.
    assert counts(labels([trace("a b c", "correct", "l1")], pool)) == [(0, 1), (0, 1), (0, 0)]
    # To l2, l1 is a trial after a and after b; itself it would count from b on.
    assert counts(labels([trace("a b d", "wrong", "l2")], pool)) == [(1, 2), (1, 1), (0, 0)]


def test_steps_of_equal_words_but_other_factors_or_seeds_are_other_states() -> None:
    pool = [
        rollout("r1", "a b", "wrong"),
        rollout("r2", "a b", "correct", factors=["Plan", "Compute"]),
        rollout("r3", "a b", "correct", seed_id="other", prefix_id="other@0"),
        rollout("r4", "b a", "correct"),
        rollout("r5", "ab", "correct"),
    ]
    assert counts(labels([trace("a b", "wrong", "r1")], pool)) == [(0, 0), (0, 0)]


def test_a_completion_that_stands_in_two_searches_counts_once() -> None:
    pool = [
        rollout("r1", "a b", "wrong"),
        rollout("s@0/k", "a c", "correct", n_given=1, completion_key="k"),
        rollout("s@1/k", "a c", "correct", n_given=1, completion_key="k", prefix_id="s@1"),
    ]
    assert counts(labels([trace("a b", "wrong", "r1")], pool))[0] == (1, 1)
    for name in ("s@0/k", "s@1/k"):
        own = labels([trace("a c", "correct", name)], pool)
        assert counts(own) == [(0, 1), (0, 0)]


def test_a_completion_that_two_seeds_share_counts_for_both() -> None:
    """Seeds may ask the same question; the same words are then judged by two gold answers."""
    pool = [
        rollout("s@0/l", "a b", "correct", completion_key="l", n_given=1),
        rollout("t@0/l", "a b", "wrong", completion_key="l", n_given=1, seed_id="t"),
        rollout("s@0/k", "a b", "correct", completion_key="k"),
        rollout("s@0/m", "a c", "correct", completion_key="m"),
        rollout("t@0/k", "a b", "wrong", completion_key="k", seed_id="t", prefix_id="t@0"),
        rollout("t@0/m", "a c", "wrong", completion_key="m", seed_id="t", prefix_id="t@0"),
    ]
    frame = labels(
        [
            trace("a b", "correct", "s@0/k"),
            trace("a b", "wrong", "t@0/k", seed_id="t", prefix_id="t@0"),
        ],
        pool,
    )
    assert counts(frame) == [(1, 1), (1, 1), (0, 1), (0, 1)]


def test_rows_come_by_trace_and_step() -> None:
    frame = labels([trace("a b c", "wrong", "r1"), trace("a x y", "wrong", "r3")], POOL)
    assert frame["trace_id"].to_list() == ["trace r1"] * 3 + ["trace r3"] * 3
    assert frame["step_idx"].to_list() == [0, 1, 2] * 2


def test_no_traces_give_no_labels() -> None:
    assert label_steps(Trace.empty(), Rollout.empty()).equals(StepLabel.empty())


# ---- hard labels


def pool_of(*evidence: tuple[int, int], own: str = "wrong") -> tuple[list[Row], list[Row]]:
    """A trace of the steps a b c… and rollouts that give each step (successes, trials)."""
    words = "abcdef"[: len(evidence)]
    steps = " ".join(words)
    pool = [rollout("own", steps, own)]
    for idx, (n_right, n) in enumerate(evidence):
        given = " ".join(words[: idx + 1])
        for i in range(n):
            outcome = "correct" if i < n_right else "wrong"
            pool.append(rollout(f"{idx}/{i}", f"{given} z{i}", outcome, n_given=idx + 1))
    return [trace(steps, own, "own")], pool


def test_the_evidence_of_the_helper_is_as_asked() -> None:
    assert counts(labels(*pool_of((1, 2), (0, 3), (2, 2)))) == [(1, 2), (0, 3), (2, 2)]


def test_a_step_is_good_if_one_continuation_ends_right_and_bad_if_enough_end_wrong() -> None:
    frame = labels(*pool_of((1, 9), (0, 3), (0, 0)))
    assert verdicts(frame) == [(True, "rollouts"), (False, "rollouts"), (False, "outcome")]


def test_too_few_trials_make_no_label() -> None:
    frame = labels(*pool_of((1, 4), (0, 2), (0, 0)))
    assert verdicts(frame) == [(True, "rollouts"), (None, "none"), (False, "outcome")]
    assert verdicts(labels(*pool_of((0, 2), (0, 0)), min_trials=2))[0] == (False, "rollouts")
    assert verdicts(labels(*pool_of((0, 2), (0, 0)), min_trials=5))[0] == (None, "none")


def test_a_later_success_makes_all_earlier_steps_good() -> None:
    frame = labels(*pool_of((0, 5), (0, 0), (1, 5), (0, 5), (0, 0)))
    assert verdicts(frame) == [
        (True, "outcome"),
        (True, "outcome"),
        (True, "rollouts"),
        (False, "rollouts"),
        (False, "outcome"),
    ]


def test_all_steps_of_a_right_trace_are_good() -> None:
    frame = labels(*pool_of((0, 9), (1, 2), (0, 0), own="correct"))
    assert verdicts(frame) == [(True, "outcome"), (True, "rollouts"), (True, "outcome")]


def test_the_last_step_is_as_good_as_the_answer() -> None:
    assert verdicts(labels(*pool_of((5, 5), (3, 3))))[-1] == (False, "outcome")
    assert verdicts(labels(*pool_of((0, 5), (0, 3), own="correct")))[-1] == (True, "outcome")


def test_with_a_threshold_a_step_must_be_worth_more_than_that() -> None:
    evidence = [(2, 4), (3, 4), (1, 4), (0, 0)]
    frame = labels(*pool_of(*evidence), threshold=0.5)
    assert [label for label, _ in verdicts(frame)] == [False, True, False, False]
    frame = labels(*pool_of(*evidence), threshold=0.49)
    assert [label for label, _ in verdicts(frame)] == [True, True, False, False]


def test_with_a_threshold_a_traces_own_end_labels_only_its_last_step() -> None:
    frame = labels(*pool_of((1, 4), (0, 1), (0, 0), own="correct"), threshold=0.5)
    assert verdicts(frame) == [(False, "rollouts"), (None, "none"), (True, "outcome")]


def human(outcome: str) -> Row:
    return trace("a b c", outcome, None, n_human=3)


@pytest.mark.parametrize("outcome", ["correct", "unverifiable"])
def test_human_steps_are_good_without_trials(outcome: str) -> None:
    assert verdicts(labels([human(outcome)], [])) == [(True, "outcome")] * 3


def test_a_human_answer_that_is_wrong_spoils_only_the_step_that_gives_it() -> None:
    assert verdicts(labels([human("wrong")], [])) == [(True, "outcome")] * 2 + [(False, "outcome")]


def test_human_steps_are_measured_like_any_other() -> None:
    frame = labels([human("correct")], POOL)
    assert counts(frame) == [(2, 5), (1, 5), (0, 2)]
    assert [source for _, source in verdicts(frame)] == ["rollouts", "rollouts", "outcome"]


def test_human_steps_before_a_wrong_continuation_stay_good() -> None:
    row = trace("a b c", "wrong", "own", n_human=1)
    _, pool = pool_of((0, 5), (0, 5), (0, 0))
    assert verdicts(labels([row], pool)) == [
        (True, "outcome"),
        (False, "rollouts"),
        (False, "outcome"),
    ]


def test_with_a_threshold_human_steps_need_evidence_too() -> None:
    assert verdicts(labels([human("correct")], [], threshold=0.5)) == [
        (None, "none"),
        (None, "none"),
        (True, "outcome"),
    ]


# ---- traces


def seed(seed_id: str = "s", **over: Any) -> Row:
    steps = ["a \n", " b\n", "c"]
    return {
        "seed_id": seed_id,
        "source": "test",
        "license": "CC0-1.0",
        "domain": "math",
        "question": "q",
        "thought": "".join(steps),
        "steps": steps,
        "factors": ["Plan", "Compute", "Answer"],
        "answer": GOLD,
        "verifier": "numeric",
        "facts": [],
        "meta": "{}",
    } | over


SEEDS = Seed.from_rows([seed()])
PREFIXES = make_prefixes(SEEDS, n_prefixes=2)


def traces(*rollouts: Row, seeds: pl.DataFrame = SEEDS) -> pl.DataFrame:
    frame = assemble_traces(seeds, make_prefixes(seeds, n_prefixes=2), Rollout.from_rows(rollouts))
    return Trace.validate(frame)


def test_the_human_trace_is_a_row_with_every_step_traced_to_its_author() -> None:
    (row,) = traces().iter_rows(named=True)
    assert row == {
        "trace_id": row["trace_id"],
        "seed_id": "s",
        "prefix_id": "s@3",
        "rollout_id": None,
        "node_id": None,
        "question": "q",
        "steps": ["a", "b", "c"],
        "factors": ["Plan", "Compute", "Answer"],
        "step_provenance": ["human"] * 3,
        "step_source": ["s#0", "s#1", "s#2"],
        "n_human_steps": 3,
        "answer": GOLD,
        "gold": GOLD,
        "verifier": "numeric",
        "outcome": "correct",
        "provenance": "human",
        "engine": None,
        "markup": render(
            TraceModel(
                "q",
                (Step("a", Factor.PLAN), Step("b", Factor.COMPUTE), Step("c", Factor.ANSWER)),
                GOLD,
            )
        ),
    }


def test_a_human_answer_that_its_verifier_cannot_read_is_kept_as_unverifiable() -> None:
    frame = traces(seeds=Seed.from_rows([seed(answer="a few")]))
    assert frame["outcome"].to_list() == ["unverifiable"]


def test_right_and_wrong_rollouts_become_traces_in_order_behind_the_human_ones() -> None:
    frame = traces(rollout("r1", "x y", "wrong"), rollout("r2", "x z", "correct"))
    assert frame.select("rollout_id", "outcome", "answer").rows() == [
        (None, "correct", GOLD),
        ("r1", "wrong", "17"),
        ("r2", "correct", GOLD),
    ]


@pytest.mark.parametrize(
    "row",
    [
        rollout("r", "x y", "unverifiable"),
        rollout("r", "x y", "truncated"),
        rollout("r", "x y", "correct", tail="<ACT_Compute-Start> half"),
        rollout("r", "", "correct"),
    ],
    ids=["unverifiable", "truncated", "unreadable tail", "no steps"],
)
def test_a_rollout_that_is_no_whole_trace_is_left_out(row: Row) -> None:
    assert traces(row).height == 1


def test_equal_traces_of_one_question_are_one_row_with_the_first_ones_source() -> None:
    frame = traces(
        rollout("r1", "x y", "wrong"),
        rollout("r2", "x y", "wrong", n_given=1),
        rollout("r3", "x y", "correct"),
    )
    assert frame["rollout_id"].to_list() == [None, "r1", "r3"]
    assert frame["trace_id"].is_unique().all()


def test_a_rollout_that_repeats_the_human_trace_adds_no_row() -> None:
    row = rollout("r", "a b c", "correct", factors=["Plan", "Compute", "Answer"])
    assert traces(row)["rollout_id"].to_list() == [None]


def test_equal_traces_of_two_seeds_are_two_rows() -> None:
    seeds = Seed.from_rows([seed("s"), seed("t")])
    frame = traces(
        rollout("r1", "x y", "wrong"),
        rollout("r2", "x y", "wrong", seed_id="t", prefix_id="t@0"),
        seeds=seeds,
    )
    assert frame.height == 4


def test_steps_before_the_truncation_are_human_and_those_behind_it_the_models() -> None:
    row = rollout("r", "a b x", "wrong", n_given=2, prefix_id="s@1")
    found = traces(row).row(1, named=True)
    assert found["step_provenance"] == ["human", "model", "model"]
    assert (found["n_human_steps"], found["provenance"]) == (1, "model")
    assert found["step_source"] == ["source of a", "source of b", "source of x"]
    assert (found["question"], found["engine"]) == ("q", "fake")


def test_the_markup_of_a_trace_reads_back_as_its_steps_and_answer() -> None:
    row = rollout("r", "x y", "wrong")
    row["steps"] = ["<Think_End>\n", "y <ACT_Plan-Start> "]
    found = traces(row).row(1, named=True)
    read = parse(found["markup"])
    assert [step.text for step in read.steps] == found["steps"] == row["steps"]
    assert read.answer == "17"


def test_the_prefixes_of_these_seeds_are_the_ones_that_the_rollouts_name() -> None:
    assert set(PREFIXES["prefix_id"]) == {"s@0", "s@1", "s@2"}
    assert Prefix.validate(PREFIXES)["steps"].to_list() == [[], ["a"], ["a", "b"]]
