"""Data from what went wrong: pits, advantages, pairs and single replies, from hand-made tables."""

import json
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.errors import ConfigError, PublishError
from datagen.export import (
    export_advantages,
    export_kto,
    export_preference,
    export_step_preference,
)
from datagen.export.pits import first_pits
from datagen.factors.taxonomy import Factor
from datagen.labels.monte_carlo import wilson
from datagen.prompts.native import prompt_of
from datagen.traces.markup import THINK_END, render, render_step, render_thought
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from schemas import Node, Prefix, Probe, Question, Rejection, StepLabel, Trace, TraceLabel

Row = dict[str, Any]

QUESTION = "How many apples?"


def steps_of(texts: list[str]) -> tuple[Step, ...]:
    return tuple(Step(text, Factor.COMPUTE) for text in texts)


def thought(texts: list[str]) -> str:
    """The beginning of a reply."""
    return render_thought(steps_of(texts))


def reply(texts: list[str], answer: str = "18") -> str:
    return render(TraceModel(QUESTION, steps_of(texts), answer))


def trace(trace_id: str, texts: str, outcome: str, **over: Any) -> Row:
    """A trace whose steps are the letters of ``texts``; a wrong one answers 20."""
    steps = list(texts)
    row: Row = {
        "trace_id": trace_id,
        "seed_id": "s1",
        "prefix_id": "s1@0",
        "rollout_id": f"r-{trace_id}",
        "question": QUESTION,
        "steps": steps,
        "factors": ["Compute"] * len(steps),
        "answer": {"correct": "18", "wrong": "20"}.get(outcome),
        "gold": "18",
        "verifier": "numeric",
        "outcome": outcome,
        "provenance": "model",
        "engine": "fake",
        "n_human_steps": 0,
        "step_provenance": ["model"] * len(steps),
        "step_source": ["source"] * len(steps),
    } | over
    numbered = zip(row["steps"], row["factors"], strict=True)
    written = tuple(Step(text, Factor(factor)) for text, factor in numbered)
    row.setdefault("markup", render(TraceModel(row["question"], written, row["answer"])))
    return row


def right(trace_id: str, texts: str, **over: Any) -> Row:
    return trace(trace_id, texts, "correct", **over)


def wrong(trace_id: str, texts: str, **over: Any) -> Row:
    return trace(trace_id, texts, "wrong", **over)


def drawn(texts: str, outcome: str, *, key: str, given: int = 0, **over: Any) -> Row:
    """A rollout or probe."""
    n = len(texts)
    return {
        "rollout_id": key,
        "prefix_id": "s1@0",
        "seed_id": "s1",
        "node_id": None,
        "algorithm": "first_error",
        "sample_idx": 0,
        "n_given_steps": given,
        "steps": list(texts),
        "factors": ["Compute"] * n,
        "step_source": ["source"] * n,
        "step_n_tokens": [1] * (n - given),
        "step_min_logprob": [None] * (n - given),
        "sloppy": False,
        "tail": "",
        "answer": "18" if outcome == "correct" else "20",
        "gold": "18",
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "",
        "n_tokens": 1,
        "temperature": 1.0,
        "engine": "fake",
        "completion_key": key,
    } | over


def label(of: Row, idx: int, **over: Any) -> Row:
    """A label that says nothing, but for ``over``."""
    return {
        "trace_id": of["trace_id"],
        "seed_id": of["seed_id"],
        "step_idx": idx,
        "factor": of["factors"][idx],
        "text": of["steps"][idx],
        "provenance": "model",
        "step_source": "source",
        "n_trials": 0,
        "n_successes": 0,
        "label_source": "none",
    } | over


def counted(of: Row, *shares: tuple[int, int] | None) -> list[Row]:
    """Labels by (successes, trials), or none; the last step's rests on the outcome."""
    rows: list[Row] = []
    for idx, share in enumerate(shares):
        row = label(of, idx)
        if share is not None:
            c, n = share
            low, high = wilson(c, n)
            row |= {"n_trials": n, "n_successes": c, "mc_value": c / n, "label_source": "rollouts"}
            row |= {"wilson_low": low, "wilson_high": high, "hard_label": c > 0}
        rows.append(row)
    rows[-1] |= {"label_source": "outcome", "hard_label": of["outcome"] == "correct"}
    return rows


def measured(of: Row, root: float, *values: float) -> list[Row]:
    rows: list[Row] = []
    last = root
    for idx, value in enumerate(values):
        posterior = {"p_before_error": 0.5, "confidence": 0.5, "hard_label": value > 0.05}
        change = {"value": value, "advantage": value - last, "prover_advantage": last - value}
        rows.append(label(of, idx, label_source="posterior", **posterior, **change))
        last = value
    return rows


def executed(of: Row, *good: bool | None) -> list[Row]:
    return [
        label(of, idx, hard_label=mark, label_source="none" if mark is None else "execution")
        for idx, mark in enumerate(good)
    ]


def found(of: Row, first_error: int, *, mass: float = 1.0, verified: bool = False) -> Row:
    """A row of ``trace_labels``."""
    n = len(of["steps"])
    p = [(1 - mass) / n] * (n + 1)
    p[first_error] = mass
    return {
        "trace_id": of["trace_id"],
        "seed_id": of["seed_id"],
        "outcome": of["outcome"],
        "n_steps": n,
        "n_rollouts": 8,
        "n_tokens": 80,
        "first_error": first_error,
        "first_error_mass": mass,
        "no_error_mass": p[-1],
        "p_first_error": p,
        "judge_first_error": first_error if verified else None,
        "judge_share": 1.0 if verified else None,
        "n_votes": int(verified),
        "agrees": True if verified else None,
        "verified": verified,
        "review_rank": None if verified else 0,
    }


Tables = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]


def tables(traces: list[Row], steps: list[list[Row]], labels: list[Row]) -> Tables:
    flat = [row for rows in steps for row in rows]
    return Trace.from_rows(traces), StepLabel.from_rows(flat), TraceLabel.from_rows(labels)


def pit(of: Row, steps: list[Row] | None = None, *labels: Row, **options: Any) -> int:
    return first_pits(*tables([of], [steps or []], list(labels)), **options)["pit"][0]


# ---- pits


def test_the_pit_of_a_measured_trace_is_its_localised_first_error() -> None:
    of = wrong("w", "abcd")
    assert pit(of, None, found(of, 2, mass=0.75)) == 2
    assert pit(of, None, found(of, 2, mass=0.4)) == -1
    assert pit(of, None, found(of, 2, mass=0.4), min_mass=0.3) == 2
    assert pit(of, None, found(of, 2, mass=0.4, verified=True)) == 2
    assert pit(of, None, found(of, -1, mass=0.9)) == -1


def test_where_the_first_error_is_unsure_the_pit_is_the_first_clear_fall_to_nothing() -> None:
    of = wrong("w", "abcd")
    unsure = found(of, 3, mass=0.4)
    assert pit(of, measured(of, 0.5, 0.5, 0.625, 0.03, 0.0), unsure) == 2
    assert pit(of, measured(of, 0.5, 0.02, 0.02, 0.0, 0.0), unsure) == 0
    # It slides down, and no step is to blame alone.
    assert pit(of, measured(of, 0.5, 0.4, 0.25, 0.125, 0.0), unsure) == -1
    # It falls, but not to nothing.
    assert pit(of, measured(of, 0.9, 0.9, 0.5, 0.125, 0.0), unsure) == -1
    assert pit(of, measured(of, 0.5, 0.5, 0.625, 0.03, 0.0), found(of, 0)) == 0


def test_counts_show_a_pit_only_where_the_intervals_lie_apart() -> None:
    of = wrong("w", "abc")
    assert pit(of, counted(of, (8, 8), (0, 8), None)) == 1
    assert pit(of, counted(of, (2, 3), (0, 3), None)) == -1
    assert pit(of, counted(of, (8, 8), (1, 16), None)) == -1  # one of them did end right
    assert pit(of, counted(of, (8, 8), None, (0, 8))) == -1  # it may have been the step between


def test_what_a_run_contradicts_is_the_pit() -> None:
    of = wrong("w", "abc")
    assert pit(of, executed(of, True, False, False)) == 1
    assert pit(of, executed(of, True, None, None)) == -1
    assert pit(of, executed(of, None, False, False), found(of, 0)) == 1


@pytest.mark.parametrize("outcome", ["correct", "unverifiable"])
def test_only_wrong_traces_have_pits(outcome: str) -> None:
    of = trace("t", "ab", outcome)
    assert pit(of, executed(of, True, False)) == -1
    assert pit(of, None, found(of, 1)) == -1


def test_pits_keep_the_order_of_the_traces_and_do_not_leak_between_them() -> None:
    rows = [wrong("c", "ab"), wrong("b", "xy"), right("d", "ab"), wrong("a", "xy")]
    steps = [counted(rows[1], (0, 8), None), counted(rows[3], (8, 8), (8, 8))]
    frame = first_pits(*tables(rows, steps, [found(rows[0], 1)]))
    assert frame.rows() == [("c", 1), ("b", -1), ("d", -1), ("a", -1)]


# ---- advantages


def solved(seed_id: str, pass_rate: float) -> Row:
    """A row of ``questions``."""
    return {
        "question_id": seed_id,
        "seed_id": seed_id,
        "domain": "math",
        "split": "train",
        "n_words": 3,
        "language": None,
        "pass_rate": pass_rate,
        "n_rollouts": 8,
        "difficulty": "medium",
    }


def advantages(
    traces: list[Row],
    steps: list[list[Row]],
    *labels: Row,
    pass_rates: dict[str, float] | None = None,
    **options: Any,
) -> list[Row]:
    given, step_labels, trace_labels = tables(traces, steps, list(labels))
    asked = [solved(seed_id, rate) for seed_id, rate in (pass_rates or {}).items()]
    questions = Question.from_rows(asked)
    return export_advantages(given, questions, step_labels, trace_labels, **options).to_dicts()


def test_a_measured_trace_gives_its_values_advantages_and_pit() -> None:
    of = wrong("w", "abc", question="Q?  \n\n", steps=["a ", "b\n", "c"])
    assert advantages([of], [measured(of, 0.25, 0.5, 0.0, 0.0)], found(of, 1)) == [
        {
            "id": "w",
            "seed_id": "s1",
            "prompt": "Q?\n",
            "completions": ["a", "b", "c"],
            "factors": ["Compute"] * 3,
            "values": [0.5, 0.0, 0.0],
            "advantages": [0.25, -0.5, 0.0],
            "prover_advantages": [-0.25, 0.5, 0.0],
            "pit": 1,
            "outcome": "wrong",
            "label_source": "posterior",
        }
    ]


def test_counted_values_give_advantages_against_the_solve_rate_and_the_outcome_ends_them() -> None:
    of = right("r", "abc")
    steps = [counted(of, (3, 4), (1, 4), None)]
    (row,) = advantages([of], steps, pass_rates={"s1": 0.5, "other": 1.0})
    assert row["values"] == [0.75, 0.25, 1.0]
    assert row["advantages"] == [0.25, -0.5, 0.75]
    assert row["prover_advantages"] == [None] * 3
    assert (row["pit"], row["label_source"]) == (-1, "rollouts")


def test_beside_an_unknown_value_there_is_no_advantage() -> None:
    of = wrong("w", "abcd")
    (row,) = advantages([of], [counted(of, (1, 2), None, (1, 4), None)])
    assert row["values"] == [0.5, None, 0.25, 0.0]
    assert row["advantages"] == [None, None, None, -0.25]


def test_the_first_advantage_is_unknown_where_the_solve_rate_is() -> None:
    rows = [wrong("a", "xy"), wrong("b", "xy")]
    found_ = advantages(rows, [counted(row, (1, 4), None) for row in rows])
    assert [row["advantages"] for row in found_] == [[None, -0.25]] * 2


def test_min_trials_takes_few_rollouts_for_no_value() -> None:
    rows = [wrong("a", "xyz"), wrong("b", "xyz")]
    steps = [counted(rows[0], (1, 2), (1, 4), None), counted(rows[1], (1, 2), (0, 3), None)]
    (row,) = advantages(rows, steps, min_trials=4)
    assert (row["id"], row["values"]) == ("a", [None, 0.25, 0.0])
    with pytest.raises(ConfigError, match="min_trials=0"):
        advantages(rows, steps, min_trials=0)


def test_a_trace_of_which_only_the_outcome_is_known_gives_no_row() -> None:
    rows = [wrong("a", "xy"), right("b", "xy"), wrong("c", "xy")]
    assert advantages(rows, [counted(rows[0], None, None), counted(rows[1], None, None)]) == []


def test_a_thought_about_code_has_its_pit_from_the_run_and_blank_steps_stay() -> None:
    of = wrong("w", "a c", provenance="code")
    (row,) = advantages([of], [executed(of, True, True, False)])
    assert (row["pit"], row["label_source"]) == (2, "execution")
    assert row["completions"] == ["a", "", "c"]
    assert row["values"] == [None] * 3


def test_advantages_refuse_labels_of_other_steps() -> None:
    old, new = wrong("w", "ab"), wrong("w", "ax")
    with pytest.raises(PublishError, match="step_idx=1 text='b'"):
        advantages([new], [counted(old, (1, 2), None)])


# ---- preference


def preference(
    traces: list[Row],
    *labels: Row,
    probes: list[Row] | None = None,
    steps: list[list[Row]] | None = None,
    **options: Any,
) -> list[Row]:
    given, step_labels, trace_labels = tables(traces, steps or [], list(labels))
    table = Probe.from_rows(probes or [])
    return export_preference(given, table, step_labels, trace_labels, **options).to_dicts()


def ids(rows: list[Row]) -> list[str]:
    return [row["id"] for row in rows]


def test_a_pair_is_a_whole_right_reply_and_the_wrong_one_up_to_its_pit() -> None:
    rows = [right("r", "abc"), wrong("w", "axyz")]
    assert preference(rows, found(rows[1], 1)) == [
        {
            "prompt": [{"role": "user", "content": QUESTION}],
            "chosen": [{"role": "assistant", "content": reply(["a", "b", "c"])}],
            "rejected": [{"role": "assistant", "content": thought(["a", "x"])}],
            "id": "r:w",
            "seed_id": "s1",
        }
    ]


def test_without_a_pit_both_replies_are_whole() -> None:
    (row,) = preference([right("r", "abc"), wrong("w", "axyz")])
    assert row["rejected"][0]["content"] == reply(["a", "x", "y", "z"], "20")


def test_a_rejected_trace_is_in_no_pair_but_still_shows_which_beginnings_are_sound() -> None:
    rows = [right("r", "abc"), right("twin", "axc"), wrong("w", "axyz"), wrong("v", "aqq")]
    labels = [found(rows[2], 1), found(rows[3], 1)]
    table = Rejection.from_rows(
        [
            {"id": name, "rule": "near_duplicate", "kind": "trace", "seed_id": "s1"}
            | {"reason": "says almost the same", "other": "r", "score": 0.9, "preview": ""}
            for name in ("twin", "v")
        ]
    )
    (row,) = preference(rows, *labels, rejections=table)
    assert row["id"] == "r:w"  # cut behind "x" it would be the beginning of the right twin
    assert row["rejected"][0]["content"] == reply(["a", "x", "y", "z"], "20")
    assert set(ids(kto(rows, *labels, rejections=table))) == {"r", "w"}


def test_wrong_replies_stay_whole_on_demand() -> None:
    rows = [right("r", "abc"), wrong("w", "axyz")]
    (row,) = preference(rows, found(rows[1], 1), wrong_ends_at="answer")
    assert row["rejected"][0]["content"] == reply(["a", "x", "y", "z"], "20")


def test_the_right_reply_is_the_one_that_goes_along_longest() -> None:
    rows = [right("r1", "xyz"), right("r2", "abz"), right("r3", "ayz"), wrong("w", "abcd")]
    assert ids(preference(rows, found(rows[3], 2))) == ["r2:w"]


def test_a_step_of_another_factor_is_another_step() -> None:
    other = right("r1", "abz", factors=["Compute", "Deduce", "Compute"])
    rows = [other, right("r2", "ayz"), wrong("w", "abc")]
    assert ids(preference(rows, found(rows[2], 2))) == ["r1:w"]  # r1 and r2 part at one place
    rows = [other, right("r2", "abz"), wrong("w", "abc")]
    assert ids(preference(rows, found(rows[2], 2))) == ["r2:w"]


def test_steps_in_another_order_are_no_shared_beginning() -> None:
    rows = [right("r1", "bax"), right("r2", "azx"), wrong("w", "abc")]
    assert ids(preference(rows, found(rows[2], 2))) == ["r2:w"]


def test_a_probe_that_ended_right_is_a_right_reply() -> None:
    rows = [right("r", "xyz"), wrong("w", "abcd")]
    probes = [
        drawn("abyz", "correct", key="p1", given=2),
        drawn("abc", "wrong", key="p2", given=2),
        drawn("abq", "correct", key="p3", given=2, tail="<"),
        drawn("abq", "correct", key="p4", given=2, seed_id="other"),
    ]
    (row,) = preference(rows, found(rows[1], 2), probes=probes)
    assert row["id"] == f"{probes[0]['rollout_id']}:w"
    assert row["chosen"][0]["content"] == reply(["a", "b", "y", "z"])
    assert row["rejected"][0]["content"] == thought(["a", "b", "c"])


def test_a_pit_that_a_right_trace_went_through_is_none_and_that_trace_no_example() -> None:
    rows = [right("r1", "abcx"), right("r2", "zzz"), wrong("w", "abcd")]
    (row,) = preference(rows, found(rows[2], 1))
    assert row["id"] == "r2:w"
    assert row["rejected"][0]["content"] == reply(["a", "b", "c", "d"], "20")
    probe = drawn("abcx", "correct", key="p", given=3)
    (row,) = preference(rows[1:], found(rows[2], 1), probes=[probe])
    assert (row["id"], row["rejected"][0]["content"]) == ("r2:w", reply(list("abcd"), "20"))


def test_a_right_trace_with_an_error_is_no_example() -> None:
    rows = [right("r1", "abc"), right("r2", "zzz"), wrong("w", "abx")]
    assert ids(preference(rows)) == ["r1:w"]
    assert ids(preference(rows, found(rows[0], 1))) == ["r2:w"]
    assert ids(preference(rows, found(rows[0], 1, mass=0.4))) == ["r1:w"]


def test_no_right_reply_begins_with_the_wrong_one() -> None:
    # The same steps, and an answer that is the beginning of the right answer.
    rows = [right("r", "ab"), wrong("w", "ab", answer="1")]
    assert preference(rows) == []
    rows = [right("r", "ab", answer="1"), wrong("w", "ab", answer="18")]
    assert ids(preference(rows)) == ["r:w"]


def test_a_question_without_right_or_without_wrong_replies_gives_no_pair() -> None:
    assert preference([right("r", "ab")]) == []
    assert preference([wrong("w", "ab")]) == []
    assert preference([right("r", "ab", question="Other?", seed_id="s2"), wrong("w", "ab")]) == []
    assert preference([right("r", "ab"), trace("u", "x", "unverifiable")]) == []
    assert preference([]) == []


def test_wrong_replies_that_say_the_same_up_to_the_pit_are_one() -> None:
    rows = [right("r", "zz"), wrong("w1", "abx"), wrong("w2", "aby")]
    assert ids(preference(rows, found(rows[1], 1), found(rows[2], 1))) == ["r:w1"]


def test_wrong_replies_take_turns_among_right_ones() -> None:
    rows = [right(f"r{i}", f"a{i}") for i in range(3)] + [
        wrong(f"w{i}", f"ax{i}") for i in range(4)
    ]
    assert ids(preference(rows)) == ["r0:w0", "r1:w1", "r2:w2", "r0:w3"]


def test_right_replies_of_the_model_go_before_human_ones() -> None:
    rows = [
        right("a", "ab", provenance="human", rollout_id=None, engine=None, n_human_steps=2),
        right("b", "ac"),
        wrong("w", "ax"),
    ]
    assert ids(preference(rows)) == ["b:w"]


def test_pairs_of_a_question_are_bounded_those_with_pits_first_and_over_all_seeds() -> None:
    rows = [right("r1", "a1"), right("r2", "b2", seed_id="s2")]
    rows += [wrong(f"v{i}", f"a{i}x") for i in range(4)]
    rows += [wrong(f"w{i}", f"b{i}x", seed_id="s2") for i in range(4)]
    marks = [found(row, 1) for row in rows if row["trace_id"] in ("v3", "w3", "v0")]
    assert ids(preference(rows, *marks, max_per_question=3)) == ["r1:v0", "r1:v3", "r2:w3"]
    assert len(preference(rows, *marks, max_per_question=5)) == 5


def test_right_and_wrong_replies_are_of_the_same_seed() -> None:
    # The seeds ask the same question and want different answers.
    rows = [right("r", "cb"), wrong("w", "cd", seed_id="s2")]
    assert preference(rows) == []
    assert ids(preference([*rows, right("q", "xy", seed_id="s2")])) == ["q:w"]


def test_a_trace_about_code_is_cut_where_the_run_contradicts_it() -> None:
    rows = [right("r", "abc", provenance="code"), wrong("w", "axyz", provenance="code")]
    (row,) = preference(rows, steps=[executed(rows[1], True, False, False, False)])
    assert row["rejected"][0]["content"] == thought(["a", "x"])


def test_the_order_of_the_tables_does_not_matter() -> None:
    rows = [right(f"r{i}", f"{i % 3}{i % 5}{i}") for i in range(9)]
    rows += [wrong(f"w{i}", f"{i % 3}{i % 4}{i}xy") for i in range(9)]
    marks = [found(row, 1 + i % 3) for i, row in enumerate(rows) if row["outcome"] == "wrong"]
    once = preference(rows, *marks, max_per_question=9)
    assert once == preference(rows[::-1], *marks[::-1], max_per_question=9)
    assert len(once) > 4


@st.composite
def question(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Traces over three letters, so that many share a beginning, and first errors of wrong ones."""
    rows: list[Row] = []
    marks: list[Row] = []
    for i, text in enumerate(draw(st.lists(st.text("abc", min_size=1, max_size=4), max_size=12))):
        answer = draw(st.sampled_from(["18", "1", "20"]))
        outcome = "correct" if answer == "18" else "wrong"
        rows.append(trace(f"t{i}", text, outcome, answer=answer))
        if draw(st.booleans()):
            marks.append(found(rows[-1], draw(st.integers(-1, len(text) - 1))))
    return rows, marks


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(question())
def test_no_rejected_reply_is_the_beginning_of_a_right_one(
    made: tuple[list[Row], list[Row]],
) -> None:
    rows, marks = made
    good = [row["markup"] for row in rows if row["outcome"] == "correct"]
    bad = [row["markup"] for row in rows if row["outcome"] == "wrong"]
    pairs = preference(rows, *marks, max_per_question=99)
    for pair in pairs:
        chosen, rejected = pair["chosen"][0]["content"], pair["rejected"][0]["content"]
        assert chosen in good and not chosen.startswith(rejected)
        assert any(text.startswith(rejected) for text in bad)
        if not rejected.endswith(("\n1", "\n20")):
            assert not any(text.startswith(rejected) for text in good)
    rejected = [pair["rejected"][0]["content"] for pair in pairs]
    assert len(set(rejected)) == len(rejected)
    undesirable = [row["completion"][0]["content"] for row in kto(rows, *marks) if not row["label"]]
    assert not set(undesirable) & set(good)
    for text in undesirable:
        if "<Think_End>" not in text:
            assert not any(whole.startswith(text) for whole in good)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_per_question": 0}, "max_per_question=0"),
        ({"wrong_ends_at": "step"}, "wrong_ends_at='step'"),
    ],
)
def test_unknown_options_of_preference_are_refused(options: Row, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        preference([], **options)


# ---- kto


def kto(
    traces: list[Row], *labels: Row, probes: list[Row] | None = None, **options: Any
) -> list[Row]:
    given, step_labels, trace_labels = tables(traces, [], list(labels))
    table = Probe.from_rows(probes or [])
    options = {"max_ratio": None} | options
    return export_kto(given, table, step_labels, trace_labels, **options).to_dicts()


def test_right_replies_are_desirable_and_wrong_ones_up_to_the_pit_are_not() -> None:
    rows = [right("r", "abc"), wrong("w", "axyz")]
    found_ = {row["id"]: row for row in kto(rows, found(rows[1], 1))}
    assert found_["r"] == {
        "prompt": [{"role": "user", "content": QUESTION}],
        "completion": [{"role": "assistant", "content": reply(["a", "b", "c"])}],
        "label": True,
        "id": "r",
        "seed_id": "s1",
    }
    assert found_["w"]["completion"][0]["content"] == thought(["a", "x"])
    assert found_["w"]["label"] is False


def test_unverifiable_and_doubtful_replies_are_in_no_kto_row() -> None:
    rows = [trace("u", "ab", "unverifiable"), right("r", "abc")]
    assert kto(rows, found(rows[1], 1)) == []


def test_each_label_gets_half_of_a_question_different_ways_of_thinking_first() -> None:
    rows = [right(f"r{i}", f"a{i}") for i in range(5)]
    rows.append(right("z", "a", factors=["Deduce"]))
    rows += [wrong(f"w{i}", f"b{i}") for i in range(5)]
    labels = [found(rows[-1], 0)]
    picked = kto(rows, *labels, max_per_question=4)
    assert sorted(ids(picked)) == ["r0", "w0", "w4", "z"]
    with pytest.raises(ConfigError, match="max_per_question=1"):
        kto(rows, max_per_question=1)


def test_replies_that_end_at_a_pit_go_before_other_ways_of_thinking() -> None:
    rows = [wrong("w1", "xa"), wrong("w2", "ya"), wrong("w3", "z", factors=["Deduce"])]
    picked = kto(rows, found(rows[0], 0), found(rows[1], 0), max_per_question=4)
    assert sorted(ids(picked)) == ["w1", "w2"]


def test_what_is_right_for_one_seed_of_a_question_is_not_wrong_for_another() -> None:
    rows = [right("r", "ab"), wrong("w", "ab", seed_id="s2", answer="18", gold="20")]
    assert ids(kto(rows)) == ["r"]


def many() -> list[Row]:
    questions = [{"seed_id": f"s{q}", "question": f"{q}?"} for q in range(30)]
    rows = [right(f"r{q}{i}", f"{i}", **over) for q, over in enumerate(questions) for i in "abc"]
    return rows + [wrong(f"w{q}", "x", **over) for q, over in enumerate(questions)]


def test_labels_are_kept_within_the_ratio() -> None:
    def share(**options: Any) -> tuple[int, int]:
        marks = [row["label"] for row in kto(many(), **options)]
        return marks.count(True), marks.count(False)

    assert share() == (90, 30)
    assert share(max_ratio=2.0) == (60, 30)
    assert share(max_ratio=1) == (30, 30)
    with pytest.raises(ConfigError, match=r"max_ratio=0\.5"):
        share(max_ratio=0.5)
    with pytest.raises(ConfigError, match="max_ratio=nan"):
        share(max_ratio=float("nan"))


def test_neighbours_in_kto_seldom_answer_one_question_and_the_order_is_fixed() -> None:
    rows = kto(many())
    prompts = [json.dumps(row["prompt"]) for row in rows]
    alike = sum(a == b for a, b in pairwise(prompts))
    assert alike < len(rows) / 5
    assert rows == kto(many()[::-1])


# ---- step preference

PREFIX: Row = {
    "prefix_id": "s1@1",
    "seed_id": "s1",
    "n_steps": 1,
    "n_seed_steps": 3,
    "question": QUESTION,
    "steps": ["given"],
    "factors": ["Plan"],
    "answer": "18",
    "verifier": "numeric",
}


def node(node_id: str, parent_id: str | None, text: str | None, **over: Any) -> Row:
    """A child that was taken, of factor Compute, unless ``over`` says otherwise."""
    depth = 0 if parent_id is None else 1
    return {
        "node_id": node_id,
        "prefix_id": "s1@1",
        "seed_id": "s1",
        "parent_id": parent_id,
        "depth": depth,
        "step_idx": depth,
        "factor": "Compute" if depth else None,
        "text": text,
        "n_visits": 1,
        "value": 0.5,
        "evaluation": 0.5,
        "legal_factors": [],
        "priors": [],
        "n_rollouts": 1,
        "n_correct": 0,
        "chosen": True,
        "replica_idx": 0 if depth else -1,
        "outcome": None,
        "n_tokens": 3,
    } | over


def lost(node_id: str, parent_id: str, text: str, evaluation: float | None, **over: Any) -> Row:
    """A replica's proposal that was not taken."""
    unvisited = {"chosen": False, "n_visits": 0, "value": None, "replica_idx": 1}
    return node(node_id, parent_id, text, evaluation=evaluation) | unvisited | over


ROOT = node("n0", None, None)


def step_preference(*nodes: Row, prefixes: list[Row] | None = None, **options: Any) -> list[Row]:
    table = Prefix.from_rows([PREFIX] if prefixes is None else prefixes)
    return export_step_preference(Node.from_rows(nodes), table, **options).to_dicts()


def test_a_replica_pair_is_the_proposal_that_was_taken_and_one_that_was_not() -> None:
    taken = node("n1", "n0", "3*6=18", evaluation=1.0, value=0.75, n_rollouts=4)
    (row,) = step_preference(ROOT, taken, lost("n2", "n0", "3+6=9", 0.25, n_rollouts=2))
    state = TraceModel(QUESTION, (Step("given", Factor.PLAN),))
    assert row == {
        "id": "n1:n2",
        "seed_id": "s1",
        "prompt": prompt_of(state),
        "chosen": render_step(Step("3*6=18", Factor.COMPUTE)),
        "rejected": render_step(Step("3+6=9", Factor.COMPUTE)),
        "delta_q": 0.75,
        "kind": "replica",
        "n_chosen": 4,
        "n_rejected": 2,
        "chosen_factor": "Compute",
        "rejected_factor": "Compute",
    }


def test_proposals_that_rollouts_wrote_make_pairs_like_those_of_replicas() -> None:
    written = {"replica_idx": -1}
    taken = node("n1", "n0", "a", evaluation=1.0, value=0.75) | written
    (row,) = step_preference(ROOT, taken, lost("n2", "n0", "b", 0.25) | written)
    assert (row["id"], row["kind"], row["delta_q"]) == ("n1:n2", "replica", 0.75)


def test_the_prompt_is_the_state_however_deep() -> None:
    nodes = [
        ROOT,
        node("n1", "n0", "first"),
        node("n2", "n1", "<Think_End>", depth=2, factor="Deduce"),
        node("n3", "n2", "yes", depth=3, evaluation=1.0),
        lost("n4", "n2", "no", 0.0, depth=3),
    ]
    (row,) = step_preference(*nodes[::-1])
    steps = (
        Step("given", Factor.PLAN),
        Step("first", Factor.COMPUTE),
        Step("<Think_End>", Factor.DEDUCE),
    )
    assert row["prompt"] == prompt_of(TraceModel(QUESTION, steps))


def test_proposals_are_paired_within_one_state_and_factor() -> None:
    nodes = [
        ROOT,
        node("n1", "n0", "a", evaluation=1.0),
        node("n2", "n0", "b", evaluation=1.0, factor="Deduce"),
        lost("n3", "n0", "c", 0.0, factor="Deduce"),
        node("n4", "n1", "d", evaluation=1.0, factor="Plan"),
        lost("n5", "n1", "e", 0.0, factor="Plan"),
    ]
    assert sorted(ids(step_preference(*nodes))) == ["n2:n3", "n4:n5"]


def test_differences_that_are_too_small_unknown_or_since_refuted_give_no_pair() -> None:
    def pairs(taken: Row, other: Row, **options: Any) -> list[str]:
        return ids(step_preference(ROOT, taken, other, **options))

    good = node("n1", "n0", "a", evaluation=0.5, value=0.5)
    assert pairs(good, lost("n2", "n0", "b", 0.375)) == []
    assert pairs(good, lost("n2", "n0", "b", 0.375), min_delta=0.125) == ["n1:n2"]
    assert pairs(good, lost("n2", "n0", "b", 0.5), min_delta=0) == []
    assert pairs(good, lost("n2", "n0", "b", None)) == []
    fallen = node("n1", "n0", "a", evaluation=1.0, value=0.25)
    assert pairs(fallen, lost("n2", "n0", "b", 0.25)) == []


@pytest.mark.parametrize("outcome", ["unverifiable", "truncated"])
def test_unfinished_steps_are_in_no_pair(outcome: str) -> None:
    taken = node("n1", "n0", "a", evaluation=1.0)
    assert step_preference(ROOT, taken, lost("n2", "n0", "b", 0.0, outcome=outcome)) == []


def test_an_ending_runs_on_through_its_answer_and_its_verdict_counts_as_evidence() -> None:
    ended = {"factor": "Answer", "n_rollouts": 0}
    taken = node("n1", "n0", "it", evaluation=1.0, outcome="correct", answer="18", **ended)
    other = lost("n2", "n0", "it", 0.0, outcome="wrong", answer="20", **ended)
    (row,) = step_preference(ROOT, taken, other)
    assert (row["n_chosen"], row["n_rejected"]) == (1, 1)
    step = render_step(Step("it", Factor.ANSWER))
    assert (row["chosen"], row["rejected"]) == (f"{step}{THINK_END}18", f"{step}{THINK_END}20")
    assert step_preference(ROOT, taken, other | {"answer": "18"}) == []


def test_a_factor_pair_is_the_best_child_and_the_worst_by_value_and_visits() -> None:
    def child(node_id: str, factor: str, value: float, n_visits: int) -> Row:
        return node(node_id, "n0", node_id, factor=factor, value=value, n_visits=n_visits)

    nodes = [
        ROOT,
        child("n1", "Compute", 0.5, 3),
        child("n2", "Deduce", 1.0, 1),
        child("n3", "Plan", 0.75, 2),
        child("n4", "CheckStep", 0.25, 4),
        child("n5", "SetSubgoal", 0.0, 1),
        lost("n6", "n0", "x", 0.75, factor="Plan"),
    ]
    (row,) = step_preference(*nodes)
    assert (row["id"], row["kind"], row["delta_q"]) == ("n3:n4", "factor", 0.5)
    assert (row["n_chosen"], row["n_rejected"]) == (2, 4)
    assert (row["chosen_factor"], row["rejected_factor"]) == ("Plan", "CheckStep")
    assert ids(step_preference(*nodes, min_visits=1)) == ["n2:n5"]
    assert step_preference(*nodes, min_visits=3, min_delta=0.5) == []


def test_pairs_on_which_two_searches_disagree_are_dropped_and_equal_ones_kept_once() -> None:
    other = {"prefix_id": "s1@2"}
    longer = PREFIX | other
    here = [ROOT, node("n1", "n0", "a", evaluation=1.0, n_rollouts=3), lost("n2", "n0", "b", 0.0)]
    root = ROOT | other | {"node_id": "m0"}
    same = [
        root,
        node("m1", "m0", "a", evaluation=1.0, n_rollouts=5) | other,
        lost("m2", "m0", "b", 0.0, n_rollouts=5) | other,
    ]
    turned = [
        root,
        node("m1", "m0", "b", evaluation=1.0) | other,
        lost("m2", "m0", "a", 0.0) | other,
    ]
    both = [PREFIX, longer]
    assert ids(step_preference(*here, *same, prefixes=both)) == ["m1:m2"]
    assert step_preference(*here, *turned, prefixes=both) == []
    assert ids(step_preference(*here, *turned)) == ["n1:n2"]  # the other prefix is not asked for


@pytest.mark.parametrize(
    ("options", "message"),
    [({"min_delta": 1.5}, r"min_delta=1\.5"), ({"min_visits": 0}, "min_visits=0")],
)
def test_options_of_step_preference_out_of_range_are_refused(options: Row, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        step_preference(ROOT, **options)


def test_no_nodes_give_an_empty_step_preference() -> None:
    assert step_preference() == []
