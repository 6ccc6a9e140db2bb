"""What Dagster shows of the tables: pictures, tables of figures, and rows as text."""

import base64
import io
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import dagster as dg
import polars as pl
import pytest
from PIL import Image
from report_tables import LABELS, NODES, decision, rollout, run_tables
from review_tables import step_labels_of, trace, trace_label

from assets.metadata import (
    counts,
    described,
    engine_work,
    picture,
    row_counts,
    sample,
    sample_rows,
    work_table,
)
from datagen.pictures import (
    Picture,
    factor_mix,
    label_reliability,
    outcomes_by_start,
    pass_rate_histogram,
    stage_work,
    thought_reliability,
    tree_shape,
    value_by_step,
)
from datagen.report.positions import by_position, by_progress
from datagen.report.work import Work
from datagen.search.budget import Progress
from datagen.show.samples import (
    benchmark_samples,
    chat_samples,
    correction_samples,
    labelled_samples,
    rollout_samples,
    row_samples,
    thought_samples,
    trace_samples,
    tree_sample,
)
from schemas import (
    Correction,
    Node,
    Prm,
    ProcessBench,
    Rollout,
    Sft,
    StepLabel,
    Trace,
    TraceLabel,
)

HOSTILE = (
    "x\n```\n![x](http://evil.example/x.png) <b> | $x^2$ \x1b[31m & \u202e _a_ [b](javascript:0)"
)
WORK = Work(2_000, 90_000, 60_000, 40, 2, 0.5, 30.0, False)

Tables = dict[str, pl.DataFrame]
Draw = Callable[[Tables], Picture | None]

DRAWN: dict[str, Draw] = {
    "value_by_step": lambda of: value_by_step(of["reviewed_step_labels"], of["trace_labels"]),
    "label_reliability": lambda of: label_reliability(of["trace_labels"], of["decisions"]),
    "thought_reliability": lambda of: thought_reliability(of["code_thoughts"]),
    "factor_mix": lambda of: factor_mix(of["traces"]),
    "pass_rate_histogram": lambda of: pass_rate_histogram(of["questions"]),
    "outcomes_by_start": lambda of: outcomes_by_start(of["rollouts"]),
    "tree_shape": lambda of: tree_shape(of["nodes"]),
}
WRITTEN: dict[str, Callable[[Tables], str]] = {
    "traces": lambda of: trace_samples(
        of["traces"], step_labels=of["reviewed_step_labels"], trace_labels=of["trace_labels"]
    ),
    "rollouts": lambda of: rollout_samples(of["rollouts"], of["prefixes"]),
    "tree": lambda of: tree_sample(of["nodes"], of["rollouts"], of["prefixes"]),
    "thoughts": lambda of: thought_samples(of["code_thoughts"], of["executions"]),
    "prm": lambda of: labelled_samples(of["prm"]),
    "any": lambda of: row_samples(of["seeds"]),
}


@cache
def tables(text: str = "How many?") -> Tables:
    """A small run; positions have the three steps that a mean needs."""
    labels = [*LABELS, *(trace_label(f"w{n}", [0.9, 0.1, 0.0]) for n in range(3))]
    found = run_tables(text, labels=labels, decisions=[decision("t1", 1, is_random=True)])
    asked = {"traces": pl.lit(text).alias("question"), "prm": pl.lit(f"{text}\n").alias("prompt")}
    return found | {name: found[name].with_columns(column) for name, column in asked.items()}


@cache
def drawn(name: str) -> Picture | None:
    """Drawing takes a while."""
    return DRAWN[name](tables())


def pixels(found: Picture | None) -> Image.Image:
    assert found is not None
    return Image.open(io.BytesIO(found.png))


def markdown(value: Any) -> str:
    assert isinstance(value, dg.MarkdownMetadataValue)
    return value.md_str or ""


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.slow
def test_a_picture_is_a_small_png_that_fits_a_dialog(name: str) -> None:
    found = drawn(name)
    assert found is not None
    image = pixels(found)
    assert image.format == "PNG"
    assert image.width == 780
    assert 150 <= image.height <= 800
    assert len(found.markdown()) < 40_000
    assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert re.search(r"\(n = [\d,]+", found.title)
    assert len(found.told) > 40


def test_equal_tables_give_an_equal_picture() -> None:
    assert DRAWN["tree_shape"](tables()) == drawn("tree_shape")


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_drawn_of_empty_tables(name: str) -> None:
    assert DRAWN[name]({name: table.clear() for name, table in tables().items()}) is None


@pytest.mark.parametrize("name", DRAWN)
def test_a_single_row_can_be_drawn(name: str) -> None:
    found = DRAWN[name]({name: table.head(1) for name, table in tables().items()})
    # One step is too few for a mean, and a root alone has no shape.
    assert (found is None) == (name in ("value_by_step", "tree_shape"))


def test_pictures_differ_when_the_data_does() -> None:
    traces = Trace.from_rows([trace("a"), trace("b", outcome="correct")])
    other = Trace.from_rows(
        [trace("a"), trace("b", outcome="correct", factors=["Plan", *["Compute"] * 3])]
    )
    assert pixels(factor_mix(traces)).tobytes() != pixels(factor_mix(other)).tobytes()

    def outcomes(*found: str) -> Picture | None:
        rows = [rollout(n, outcome) for n, outcome in enumerate(found)]
        return outcomes_by_start(Rollout.from_rows(rows))

    assert pixels(outcomes("correct", "wrong")).tobytes() != pixels(outcomes("wrong")).tobytes()
    dearer = Work(2_000, 90_000, 60_000, 40, 2, 5.0, 30.0, False)
    one, two = (stage_work({"search": WORK, "labels": did}) for did in (WORK, dearer))
    assert pixels(one).tobytes() != pixels(two).tobytes()


def test_names_of_factors_are_drawn_as_text_whatever_they_hold() -> None:
    for name in (HOSTILE, r"$\frac{1}{$", "a" * 5_000):
        found = factor_mix(Trace.from_rows([trace("a", factors=[name, "Plan", "Plan", name])]))
        assert pixels(found).width == 780
        assert "![" not in re.sub(r"`[^`]*`", "", found.told if found else "")


def test_a_picture_of_very_many_positions_stays_small() -> None:
    n = 400
    long = {"steps": ["x"] * n, "factors": [f"F{k}" for k in range(n)], "step_source": ["k"] * n}
    spent = {"step_n_tokens": [], "step_min_logprob": []}
    rows = [rollout(k, "wrong") | long | spent | {"n_given_steps": n} for k in range(3)]
    deep = [*NODES, NODES[-1] | {"node_id": "deep", "depth": n}]
    for found in (
        outcomes_by_start(Rollout.from_rows(rows)),
        tree_shape(Node.from_rows(deep)),
        factor_mix(Trace.from_rows([trace("a", n_steps=n) | long])),
    ):
        assert found is not None
        assert len(found.markdown()) < 40_000


def test_values_are_averaged_by_number_and_by_part_of_the_trace() -> None:
    labels = [trace_label(f"short{n}", [0.0, 1.0, 0.0]) for n in range(3)]
    labels += [trace_label(f"long{n}", [0.0] * 8 + [1.0], outcome="correct") for n in range(3)]
    steps = StepLabel.from_rows(
        row | {"value": (row["step_idx"] + 1) / 8} for row in step_labels_of(labels)
    )
    by_number = by_position(steps, TraceLabel.from_rows(labels))
    assert [(at.position, at.mean, at.n) for at in by_number["wrong"]] == [
        (1, 0.125, 3),
        (2, 0.25, 3),
    ]
    by_part = by_progress(steps, TraceLabel.from_rows(labels))
    assert [at.position for at in by_part["wrong"]] == [5, 10]
    assert [at.position for at in by_part["correct"]] == [2, 3, 4, 5, 7, 8, 9, 10]
    assert by_part["correct"][-1].mean == 1.0
    before = by_progress(steps, TraceLabel.from_rows(labels), measure="p_before_error")
    assert [at.mean for at in before["wrong"]] == [1.0, 0.0]


def test_pictures_say_what_there_is_to_see() -> None:
    told = {name: found.told for name in DRAWN if (found := drawn(name))}
    assert "Wrong traces begin at a mean value of 0.25" in told["value_by_step"]
    assert "1 of 2 traces with a verdict" in told["label_reliability"]
    assert "By people's word on 4 steps of traces drawn at random" in told["label_reliability"]
    assert "Never solved: 1; always: 0" in told["pass_rate_histogram"]
    assert "60 % end right" in told["outcomes_by_start"]
    assert "`Compute`, 100 % of all steps" in told["factor_mix"]
    assert "depth of 2 at most; 75 % of the steps" in told["tree_shape"]


def test_work_is_drawn_with_its_cost_only_where_there_are_prices() -> None:
    free = Work(2_000, 90_000, 60_000, 40, 2, 0.0, 30.0, False)
    paid, unpaid = stage_work({"search": WORK}), stage_work({"search": free})
    assert paid is not None and unpaid is not None
    assert "at a cost of 0.50; 67 % of the prompt tokens" in paid.told
    assert "cost" not in unpaid.told
    assert stage_work({"tags": Work(0, 0, 0, 0, 0, 0.0, 0.0, False)}) is None


def test_a_picture_in_metadata_is_an_image_without_an_address() -> None:
    shown = markdown(picture(factor_mix, tables()["traces"]))
    found = re.match(r"!\[[^\]]*\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)\n\n\S", shown)
    assert found is not None
    assert Image.open(io.BytesIO(base64.b64decode(found[1]))).width == 780


def test_what_cannot_be_drawn_is_said_and_fails_nothing() -> None:
    def broken() -> Picture:
        raise ValueError(HOSTILE)

    shown = markdown(picture(broken))
    assert shown.startswith("Not shown, since it failed: ValueError")
    assert "![" not in shown
    assert "\n" not in shown
    assert markdown(picture(factor_mix, Trace.empty())) == "There is nothing to draw yet."
    assert "failed" in markdown(sample(trace_samples, pl.DataFrame({"other": [1]})))


def test_counts_are_a_table_with_shares_most_frequent_first() -> None:
    frame = pl.DataFrame({"kind": ["b", "z", HOSTILE, "b", None]})
    shown = counts(frame, "kind")
    assert [record.data for record in shown.records][:2] == [
        {"kind": "b", "rows": 2, "share": 0.4},
        {"kind": HOSTILE.replace("\n", " ⏎ "), "rows": 1, "share": 0.2},
    ]
    assert [column.name for column in shown.schema.columns] == ["kind", "rows", "share"]
    assert counts(frame.clear(), "kind").records == []
    many = counts(pl.DataFrame({"kind": range(1_000)}), "kind")
    assert len(many.records) == 60
    assert [r.data["kind"] for r in counts(pl.DataFrame({"kind": [True]}), "kind").records] == [
        "true"
    ]


def test_the_work_of_all_stages_is_a_table_with_a_sum() -> None:
    shown = work_table({"search": WORK, "labels": WORK, "tags": Work.total([])})
    rows = [record.data for record in shown.records]
    assert [row["stage"] for row in rows] == ["Search", "First errors", "all"]
    assert rows[-1]["tokens"] == 4_000
    assert rows[-1]["cached share"] == 0.6667
    assert rows[-1]["cost"] == 1.0
    assert [column.name for column in shown.schema.columns] == list(rows[0])
    assert work_table({}).records == []


def test_rows_by_dataset_are_a_table() -> None:
    assert [record.data for record in row_counts({"sft": 3, "prm": 2}).records] == [
        {"dataset": "sft", "rows": 3},
        {"dataset": "prm", "rows": 2},
    ]


def test_figures_that_dagster_draws_over_time_are_numbers() -> None:
    shown = engine_work(Progress(n_tokens=10, seconds=2.0, n_generated=3))
    assert shown["tokens_per_s"] == 5.0
    assert all(isinstance(value, int | float) for value in shown.values())


def test_narrow_rows_are_a_table_and_wide_ones_are_written_out() -> None:
    frame = pl.DataFrame({"rule": ["twin", None], "n": [1, 2], "ids": [["a", "b"], []]})
    narrow = sample_rows(frame, ["rule", "n"])
    assert isinstance(narrow, dg.TableMetadataValue)
    assert [record.data for record in narrow.records] == [
        {"rule": "twin", "n": 1},
        {"rule": None, "n": 2},
    ]
    written = markdown(sample_rows(frame, ["n", "ids"]))
    assert re.search(r"^ids +0  a\n +1  b$", written, re.MULTILINE)
    long = frame.with_columns(rule=pl.lit("why " * 30))
    assert "rule  why why" in markdown(sample_rows(long, ["rule"]))


def test_a_description_has_rows_unless_a_better_sample_is_given() -> None:
    frame = pl.DataFrame({"a": [1]})
    assert described(frame, "a")["dagster/row_count"] == 1
    assert described(frame, "a")["sample"].records[0].data == {"a": 1}
    assert described(frame, "a", sample="better")["sample"] == "better"
    assert "sample" not in described(frame.clear(), "a")


@pytest.mark.parametrize("name", WRITTEN)
def test_samples_are_blocks_that_no_text_can_end(name: str) -> None:
    shown = WRITTEN[name](tables(HOSTILE))
    inside = None
    for line in shown.split("\n"):
        assert line.isprintable()
        if inside is None:
            if line:
                fence = re.fullmatch(r"(`{3,})text", line)
                assert fence is not None, line
                inside = fence[1]
        elif line.strip() == inside:
            inside = None
        else:
            assert not line.lstrip().startswith(inside)
            assert len(line) <= 110
    assert inside is None
    assert "evil.example" in shown


@pytest.mark.parametrize("name", WRITTEN)
def test_samples_of_empty_tables_say_so(name: str) -> None:
    empty = {name: table.clear() for name, table in tables().items()}
    assert WRITTEN[name](empty) == "There is no row."


def test_a_trace_is_written_with_a_line_for_each_step_and_its_outcome() -> None:
    shown = WRITTEN["traces"](tables())
    assert re.search(r"^0 +model +Compute +step 0 of t1 .* 95% .*✓ 95%$", shown, re.MULTILINE)
    assert re.search(r"^1 +model +Compute +step 1 of t1 .*✗ 95%$", shown, re.MULTILINE)
    assert "outcome      ✗ wrong: answer 4, gold 5" in shown


def test_samples_are_two_right_and_one_wrong_of_different_seeds() -> None:
    right = [trace(name, outcome="correct", seed_id="s") for name in ("a", "b")]
    rows = [*right, trace("c", outcome="correct"), trace("d"), trace("e")]
    shown = trace_samples(Trace.from_rows(rows))
    assert re.findall(r"^trace (\w)", shown, re.MULTILINE) == ["a", "c", "d"]


def test_traces_that_models_wrote_are_shown_before_those_of_people() -> None:
    human = [trace(f"h{n}", outcome="correct", provenance="human") for n in range(2)]
    shown = trace_samples(Trace.from_rows([*human, trace("m", outcome="correct")]))
    assert re.findall(r"^trace (\w+)", shown, re.MULTILINE) == ["m", "h0"]


def test_a_long_text_is_cut_and_the_outcome_stays() -> None:
    steps = ["so " * 60_000, *["x"] * 199]
    shown = trace_samples(Trace.from_rows([trace("a", n_steps=200, steps=steps)]))
    assert len(shown) < 8_000
    assert "more lines …" in shown
    assert "outcome  ✗ wrong" in shown


def test_code_stands_beside_its_run_and_claims_below_their_step() -> None:
    shown = WRITTEN["thoughts"](tables("total = 0"))
    assert re.search(r"program +run of", shown)
    assert "✗ not verified" in shown and "✓ verified" in shown


def test_rows_for_reward_models_are_written_with_their_labels() -> None:
    row = {"prompt": "How many?\n", "seed_id": "s", "completions": ["one", "two", "three"]}
    scores = {"step_scores": [0.9, 0.2, 0.1]}
    good = row | scores | {"id": "good", "labels": [True] * 3}
    bad = row | scores | {"id": "bad", "labels": [True, False, False]}
    shown = labelled_samples(Prm.from_rows([bad, good]))
    assert re.findall(r"^row (\w+)", shown, re.MULTILINE) == ["good", "bad"]
    assert re.search(r"^1 +two +✗ +0\.20$", shown, re.MULTILINE)
    assert "the first bad step is 1" in shown
    assert "factor" not in shown


def test_benchmark_rows_are_written_with_their_first_error() -> None:
    row = {"generator": "toy", "problem": "How many?", "steps": ["one", "two"], "seed_id": "s"}
    rows = [
        row | {"id": "a", "final_answer_correct": False, "label": 1},
        row | {"id": "b", "final_answer_correct": True, "label": -1},
    ]
    shown = benchmark_samples(ProcessBench.from_rows(rows))
    assert re.findall(r"^row (\w+)", shown, re.MULTILINE) == ["b", "a"]
    assert re.search(r"^1 +two +✗ first error$", shown, re.MULTILINE)


def test_conversations_are_written_as_they_are_said() -> None:
    said = "<Think_Start>\n<ACT_Plan-Start> add <ACT_Plan-End>\n<Think_End>\n18"
    messages = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": said}]
    row = {"id": "a", "seed_id": "s", "messages": messages, "summary": "In short."}
    rows = [row | {"masked_spans": []}]
    shown = chat_samples(Sft.from_rows(rows))
    assert re.search(r"^user +How many\?$", shown, re.MULTILINE)
    assert re.search(r"^ +<ACT_Plan-Start> add <ACT_Plan-End>$", shown, re.MULTILINE)
    assert re.search(r"^summary +In short\.$", shown, re.MULTILINE)


def test_cells_are_written_by_what_they_hold() -> None:
    said = [{"role": "user", "content": "How\nmany?"}, {"role": "assistant", "content": "18"}]
    row = {"said": said, "gold": {"low": 1}, "p": 0.123456, "none": None, "good": True}
    written = row_samples(pl.DataFrame([row])).split("\n")[1:-1]
    assert [re.split(r" {2,}", line.strip()) for line in written] == [
        ["said", "user: How"],
        ["many?"],
        ["assistant: 18"],
        ["gold", '{"low": 1}'],
        ["p", "0.1235"],
        ["none", "–"],
        ["good", "True"],
    ]


def test_the_factor_mix_takes_the_word_of_the_tags() -> None:
    traces = Trace.from_rows([trace("a", n_steps=1)])
    tags = pl.DataFrame({"trace_id": ["a"], "step_idx": [0], "factor": ["Plan"]})
    own, tagged = factor_mix(traces), factor_mix(traces, tags)
    assert own is not None and tagged is not None
    assert ("`Compute`" in own.told, "`Plan`" in tagged.told) == (True, True)


def test_corrections_are_written_with_the_part_of_each_step() -> None:
    row = trace("a", outcome="correct", node_id=None) | {
        "kind": "splice",
        "n_attempts": 1,
        "wrong_trace_ids": ["w"],
        "right_trace_id": "r",
        "edit_distances": [1],
        "step_roles": ["right", "wrong", "detect", "right"],
        "step_labels": [True, False, None, True],
        "attempt_idx": [-1, 0, -1, -1],
    }
    shown = correction_samples(Correction.from_rows([row]))
    assert re.search(r"^1 +Compute +step 1 of a +wrong +✗$", shown, re.MULTILINE)
    assert re.search(r"^2 +Compute +step 2 of a +detect +\?$", shown, re.MULTILINE)
    assert "splice, 1 wrong attempt in it" in shown
    assert correction_samples(Correction.empty()) == "There is no row."
