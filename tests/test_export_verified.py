"""Rows for verifiers and for measuring them: whole replies, first errors; and markup in bulk."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.errors import ConfigError, PublishError
from datagen.export import export_orm, export_processbench, export_sft
from datagen.export.markup import state_markup, step_markup, thought_markup
from datagen.factors.taxonomy import Factor
from datagen.prompts.native import prompt_of
from datagen.publish.configs import CONFIGS
from datagen.traces.markup import render_step, render_thought
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from schemas import Orm, ProcessBench, StepLabel, Trace, TraceLabel
from tests.test_export_negatives import QUESTION, executed, found, label, right, trace, wrong

Row = dict[str, Any]

# ---- orm


def orm(*rows: Row, **options: Any) -> list[Row]:
    return export_orm(Trace.from_rows(rows), **options).to_dicts()


def chosen(*rows: Row, **options: Any) -> set[str]:
    return {row["id"] for row in orm(*rows, **options)}


def test_an_orm_row_is_a_question_a_whole_reply_and_its_outcome() -> None:
    (row,) = orm(wrong("w", "ab", question="Q?  \n\n"))
    assert row == {
        "prompt": "Q?\n",
        "completion": "<think>\na\nb\n</think>\n\n20",
        "label": 0,
        "id": "w",
        "seed_id": "s1",
    }
    assert orm(right("r", "ab"))[0]["label"] == 1


def test_orm_rows_read_like_the_replies_of_sft_plain() -> None:
    of = right("r", "abc", steps=["One. ", "<Think_End>\n", " "])
    chat = export_sft(Trace.from_rows([of]), form="plain")["messages"][0][1]["content"]
    assert orm(of)[0]["completion"] == chat


def test_only_judged_replies_of_the_policy_are_in_orm() -> None:
    rows = [
        right("drawn", "a"),
        right("built", "b", rollout_id=None, node_id="n1"),
        right("person", "c", rollout_id=None, provenance="human"),
        right("program", "d", rollout_id=None, provenance="code"),
        trace("open", "e", "unverifiable"),
        trace("cut", "f", "truncated"),
        right("thoughtless", ""),
        right("closed", "g", steps=["</think>"]),
    ]
    assert chosen(*rows) == {"drawn", "built"}


def test_replies_that_say_the_same_are_one_row_of_orm() -> None:
    rows = [right("r1", "ab"), right("r2", "ab"), right("r3", "ab", question="Other?")]
    assert len(orm(*rows)) == 2
    assert "r3" in chosen(*rows)


def test_a_question_gives_as_many_right_rows_as_wrong_ones_at_most() -> None:
    rows = [right(f"r{i}", f"a{i}") for i in range(9)] + [wrong("w", "b")]
    assert [row["label"] for row in orm(*rows, max_per_question=4)].count(1) == 2
    assert len(orm(*rows, max_per_question=4)) == 3
    other = [right(f"o{i}", f"a{i}", question="Other?") for i in range(9)]
    assert len(orm(*rows, *other, max_per_question=4)) == 5


def test_orm_takes_other_ways_of_thinking_before_a_second_of_one() -> None:
    rows = [wrong(f"w{i}", f"a{i}") for i in range(9)]
    rows += [wrong("other", "xy", factors=["Plan", "Compute"])]
    assert "other" in chosen(*rows, max_per_question=4)


def test_orm_is_shuffled_and_the_order_of_the_traces_does_not_matter() -> None:
    rows = [
        make(f"{q}{mark}{i}", f"{i}", question=f"{q}?", seed_id=f"s{q}")
        for q in range(20)
        for mark, make in (("r", right), ("w", wrong))
        for i in range(3)
    ]
    found_ = orm(*rows)
    assert len(found_) == 120
    assert found_ == orm(*rows[::-1])
    labels = [row["label"] for row in found_]
    assert 15 < sum(labels[:60]) < 45
    assert [row["seed_id"] for row in found_] != sorted(row["seed_id"] for row in found_)


def test_orm_of_nothing_is_empty_and_its_option_is_checked() -> None:
    assert export_orm(Trace.empty()).equals(Orm.empty())
    with pytest.raises(ConfigError, match="max_per_question=1"):
        export_orm(Trace.empty(), max_per_question=1)


# ---- processbench


def bench(
    traces: list[Row], labels: list[Row] | None = None, steps: list[list[Row]] | None = None
) -> list[Row]:
    flat = [row for rows in steps or [] for row in rows]
    frame = export_processbench(
        Trace.from_rows(traces), StepLabel.from_rows(flat), TraceLabel.from_rows(labels or [])
    )
    return frame.to_dicts()


def test_a_processbench_row_has_the_columns_of_the_benchmark_and_the_seed() -> None:
    of = wrong("w", "abc", steps=["a ", "b\n", "c"])
    assert bench([of], [found(of, 1, verified=True)]) == [
        {
            "id": "w",
            "generator": "fake",
            "problem": QUESTION,
            "steps": ["a", "b", "c"],
            "final_answer_correct": False,
            "label": 1,
            "seed_id": "s1",
        }
    ]


def test_only_first_errors_on_which_rollouts_and_judges_agree_are_in_processbench() -> None:
    rows = [wrong("a", "xy"), wrong("b", "xy"), wrong("c", "xy"), right("d", "xy")]
    labels = [found(rows[0], 0, verified=True), found(rows[1], 0), found(rows[3], -1)]
    assert [row["id"] for row in bench(rows, labels)] == ["a"]


def test_sound_traces_have_minus_one_and_a_right_answer_may_hide_an_error() -> None:
    rows = [right("a", "xy"), right("b", "xy"), wrong("c", "xy")]
    labels = [found(rows[0], -1, verified=True), found(rows[1], 1, verified=True)]
    # Wrong without a wrong step: one of the two is mistaken.
    labels += [found(rows[2], -1, verified=True)]
    told = [(row["id"], row["final_answer_correct"], row["label"]) for row in bench(rows, labels)]
    assert told == [("a", True, -1), ("b", True, 1)]


@pytest.mark.parametrize("outcome", ["unverifiable", "truncated"])
def test_traces_that_were_not_judged_are_in_no_benchmark(outcome: str) -> None:
    of = trace("t", "xy", outcome)
    assert bench([of], [found(of, 1, verified=True)], [executed(of, True, False)]) == []


def test_white_space_is_no_step_and_the_label_counts_without_it() -> None:
    of = wrong("w", "a b c")
    rows = bench([of], [found(of, 4, verified=True)])
    assert [(row["steps"], row["label"]) for row in rows] == [(["a", "b", "c"], 2)]
    assert bench([of], [found(of, 3, verified=True)]) == []


def test_a_run_shows_a_first_error_if_every_step_before_it_is_decided() -> None:
    rows = [wrong(id_, "x yz", engine=None, provenance="code") for id_ in "abc"]
    steps = [
        executed(rows[0], True, None, False, False),  # the undecided one is white space
        executed(rows[1], None, None, False, False),
        executed(rows[2], True, None, True, None),
    ]
    told = [(row["id"], row["label"], row["generator"]) for row in bench(rows, [], steps)]
    assert told == [("a", 1, "code")]


def test_a_run_shows_that_a_trace_is_sound_if_it_decides_every_step() -> None:
    rows = [right("a", "xy"), right("b", "xy"), right("c", "xy")]
    steps = [executed(rows[0], True, True), executed(rows[1], True, None)]
    steps += [executed(rows[2], True, True)[:1]]
    assert [(row["id"], row["label"]) for row in bench(rows, [], steps)] == [("a", -1)]


def test_labels_that_rest_on_rollouts_alone_decide_nothing() -> None:
    of = wrong("w", "xy")
    steps = [label(of, 0, hard_label=True, label_source="outcome")]
    steps += [label(of, 1, hard_label=False, label_source="outcome")]
    assert bench([of], [], [steps]) == []


def test_what_a_person_wrote_is_generated_by_human() -> None:
    of = right("r", "x", provenance="human", engine=None, rollout_id=None)
    assert bench([of], [found(of, -1, verified=True)])[0]["generator"] == "human"


def test_processbench_is_in_the_order_of_seeds_whatever_the_order_of_the_traces() -> None:
    rows = [wrong(f"w{i}", "xyz", seed_id=f"s{i % 3}") for i in range(9)]
    labels = [found(row, i % 3, verified=True) for i, row in enumerate(rows)]
    made = bench(rows, labels)
    assert made == bench(rows[::-1], labels[::-1])
    assert [row["id"] for row in made[:3]] == ["w0", "w3", "w6"]


def test_processbench_refuses_labels_of_other_steps() -> None:
    old, new = wrong("w", "xy"), wrong("w", "xz")
    with pytest.raises(PublishError, match=r"1 of 2 step labels.*text='y'"):
        bench([new], [], [executed(old, True, False)])


def test_empty_tables_give_an_empty_valid_processbench() -> None:
    made = export_processbench(Trace.empty(), StepLabel.empty(), TraceLabel.empty())
    assert made.equals(ProcessBench.empty())


# ---- markup in bulk

TAGS = st.sampled_from(["<Think_End>", r"<\ACT_x", r"<\\Think_", "<<ACT_", "<", "\n", "$1"])
TEXTS = st.lists(TAGS | st.text(max_size=5), max_size=4).map("".join)
STEPS = st.lists(st.builds(Step, TEXTS, st.sampled_from(Factor)), max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=4))
def test_markup_in_bulk_is_the_markup_of_each(traces: list[list[Step]]) -> None:
    frame = pl.DataFrame(
        {
            "question": [f"{i}?" for i in range(len(traces))],
            "steps": [[step.text for step in steps] for steps in traces],
            "factors": [[step.factor.value for step in steps] for steps in traces],
        },
        schema_overrides={"steps": pl.List(pl.String), "factors": pl.List(pl.String)},
    )
    assert thought_markup(frame).to_list() == [render_thought(tuple(steps)) for steps in traces]
    assert state_markup(frame).to_list() == [
        prompt_of(TraceModel(f"{i}?", tuple(steps))) for i, steps in enumerate(traces)
    ]
    flat = frame.explode("steps", "factors")
    rendered = flat.select(step_markup("steps", "factors")).to_series().to_list()
    assert rendered == [render_step(step) for steps in traces for step in steps]


def test_an_unknown_factor_is_no_markup() -> None:
    frame = pl.DataFrame({"steps": [["a"]], "factors": [["Dream"]]})
    with pytest.raises(pl.exceptions.InvalidOperationError):
        thought_markup(frame)


# ---- configs


@pytest.mark.parametrize("config", CONFIGS)
def test_every_row_of_every_config_says_its_seed(config: str) -> None:
    found_ = CONFIGS[config]
    rows = found_.contract.empty()
    assert rows.select(found_.seed()).to_series().dtype == pl.String
    assert rows.select(found_.n_chars()).to_series().dtype.is_integer()
