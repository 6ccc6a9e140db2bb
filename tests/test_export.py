"""Export: which rows each consumer gets, in which shape, from hand-made tables."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.errors import ConfigError, PublishError
from datagen.export import export_prm, export_raw_rollouts, export_rl, export_sft
from datagen.factors.taxonomy import Factor
from datagen.traces.markup import parse, render, render_step
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from schemas import (
    CodeTask,
    Correction,
    Prm,
    Probe,
    Question,
    Rl,
    Rollout,
    Seed,
    Sft,
    StepLabel,
    Summary,
    Trace,
)

Row = dict[str, Any]

QUESTION = "How many apples?"


def trace(trace_id: str, steps: list[str], *, factors: str = "", **over: Any) -> Row:
    """A correct trace of a model; ``factors`` has one letter per step (C, R, …)."""
    names = {
        **{"C": "Compute", "R": "RestateGoal", "K": "CheckResult"},
        **{"D": "DetectError", "M": "CorrectError", "A": "Answer"},
    }
    row: Row = {
        "trace_id": trace_id,
        "seed_id": "s1",
        "prefix_id": "s1/0",
        "rollout_id": f"r-{trace_id}",
        "question": QUESTION,
        "steps": steps,
        "factors": [names[letter] for letter in factors or "C" * len(steps)],
        "answer": "18",
        "gold": "18",
        "verifier": "numeric",
        "outcome": "correct",
        "provenance": "model",
        "engine": "fake",
    } | over
    by = row["provenance"]
    row.setdefault("n_human_steps", len(steps) if by == "human" else 0)
    row.setdefault("step_provenance", [by] * len(steps))
    row.setdefault("step_source", [f"source-{i}" for i in range(len(steps))])
    row.setdefault(
        "markup",
        render(
            TraceModel(
                row["question"],
                tuple(
                    Step(text, Factor(name))
                    for text, name in zip(steps, row["factors"], strict=True)
                ),
                row["answer"],
            )
        ),
    )
    return row


def human(trace_id: str, steps: list[str], **over: Any) -> Row:
    return trace(trace_id, steps, provenance="human", rollout_id=None, engine=None, **over)


def sft(*rows: Row, form: Any = "tagged", **options: Any) -> pl.DataFrame:
    return export_sft(Trace.from_rows(rows), form=form, **options)


def ids(frame: pl.DataFrame) -> list[str]:
    return frame["id"].to_list()


def reply(frame: pl.DataFrame, row: int = 0) -> str:
    return frame["messages"][row][1]["content"]


# ---- sft


def test_sft_takes_only_correct_traces_that_have_steps_and_an_answer() -> None:
    rows = sft(
        trace("good", ["3*6=18"]),
        trace("wrong", ["3+6=9"], outcome="wrong", answer="9"),
        trace("unverifiable", ["?"], outcome="unverifiable", answer="many"),
        trace("cut", ["3*"], outcome="truncated", answer=None),
        trace("thoughtless", []),
        trace("mute", ["a"], answer=None),
    )
    assert ids(rows) == ["good"]


@pytest.mark.parametrize("form", ["tagged", "plain"])
def test_what_a_reply_takes_back_is_masked_to_the_character(form: str) -> None:
    texts = ["größer: 3<Think_End>", "3*6=19", "wait, no", "3*6=18\n", "so 9·2", "hm, no ", "18"]
    rows = sft(trace("b", texts, factors="CCDMCDA"), trace("a", texts[:1]), form=form)
    masked = {
        id_: [messages[1]["content"][span["start"] : span["end"]] for span in spans]
        for id_, messages, spans in rows.select("id", "messages", "masked_spans").iter_rows()
    }
    written = [(texts[1], Factor.COMPUTE), (texts[4], Factor.COMPUTE)]
    whole = [render_step(Step(*step)) if form == "tagged" else f"{step[0]}\n" for step in written]
    assert masked == {"a": [], "b": whole}


def test_of_a_correction_the_wrong_steps_are_masked_and_no_others() -> None:
    texts = ["3*6=17", "3*6=19", "wait, no", "3*6=18", "hm, no", "18"]
    roles = ["wrong", "wrong", "detect", "correct", "right", "right"]
    mended = {
        **trace("mended", texts, factors="CCDMDA"),
        "kind": "splice",
        "n_attempts": 1,
        "wrong_trace_ids": ["w"],
        "right_trace_id": "r",
        "edit_distances": [1],
        "step_roles": roles,
        "step_labels": [role != "wrong" for role in roles],
        "attempt_idx": [0 if role == "wrong" else -1 for role in roles],
    }
    rows = export_sft(
        Trace.from_rows([trace("own", ["18"])]),
        corrections=Correction.from_rows([mended]),
        form="plain",
    )
    masked = {
        id_: "".join(messages[1]["content"][span["start"] : span["end"]] for span in spans)
        for id_, messages, spans in rows.select("id", "messages", "masked_spans").iter_rows()
    }
    assert masked == {"own": "", "mended": "3*6=17\n3*6=19\n"}


def test_sft_rows_are_one_question_and_one_reply_and_nothing_else() -> None:
    rows = sft(trace("a", ["3*6=18"]))
    assert rows.columns == ["messages", "id", "seed_id", "masked_spans", "summary"]
    assert rows["masked_spans"].to_list() == [[]]
    assert rows["summary"].to_list() == [None]
    messages = rows["messages"][0].to_list()
    assert [list(message) for message in messages] == [["role", "content"]] * 2
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[0]["content"] == QUESTION


def test_summaries_stand_beside_the_conversation_and_not_in_it() -> None:
    rows = [trace("a", ["3*6=18"]), trace("b", ["6*3=18"]), trace("c", ["6+12=18"])]
    summary = {"seed_id": "s1", "writer": "extract", "n_attempts": 0}
    made = Summary.from_rows(
        [
            {"trace_id": "c", "summary": "Adds. The answer is 18.", **summary},
            {"trace_id": "b", "reason": "too long", **summary},
            {"trace_id": "other", "summary": "Of another trace.", **summary},
        ]
    )
    for form in ("tagged", "plain"):
        found = sft(*rows, form=form, summaries=made)
        assert ids(found) == ["a", "b", "c"]
        assert found["summary"].to_list() == [None, None, "Adds. The answer is 18."]
        assert found.drop("summary").equals(sft(*rows, form=form).drop("summary"))


def test_tagged_form_is_the_markup_as_it_stands() -> None:
    row = trace("a", ["<Think_End> is a tag", "3*6=18"], factors="RC")
    assert reply(sft(row)) == row["markup"]
    assert [step.text for step in parse(reply(sft(row))).steps] == row["steps"]


def test_plain_form_has_the_words_without_escapes() -> None:
    row = trace("a", ["<Think_End> is a tag", "3*6=18"])
    assert reply(sft(row, form="plain")) == (
        "<think>\n<Think_End> is a tag\n3*6=18\n</think>\n\n18"
    )


def test_plain_form_keeps_the_white_space_that_prose_had_between_its_steps() -> None:
    row = human("a", ["Three bags. ", "Six in each.\n\n", "So 18.\n"])
    assert reply(sft(row, form="plain")) == (
        "<think>\nThree bags. Six in each.\n\nSo 18.\n</think>\n\n18"
    )


def test_plain_form_leaves_out_a_thought_that_would_end_early() -> None:
    rows = [trace("bad", ["</think> 17"]), trace("worse", ["x"], answer="18</think>")]
    assert ids(sft(*rows, form="plain")) == []
    assert ids(sft(*rows, form="tagged")) == ["bad", "worse"]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_plain_form_has_one_thought_that_holds_every_step_in_order(steps: list[str]) -> None:
    text = reply(sft(trace("a", steps), form="plain"))
    thought, end, answer = text.removeprefix("<think>\n").partition("\n</think>\n\n")
    assert (end, answer) == ("\n</think>\n\n", "18")
    assert "".join(thought.split()) == "".join("".join(steps).split())


def test_equal_replies_to_a_question_are_one_row_and_the_human_one_stays() -> None:
    rows = [trace("a", ["x"]), trace("b", ["x"]), human("z", ["x"])]
    assert ids(sft(*rows)) == ["z"]
    assert ids(sft(*rows[:2])) == ["a"]


def test_equal_replies_to_different_questions_both_stay() -> None:
    assert ids(sft(trace("a", ["x"]), trace("b", ["x"], question="And pears?"))) == ["a", "b"]


def test_human_traces_come_first_then_other_ways_of_thinking_then_repeats() -> None:
    rows = [
        trace("a", ["1"], factors="C"),
        trace("b", ["2"], factors="C"),
        trace("c", ["3", "4"], factors="RC"),
        trace("d", ["5", "6"], factors="CK"),
        human("z", ["7"], factors="C"),
    ]
    assert ids(sft(*rows)) == ["z", "c", "d", "a"]
    assert ids(sft(*rows, max_per_question=2)) == ["z", "c"]
    assert ids(sft(*rows, max_per_question=9)) == ["z", "c", "d", "a", "b"]


def test_max_per_question_holds_for_a_question_that_two_seeds_ask() -> None:
    rows = [trace("a", ["1"], seed_id="s1"), trace("b", ["2"], seed_id="s2")]
    assert ids(sft(*rows, max_per_question=1)) == ["a"]


@pytest.mark.parametrize("form", ["tagged", "plain"])
def test_the_order_of_the_traces_does_not_matter(form: Any) -> None:
    rows = [
        trace(f"t{i}", [f"{i % 7}"] * (1 + i % 3), seed_id=f"s{i % 4}", question=f"q{i % 4}?")
        for i in range(40)
    ]
    assert sft(*rows, form=form).equals(sft(*reversed(rows), form=form))


def test_a_question_without_correct_traces_gives_an_empty_valid_table() -> None:
    assert Sft.validate(export_sft(Trace.empty(), form="plain")).height == 0


def test_unknown_options_of_sft_are_refused() -> None:
    with pytest.raises(ConfigError, match="form='markdown'"):
        export_sft(Trace.empty(), form="markdown")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="max_per_question=0"):
        export_sft(Trace.empty(), form="plain", max_per_question=0)


# ---- prm


def measured(of: Row, *values: float, first_error: int = -1) -> list[Row]:
    """Labels of a measured trace of these expected shares of right endings."""
    rows = labels(of, *([0.25] * len(values)))
    for idx, (row, value) in enumerate(zip(rows, values, strict=True)):
        row |= {
            "value": value,
            "p_before_error": 0.5,
            "advantage": 0.0,
            "confidence": 0.5,
            "hard_label": first_error < 0 or idx < first_error,
            "label_source": "posterior",
        }
    return rows


def labels(of: Row, *marks: float | bool | None) -> list[Row]:
    """One label per step: a float is a Monte-Carlo value, a bool rests on the outcome alone."""
    return [
        {
            "trace_id": of["trace_id"],
            "seed_id": of["seed_id"],
            "step_idx": i,
            "factor": of["factors"][i],
            "text": of["steps"][i],
            "provenance": of["step_provenance"][i],
            "step_source": of["step_source"][i],
            "n_trials": 8 if isinstance(mark, float) else 0,
            "n_successes": int(mark * 8) if isinstance(mark, float) else 0,
            "mc_value": mark if isinstance(mark, float) else None,
            "hard_label": None if mark is None else mark > 0,
            "label_source": "rollouts"
            if isinstance(mark, float)
            else ("none" if mark is None else "outcome"),
        }
        for i, mark in enumerate(marks)
    ]


def prm(of: list[Row], marks: list[list[Row]], **options: Any) -> list[Row]:
    flat = [row for rows in marks for row in rows]
    frame = export_prm(Trace.from_rows(of), StepLabel.from_rows(flat), **options)
    return Prm.validate(frame).to_dicts()


def test_prm_row_has_prompt_steps_labels_and_scores() -> None:
    row = trace("a", ["One. ", "Two.\n", "Three"], question="Q?  \n\n")
    assert prm([row], [labels(row, 1.0, 0.25, 0.0)]) == [
        {
            "prompt": "Q?\n",
            "completions": ["One.", "Two.", "Three"],
            "labels": [True, True, False],
            "id": "a",
            "seed_id": "s1",
            "step_scores": [1.0, 0.25, 0.0],
        }
    ]


def test_scores_of_measured_traces_are_the_posteriors_values_and_not_bare_shares() -> None:
    rows = [trace("a", ["1", "2", "3"]), trace("b", ["1"])]
    marks = [measured(rows[0], 0.875, 0.125, 0.0, first_error=1), labels(rows[1], 0.5)]
    found = prm(rows, marks)
    assert [row["step_scores"] for row in found] == [[0.875, 0.125, 0.0], [0.5]]
    assert [row["labels"] for row in found] == [[True, False, False], [True]]


def test_scores_of_labels_that_rest_on_the_outcome_are_one_and_zero() -> None:
    row = trace("a", ["1", "2", "3"])
    assert prm([row], [labels(row, 0.5, True, False)])[0]["step_scores"] == [0.5, 1.0, 0.0]


def test_a_row_ends_before_the_first_step_without_a_label() -> None:
    row = trace("a", ["1", "2", "3", "4"])
    assert prm([row], [labels(row, 0.5, 0.5, None, 0.0)])[0]["completions"] == ["1", "2"]


def test_a_step_that_the_label_table_lacks_ends_the_row_too() -> None:
    row = trace("a", ["1", "2", "3"])
    first, _, third = labels(row, 0.5, 0.5, 0.0)
    assert prm([row], [[first, third]])[0]["completions"] == ["1"]


def test_traces_without_a_labelled_first_step_are_left_out() -> None:
    rows = [trace("a", ["1", "2"]), trace("b", ["1"]), trace("c", [])]
    assert prm(rows, [labels(rows[0], None, 0.5)]) == []


def test_labels_behind_the_first_error_are_kept_as_measured_or_dropped() -> None:
    row = trace("a", ["1", "2", "3", "4"], outcome="wrong", answer="9")
    marks = [labels(row, 0.5, 0.0, 0.25, 0.0)]
    assert prm([row], marks)[0]["labels"] == [True, False, True, False]
    dropped = prm([row], marks, after_first_error="drop")[0]
    assert (dropped["completions"], dropped["labels"]) == (["1", "2"], [True, False])


def test_errors_of_one_trace_do_not_shorten_the_next() -> None:
    rows = [trace("a", ["1", "2"]), trace("b", ["3", "4"])]
    marks = [labels(rows[0], 0.0, None), labels(rows[1], 0.5, 0.0)]
    found = prm(rows, marks, after_first_error="drop")
    assert [row["labels"] for row in found] == [[False], [True, False]]


def test_blank_steps_carry_no_label() -> None:
    row = trace("a", ["1", " \n", "3"])
    found = prm([row], [labels(row, 0.5, None, 0.0)])[0]
    assert (found["completions"], found["labels"]) == (["1", "3"], [True, False])


def test_labels_of_other_traces_are_ignored() -> None:
    here, gone = trace("a", ["1"]), trace("gone", ["1"])
    assert [row["id"] for row in prm([here], [labels(gone, 0.5), labels(here, 0.5)])] == ["a"]


@pytest.mark.parametrize("steps", [["1", "other"], ["1"]])
def test_labels_of_other_steps_are_refused(steps: list[str]) -> None:
    old, new = trace("a", ["1", "2"]), trace("a", steps)
    with pytest.raises(PublishError, match=r"1 of 2 step labels.*step_idx=1 text='2'"):
        prm([new], [labels(old, 0.5, 0.5)])


def test_the_order_of_traces_and_labels_does_not_matter_to_prm() -> None:
    rows = [trace(f"t{i}", ["x"] * (1 + i % 4), seed_id=f"s{i % 3}") for i in range(20)]
    marks = [labels(row, *[0.5] * len(row["steps"])) for row in rows]
    assert prm(rows, marks) == prm(rows[::-1], [mark[::-1] for mark in marks[::-1]])


def test_empty_tables_give_an_empty_valid_prm_table() -> None:
    assert Prm.validate(export_prm(Trace.empty(), StepLabel.empty())).height == 0


def test_unknown_options_of_prm_are_refused() -> None:
    with pytest.raises(ConfigError, match="after_first_error='cut'"):
        export_prm(Trace.empty(), StepLabel.empty(), after_first_error="cut")  # pyright: ignore[reportArgumentType]


# ---- rl


def seed(seed_id: str, answer: str = "18", verifier: str = "numeric", **over: Any) -> Row:
    return {
        "seed_id": seed_id,
        "source": "openai/gsm8k",
        "license": "MIT",
        "domain": "math",
        "question": f"Question {seed_id}?",
        "thought": "3*6=18",
        "steps": ["3*6=18"],
        "factors": ["Compute"],
        "answer": answer,
        "verifier": verifier,
        "facts": [],
        "meta": "{}",
    } | over


def rollout(seed_id: str, outcome: str, *, key: str, given: int = 0, by: str = "puct") -> Row:
    return {
        "rollout_id": f"{key}/{by}/{given}",
        "prefix_id": f"{seed_id}/{given}",
        "seed_id": seed_id,
        "node_id": None,
        "algorithm": by,
        "sample_idx": 0,
        "n_given_steps": given,
        "steps": ["x"] * (given + 1),
        "factors": ["Compute"] * (given + 1),
        "step_source": ["source"] * (given + 1),
        "step_n_tokens": [1],
        "step_min_logprob": [None],
        "sloppy": False,
        "tail": "",
        "answer": "18" if outcome in ("correct", "wrong") else None,
        "gold": "18",
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "",
        "n_tokens": 1,
        "temperature": 1.0,
        "engine": "fake",
        "completion_key": key,
    }


def question(question_id: str, pass_rate: float | None = None, **over: Any) -> Row:
    bins = {None: "unknown", 0.0: "unsolved", 0.25: "hard", 0.5: "medium", 1.0: "solved"}
    return {
        "question_id": question_id,
        "seed_id": question_id,
        "domain": "math",
        "split": "train",
        "n_words": 2,
        "language": None,
        "pass_rate": pass_rate,
        "n_rollouts": 0 if pass_rate is None else 8,
        "difficulty": bins[pass_rate],
    } | over


def rl(
    seeds: list[Row],
    questions: list[Row] | None = None,
    tasks: list[Row] | None = None,
    **options: Any,
) -> list[Row]:
    """Rows of these seeds; all are for training, and unmeasured, unless ``questions`` says else."""
    asked = [question(row["seed_id"]) for row in seeds] if questions is None else questions
    frame = export_rl(
        Seed.from_rows(seeds), Question.from_rows(asked), CodeTask.from_rows(tasks or []), **options
    )
    return Rl.validate(frame).to_dicts()


def test_rl_row_says_the_gold_to_every_kind_of_trainer() -> None:
    assert rl([seed("a")]) == [
        {
            "prompt": [{"role": "user", "content": "Question a?"}],
            "solution": "$18$",
            "answer": "18",
            "data_source": "datagen/openai-gsm8k",
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "18", "verifier": "numeric"},
            "extra_info": {
                "index": 0,
                "split": "train",
                "seed_id": "a",
                "verifier": "numeric",
                "pass_rate": None,
                "n_rollouts": 0,
                "difficulty": "unknown",
            },
        }
    ]


def test_rl_rows_say_how_hard_their_question_is() -> None:
    info = rl([seed("a")], [question("other", 1.0), question("a", 0.25)])[0]["extra_info"]
    assert (info["pass_rate"], info["n_rollouts"], info["difficulty"]) == (0.25, 8, "hard")


def test_questions_of_other_difficulties_are_left_out_and_not_counted() -> None:
    asked = [question("a", 0.0), question("b", 0.5), question("c")]
    rows = rl([seed(id_) for id_ in "abc"], asked, difficulties=("medium", "unknown"))
    assert [row["extra_info"]["seed_id"] for row in rows] == ["b", "c"]
    assert [row["extra_info"]["index"] for row in rows] == [0, 1]


def test_the_index_counts_the_rows_of_each_split_from_0() -> None:
    splits = {"a": "train", "b": "test", "c": "train", "d": "test", "e": "test"}
    rows = rl([seed(id_) for id_ in splits], [question(i, split=s) for i, s in splits.items()])
    assert [(row["extra_info"]["split"], row["extra_info"]["index"]) for row in rows] == [
        *(("train", 0), ("test", 0), ("train", 1), ("test", 1), ("test", 2))
    ]


def test_a_task_about_code_has_the_split_of_its_own_row_of_questions() -> None:
    task = {
        "task_id": "double/output.0",
        "seed_id": "double",
        "source": "functions.jsonl",
        "license": "MIT",
        "kind": "output",
        "question": "What does double(3) return?",
        "steps": [],
        "factors": [],
        "answer": "6",
        "gold": "6",
        "verifier": "python_output",
    }
    about = {"seed_id": "double", "domain": "code", "split": "test"}
    asked = [question("double", **about), question("double/output.0", 0.5, **about)]
    (row,) = rl([], asked, [task])
    info = row["extra_info"]
    assert (info["seed_id"], info["split"]) == ("double/output.0", "test")
    assert (row["ability"], info["pass_rate"]) == ("code", 0.5)


def test_a_seed_that_is_not_among_the_questions_is_refused() -> None:
    seeds = [seed(id_) for id_ in "abc"]
    with pytest.raises(PublishError, match=r"2 of 3 seeds and tasks .* first: 'b'"):
        rl(seeds, [question("a")])
    assert len(rl([*seeds, seed("d", "?? no gold")], [question(id_) for id_ in "abc"])) == 3


def test_seeds_whose_gold_cannot_be_verified_are_left_out_and_the_rest_counted_on() -> None:
    rows = rl(
        [
            seed("c", "it depends on the weather"),
            seed("b", "7"),
            seed("a", "18"),
            seed("d", "no letter", "choice"),
        ]
    )
    assert [row["extra_info"]["seed_id"] for row in rows] == ["a", "b"]
    assert [row["extra_info"]["index"] for row in rows] == [0, 1]


GOLDS = [
    ("18", "numeric", "$18$", r"\boxed{18}"),
    ("$18$", "math", "$18$", r"\boxed{18}"),
    ("$$18$$", "math", "$18$", r"\boxed{18}"),
    (r"\(18\)", "math", "$18$", r"\boxed{18}"),
    ("$5", "math", "$5$", r"\boxed{5}"),
    (r"\$5", "math", r"$\$5$", r"\boxed{5}"),
    (r"(1,2)", "math", "$(1,2)$", r"\boxed{(1,2)}"),
    ("even", "exact", r"$\text{even}$", r"\boxed{\text{even}}"),
    (r"\text{even}", "exact", r"$\text{even}$", r"\boxed{\text{even}}"),
    ("B) 15 cm", "choice", r"$\text{B}$", r"\boxed{B}"),
]


def test_solution_is_delimited_once_and_math_verify_reads_it() -> None:
    from math_verify import parse as read
    from math_verify import verify

    seeds = [seed(f"{i:02}", gold, verifier) for i, (gold, verifier, *_) in enumerate(GOLDS)]
    rows = rl(seeds)
    assert [row["solution"] for row in rows] == [solution for _, _, solution, _ in GOLDS]
    assert [row["answer"] for row in rows] == [gold for gold, *_ in GOLDS]
    for row, (*_, said) in zip(rows, GOLDS, strict=True):
        gold = read(row["solution"], parsing_timeout=None)
        assert verify(gold, read(said, parsing_timeout=None), timeout_seconds=None), row["solution"]


@pytest.mark.parametrize(
    ("source", "slug"),
    [("My Seeds (v2).jsonl", "my-seeds-v2-.jsonl"), ("数学", "数学"), ("///", "unknown")],
)
def test_data_source_is_a_slug_of_the_source(source: str, slug: str) -> None:
    assert rl([seed("a", source=source)])[0]["data_source"] == f"datagen/{slug}"


def test_no_seeds_give_an_empty_valid_rl_table() -> None:
    assert rl([]) == []


# ---- rollouts


def test_raw_rollouts_are_all_completions_with_their_questions() -> None:
    drawn = Rollout.from_rows(
        [rollout("b", "wrong", key="k2"), rollout("a", "unverifiable", key="k1")]
    )
    shared = rollout("b", "wrong", key="k2")
    probe = rollout("a", "truncated", key="k3", given=1, by="first_error")
    stray = rollout("gone", "correct", key="k4")
    probes = Probe.from_rows([probe, shared, stray])
    frame = export_raw_rollouts(Seed.from_rows([seed("a"), seed("b"), seed("c")]), drawn, probes)
    assert frame.select("question", "completion_key", "outcome", "algorithm").rows() == [
        ("Question a?", "k1", "unverifiable", "puct"),
        ("Question a?", "k3", "truncated", "first_error"),
        ("Question b?", "k2", "wrong", "puct"),
    ]
