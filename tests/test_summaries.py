"""Summaries of hidden thoughts: what is refused and asked for again, and what rules pick out."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import CompletionRequest, flat_text
from datagen.errors import ConfigError, EngineError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal, journal_key
from datagen.prompts.dialect import INSTRUCT, NATIVE
from datagen.search.budget import Budget
from datagen.seeds import read_seeds
from datagen.summaries import SummaryConfig, summarise_traces
from datagen.summaries.check import problem_of
from datagen.traces.assemble import assemble_traces, trace_row
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from schemas import Prefix, Rollout, Summary, Trace

STEPS = [
    (Factor.RESTATE_GOAL, "find how many apples Tom has in all of his bags"),
    (Factor.PLAN, "times 6, add 4"),
    (Factor.COMPUTE, "3*6=19"),
    (Factor.DETECT_ERROR, "wait, 3*6 is not 19 at all"),
    (Factor.CORRECT_ERROR, "3*6=18"),
    (Factor.COMPUTE, "18+4=22"),
    (Factor.ANSWER, "22"),
]
GOOD = "Counts the apples in the bags and adds the rest. The answer is 22."
ASKED = SummaryConfig(dialect=INSTRUCT)


def row(trace_id: str = "t", **over: Any) -> dict[str, Any]:
    trace = TraceModel("How many?", tuple(Step(text, factor) for factor, text in STEPS), "22")
    fields = {
        "seed_id": "s",
        "prefix_id": "s@0",
        "rollout_id": f"r-{trace_id}",
        "step_source": ["k"] * len(STEPS),
        "n_human_steps": 0,
        "gold": "22",
        "verifier": "numeric",
        "outcome": "correct",
        "provenance": "model",
        "engine": "fake",
    }
    return trace_row(trace, **fields) | {"trace_id": trace_id} | over


def summarised(
    engine: FakeEngine,
    *rows: dict[str, Any],
    config: SummaryConfig = ASKED,
    path: Path | str = ":memory:",
    **options: Any,
) -> pl.DataFrame:
    traces = Trace.from_rows(rows or [row()])
    with Journal(path) as journal:
        return summarise_traces(traces, engine, journal, config=config, **options).summaries


def writing(*texts: str) -> FakeEngine:
    """Writes one text after the other, by sample."""
    return FakeEngine(lambda request: texts[request.sample_idx])


def asked(engine: FakeEngine) -> list[CompletionRequest]:
    return [r for batch in engine.batches for r in batch if isinstance(r, CompletionRequest)]


# ---- what is refused

THOUGHT = " ".join(text for _, text in STEPS)


@pytest.mark.parametrize(
    ("summary", "reason"),
    [
        (GOOD, None),
        ("It counts. \\boxed{22}", None),
        (None, "cut off"),
        ("<ACT_Compute-Start> 18+4 <ACT_Compute-End> The answer is 22.", "markup '<ACT_'"),
        ("<\\Think_Start> The answer is 22.", "markup"),
        ("<think>Counting.</think> The answer is 22.", "markup '<think'"),
        ("Counting.</think> The answer is 22.", "markup '</think'"),
        ("[Compute] adds. The answer is 22.", "markup '[Compute]'"),
        ("First [restate goal], then adds. The answer is 22.", "markup '[restate goal]'"),
        ("After ExtractGivens it adds. The answer is 22.", "markup 'ExtractGivens'"),
        ("It counts the apples. The answer is 23.", "states '23', not '22'"),
        ("It counts the apples in all bags.", "states no answer"),
        (" ".join(["so"] * 30) + ". The answer is 22.", "34 words, more than 30"),
        (" ".join(["so"] * 22) + ". The answer is 22.", "no fewer than the thought's 26"),
        ("It plans, computes and checks [sic]. The answer is 22.", None),
    ],
)
def test_a_summary_is_refused_for_markup_length_or_another_answer(
    summary: str | None, reason: str | None
) -> None:
    problem = problem_of(summary, THOUGHT, "22", verifier="numeric", max_words=30)
    assert (problem is None) == (reason is None)
    assert reason is None or (problem is not None and reason in problem)


def test_an_answer_that_is_code_need_not_be_stated() -> None:
    text = "It doubles the number."
    assert problem_of(text, THOUGHT, "{}", verifier="python", max_words=30) is None
    assert problem_of(text, THOUGHT, "2", verifier="exact", max_words=30) is not None


# ---- a model


def test_a_refused_summary_is_asked_for_again_with_another_sample() -> None:
    engine = writing("[Compute] The answer is 22.", "The answer is 23.", GOOD)
    (found,) = summarised(engine).to_dicts()
    Summary.validate(pl.DataFrame([found], schema=Summary.polars_schema()))
    requests = asked(engine)
    assert [request.sample_idx for request in requests] == [0, 1, 2]
    assert found == {
        "trace_id": "t",
        "seed_id": "s",
        "summary": GOOD,
        "writer": "model",
        "n_attempts": 3,
        "reason": None,
        "completion_key": journal_key("fake", requests[2]),
        "engine": "fake",
    }


def test_a_summary_that_passes_is_asked_for_once() -> None:
    engine = writing(GOOD)
    assert summarised(engine)["n_attempts"].to_list() == [1]
    (request,) = asked(engine)
    assert "times 6, add 4" in flat_text(request.prompt)
    assert request.sampling == ASKED.sampling


def test_what_never_passes_stays_in_the_table_with_the_last_reason() -> None:
    engine = writing(*["The answer is 23."] * 2)
    (found,) = summarised(engine, config=SummaryConfig(dialect=INSTRUCT, max_attempts=2)).to_dicts()
    assert (found["summary"], found["n_attempts"], found["completion_key"]) == (None, 2, None)
    assert found["engine"] == "fake"
    assert "states '23'" in found["reason"]


def test_a_summary_that_was_cut_off_is_asked_for_again() -> None:
    long = "It goes on. " * 2000
    assert summarised(writing(long, GOOD))["n_attempts"].to_list() == [2]


def test_only_correct_traces_with_an_answer_are_summarised() -> None:
    rows = [
        row("wrong", outcome="wrong"),
        row("open", outcome="unverifiable"),
        row("good"),
        row("mute", answer=None),
    ]
    assert summarised(writing(GOOD), *rows)["trace_id"].to_list() == ["good"]


def test_a_run_that_resumes_finds_its_attempts_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    rows = [row("a"), row("b", question="How many apples?")]
    first = FakeEngine(lambda r: GOOD if r.sample_idx else "no", batch_size=2, fail_after=1)
    with pytest.raises(EngineError):
        summarised(first, *rows, path=path)
    second = FakeEngine(lambda r: GOOD if r.sample_idx else "no")
    table = summarised(second, *rows, path=path)
    assert [request.sample_idx for request in asked(second)] == [1, 1]
    idle = FakeEngine(lambda _: "", fail_after=0)
    assert_frame_equal(summarised(idle, *rows, path=path), table)


def test_what_a_spent_budget_cuts_short_is_missing() -> None:
    rows = [row("a"), row("b", question="How many apples?")]
    engine = FakeEngine(lambda _: GOOD, batch_size=1)
    assert summarised(engine, *rows, budget=Budget(max_tokens=1))["trace_id"].to_list() == ["a"]


def test_a_native_model_cannot_be_asked_and_auto_takes_the_rules() -> None:
    with pytest.raises(ConfigError, match=r"engine\.prompts"):
        summarised(writing(), config=SummaryConfig(writer="model", dialect=NATIVE))
    assert summarised(writing(), config=SummaryConfig(dialect=NATIVE))["writer"][0] == "extract"
    assert summarised(writing(GOOD))["writer"][0] == "model"


@pytest.mark.parametrize("option", ["max_words", "max_attempts"])
def test_limits_below_one_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0"):
        SummaryConfig(**{option: 0})


# ---- rules


def extract(*rows: dict[str, Any], max_words: int = 80) -> dict[str, Any]:
    engine = FakeEngine(lambda _: "", fail_after=0)
    config = SummaryConfig(writer="extract", max_words=max_words)
    return summarised(engine, *rows, config=config).row(0, named=True)


def test_an_extract_is_goal_plan_results_and_answer_without_what_was_taken_back() -> None:
    found = extract()
    assert found["summary"] == (
        "Goal: find how many apples Tom has in all of his bags. Plan: times 6, add 4. "
        "Found: 3*6=18; 18+4=22. The answer is 22."
    )
    assert (found["engine"], found["completion_key"], found["n_attempts"]) == (None, None, 0)


def test_an_extract_keeps_answer_then_plan_then_goal_then_the_last_results() -> None:
    begin = "Goal: find how many apples Tom has in all of his bags. Plan: times 6, add 4. "
    assert extract(max_words=23)["summary"] == f"{begin}Found: 18+4=22. The answer is 22."
    assert extract(max_words=22)["summary"] == f"{begin}The answer is 22."
    assert extract(max_words=11)["summary"] == (
        "Plan: times 6, add 4. Found: 18+4=22. The answer is 22."
    )
    assert extract(max_words=4)["summary"] == "The answer is 22."
    found = extract(max_words=3)
    assert (found["summary"], found["reason"]) == (None, "no part of it fits")


def test_an_extract_takes_the_first_sentence_of_each_step() -> None:
    steps = ["We double it. That is easy, I think, and quick.", "Then 2 * 11\n= 22.", "22"]
    found = extract(row(steps=steps, factors=["Plan", "Compute", "Answer"], step_source=["k"] * 3,
                        step_provenance=["model"] * 3))  # fmt: skip
    assert found["summary"] == "Plan: We double it. Found: Then 2 * 11 = 22. The answer is 22."


def test_an_extract_of_a_thought_about_code_does_not_say_the_code() -> None:
    found = extract(row(verifier="python", answer="def f(x):\n    return 22"))
    assert found["summary"].endswith("Found: 3*6=18; 18+4=22.")
    assert "def" not in found["summary"]


def test_an_extract_that_would_leak_is_refused() -> None:
    steps = ["[Compute] it is", *[text for _, text in STEPS[1:]]]
    assert "leaks" in extract(row(steps=steps))["reason"]


def test_nearly_all_bundled_human_thoughts_have_an_extract_that_passes() -> None:
    bundled = Path(__file__).parents[1] / "datagen/reasoner/seeds.jsonl"
    traces = assemble_traces(read_seeds(bundled).seeds, Prefix.empty(), Rollout.empty())
    with Journal(":memory:") as journal:
        engine = FakeEngine(lambda _: "", fail_after=0)
        made = summarise_traces(traces, engine, journal, config=SummaryConfig())
    assert made.progress.n_finished == made.summaries.height == traces.height
    texts = made.summaries["summary"].drop_nulls()
    assert len(texts) > 0.95 * traces.height
    assert not any(re.search(r"ACT_|Think|\[", text) for text in texts)
