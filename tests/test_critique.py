"""The judge that is a model: what it is asked, how its critiques are read, and the votes table."""

import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import CompletionRequest, Sampling, flat_text
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal, journal_key
from datagen.judge import Judge, check_step, checker, critique_judge, judge_traces
from datagen.prompts import critique, instruct_critique
from datagen.prompts.critique import Remark, render_critique
from datagen.prompts.dialect import DIALECTS, INSTRUCT, PromptStyle
from datagen.prompts.reading import Opinion, StepRemark
from datagen.reasoner.critiques import write_critique
from datagen.reasoner.oracle import first_error, judge_trace
from datagen.reasoner.thoughts import Temper, write_trace
from datagen.reasoner.world import Problem, draw_problem
from datagen.search.budget import Budget, Progress
from datagen.traces.markup import THINK_START, render
from datagen.traces.model import Step, Trace
from schemas import Critique, StepVerdict
from schemas import Trace as TraceContract

TRACE = Trace(
    "Tom has 18 apples and gets 7. Then he loses 12. How many?",
    (Step("18+7=26", Factor.COMPUTE), Step("26-12=14", Factor.COMPUTE), Step("14", Factor.ANSWER)),
    "14",
)
WRONG_AT_0 = [Remark("18+7=26", "18+7=25", "wrong")]
WRONG_AT_1 = Remark("26-12=14", None, "wrong")
ALL_HOLDS = [Remark(step.text, None, "holds") for step in TRACE.steps]


def native(remarks: list[Remark], reason: str = "the result is wrong") -> str:
    """What a model writes behind the prompt, which opens the thought."""
    return render(render_critique(remarks, reason)).removeprefix(THINK_START)


# ---- native markup


@pytest.mark.parametrize(
    ("text", "opinion"),
    [
        (native(WRONG_AT_0), Opinion(0, "18+7=26", "the result is wrong")),
        (native(ALL_HOLDS), Opinion(-1)),
        (native([ALL_HOLDS[0], WRONG_AT_1], "?"), Opinion(1, "26-12=14", "?")),
        (native([Remark("18+7=26", None, "repaired"), *ALL_HOLDS[1:]]), Opinion(-1)),
        # leaves a step out, quotes another, stops before the end, names another step, is cut off
        (native(ALL_HOLDS[:1]), None),
        (native([Remark("18+7=25", None, "wrong")]), None),
        (native([*ALL_HOLDS, ALL_HOLDS[0]]), None),
        (native(WRONG_AT_0).removesuffix("18+7=26") + "26-12=14", None),
        (native(WRONG_AT_0)[:60], None),
        ("the first step is wrong", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_native_critique_is_read_only_if_it_walks_to_the_error_it_names(
    text: str, opinion: Opinion | None
) -> None:
    found = critique.read_critique(text, TRACE)
    assert replace(found, remarks=()) == (opinion or Opinion(None, "", text))
    if opinion is None:
        assert found.remarks == ()


def test_a_native_critique_is_read_step_by_step_in_words() -> None:
    mended = [
        Remark("18+7=26", "18+7=25", "repaired"),
        Remark("26-12=14", "26-12=14", "holds"),
        Remark("14", None, "wrong"),
    ]
    opinion = critique.read_critique(native(mended, "it is 13"), TRACE)
    assert opinion.remarks == (
        StepRemark(0, '"18+7=26" stands where 18+7=25 is due', "repaired"),
        StepRemark(1, '"26-12=14" is what is due', "holds"),
        StepRemark(2, '"14": it is 13', "wrong"),
    )


def test_a_native_verdict_that_is_no_word_for_one_leaves_the_vote_without_remarks() -> None:
    text = native(ALL_HOLDS).replace("26-12=14 holds", "26-12=14 maybe")
    assert critique.read_critique(text, TRACE) == Opinion(-1)


def world() -> list[tuple[Problem, Trace]]:
    rng = random.Random(11)
    problems = [draw_problem(rng) for _ in range(200)]
    return [(p, write_trace(p, rng, temper=Temper(slip=0.3, notice=0.4))) for p in problems]


def test_the_true_critique_of_a_thought_reads_back_to_the_oracles_first_error() -> None:
    found: set[bool] = set()
    for problem, trace in world():
        written = render(write_critique(problem, trace.steps)).removeprefix(THINK_START)
        reading = critique.read_critique(written, trace)
        true = first_error(problem, trace.steps)
        assert reading.first_error == true
        assert bool(reading.reason) is (true >= 0)
        found.add(true >= 0)
    assert found == {True, False}


def test_what_is_due_at_a_wrong_equation_is_true_and_in_place() -> None:
    n_due = 0
    for problem, trace in world():
        error = first_error(problem, trace.steps)
        if error < 0 or trace.steps[error].factor is not Factor.COMPUTE:
            continue
        due = judge_trace(problem, trace.steps)[error].due
        if due is not None:
            n_due += 1
            assert check_step(due).status == "true"
            mended = (*trace.steps[:error], Step(due, Factor.COMPUTE))
            assert judge_trace(problem, mended)[error].ok
            remark = write_critique(problem, trace.steps).steps[error].text
            assert remark == f"{trace.steps[error].text} due {due} wrong"
    assert n_due > 40


# ---- plain words


def test_the_instruct_prompt_holds_question_steps_by_index_and_answer() -> None:
    prompt = flat_text(instruct_critique.critique_prompt(TRACE))
    assert TRACE.question in prompt
    for idx, step in enumerate(TRACE.steps):
        assert f"<step_{idx}>\n{step.text}\n</step_{idx}>" in prompt
    assert "Answer: 14" in prompt
    assert r"\boxed{-1}" in prompt
    unfinished = flat_text(instruct_critique.critique_prompt(TRACE.prefix(2)))
    assert "Answer:" not in unfinished and "<step_2>" not in unfinished


def test_braces_in_a_trace_do_not_break_the_instruct_prompt() -> None:
    trace = Trace("What is {x}?", (Step("{x} = {0}"),), "{")
    assert "{x} = {0}" in flat_text(instruct_critique.critique_prompt(trace))


READ = [
    ('Step 0 is wrong.\nQuote: "18+7=26"\n\\boxed{0}', 0, "18+7=26"),
    ("All fine. \\boxed{-1}", -1, ""),
    ("All fine. \\boxed{−1}", -1, ""),
    ("**Quote:** “26-12”...\n**\\boxed{ 1 }**", 1, "26-12"),
    ("Quote: 26 - 12 = 14\n$\\boxed{step_1}$", 1, "26 - 12 = 14"),
    ("\\boxed{\\text{step 1}}", 1, ""),
    ("\\boxed{<step_1>}", 1, ""),
    ("I first thought \\boxed{2}, but no.\n\\boxed{0}", 0, ""),
    ("The first error: step 1", 1, ""),
    ("the earliest wrong step is step 1.", 1, ""),
    ("The first error is in step 2. No: the first mistake occurs in **step 0**", 0, ""),
    ("The first error is at index -1", -1, ""),
    # the step is not there, or is not the one quoted, or no step is named
    ("\\boxed{3}", None, ""),
    ("\\boxed{-2}", None, ""),
    ('Quote: "26-12"\n\\boxed{0}', None, ""),
    ("Quote: apples\n\\boxed{1}", None, ""),
    ("first error: step 1, so \\boxed{none}", None, ""),
    ("\\boxed{1}, or rather \\boxed{}", None, ""),
    ("\\boxed{1", None, ""),
    ("\\boxed{1.5}", None, ""),
    ("It is wrong in step 1", None, ""),
    ("", None, ""),
]


@pytest.mark.parametrize(("text", "first", "quote"), READ)
def test_an_instruct_critique_is_read(text: str, first: int | None, quote: str) -> None:
    opinion = instruct_critique.read_critique(text, TRACE)
    assert replace(opinion, remarks=()) == Opinion(first, quote, text)


STEP_BY_STEP = [
    (
        "Step 0: 18 and 7 are 25. Verdict: wrong\n\nQuote: 18+7=26\n\\boxed{0}",
        [("18 and 7 are 25.", "wrong")],
    ),
    # headings of all kinds, lines, a paragraph that speaks of another step, boxes within
    (
        "### Step 0\nfine\n\nindeed\n\n**Step 1:** As\nStep 0: says.\n**Verdict:** Repaired.\n"
        "- Step 2 - so \\boxed{14} (Verdict: correct)\n\n\\boxed{-1}",
        [
            ("fine\nindeed", "holds"),
            ("As\nStep 0: says.", "repaired"),
            ("so \\boxed{14}", "holds"),
        ],
    ),
    (
        "<step_0>a</step_0>\n<step_1>b</step_1>\nQuote: 26\n\\boxed{1}",
        [("a", "holds"), ("b", "wrong")],
    ),
    # goes on after the first wrong step
    ("Step 0: a\nStep 1: b\nStep 2: c\n\\boxed{0}", [("a", "wrong")]),
    ("Step 0: a\nStep 1: b\nStep 2: c \\boxed{-1}", [(w, "holds") for w in "abc"]),
    # says of a paragraph what the end does not say
    (
        "Step 0: a. Verdict: wrong\nStep 1: b. Verdict: holds\n\\boxed{1}",
        [("a.", "wrong"), ("b.", "holds")],
    ),
    # a step is missing, or nothing is said of it, or there are no paragraphs, or no verdict
    ("Step 0: a\nStep 2: c\n\\boxed{2}", []),
    ("Step 0: a\nStep 1: Verdict: holds\nStep 2: c\n\\boxed{-1}", []),
    ("Steps 0 and 1 are fine.\n\\boxed{-1}", []),
    ("Step 0: a\nStep 1: b\nStep 2: c", []),
]


@pytest.mark.parametrize(("text", "remarks"), STEP_BY_STEP)
def test_an_instruct_critique_is_read_step_by_step(
    text: str, remarks: list[tuple[str, StepVerdict]]
) -> None:
    wanted = tuple(StepRemark(idx, *remark) for idx, remark in enumerate(remarks))
    assert instruct_critique.read_critique(text, TRACE).remarks == wanted


def test_a_quotation_without_a_wrong_step_is_ignored() -> None:
    text = "Quote: none\n\\boxed{-1}"
    assert instruct_critique.read_critique(text, TRACE) == Opinion(-1, "", text)


PARAGRAPHS = ["\nStep 0: a", "\nStep 1: b", "Verdict: wrong"]
BITS = [
    *"}1-−\n<\ud800 ²٣",
    "\\boxed{",
    "Quote: ",
    "first error: step ",
    "18+7",
    "step_",
    "9" * 500,
]
PIECES = st.sampled_from([*PARAGRAPHS, *BITS])


@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=80))
@settings(deadline=None)
def test_no_critique_raises_and_every_step_named_exists(text: str) -> None:
    for trace in (TRACE, Trace("?")):
        reading = instruct_critique.read_critique(text, trace)
        assert reading.first_error is None or -1 <= reading.first_error < len(trace.steps)
        assert critique.read_critique(text, trace).first_error in (None, -1, *range(3))
        idxs = [remark.step_idx for remark in reading.remarks]
        assert idxs in ([], [*range((reading.first_error or 0) + 1)], [*range(len(trace.steps))])


# ---- votes


def row(trace_id: str, trace: Trace) -> dict[str, object]:
    return {
        "trace_id": trace_id,
        "seed_id": f"seed of {trace_id}",
        "prefix_id": "p",
        "rollout_id": None,
        "question": trace.question,
        "steps": [step.text for step in trace.steps],
        "factors": [step.factor.value for step in trace.steps],
        "step_provenance": ["model"] * len(trace.steps),
        "step_source": ["k"] * len(trace.steps),
        "n_human_steps": 0,
        "answer": trace.answer,
        "gold": "13",
        "verifier": "numeric",
        "outcome": "wrong",
        "provenance": "model",
        "engine": None,
        "markup": render(trace),
    }


RIGHT = Trace(TRACE.question, (Step("18+7=25", Factor.COMPUTE), Step("13", Factor.ANSWER)), "13")
TRACES = TraceContract.from_rows([row("t1", TRACE), row("t0", RIGHT)])


def critic(request: CompletionRequest) -> str:
    """Right about every second sample, by its index; otherwise it sees nothing or babbles."""
    wrong = "18+7=26" in flat_text(request.prompt)
    if request.sample_idx % 2 == 0:
        steps = TRACE.steps if wrong else RIGHT.steps
        return native(WRONG_AT_0 if wrong else [Remark(s.text, None, "holds") for s in steps])
    return "\ud800 no idea"


def votes(
    engine: FakeEngine, *judges: Judge, path: Path | str = ":memory:", **options: object
) -> pl.DataFrame:
    with Journal(path) as journal:
        return judge_traces(TRACES, engine, journal, judges=judges, **options)


def test_there_is_a_row_per_vote_by_trace_judge_and_index() -> None:
    engine = FakeEngine(critic)
    table = votes(engine, checker, critique_judge(n_votes=2))
    Critique.validate(table)
    assert table.select("trace_id", "judge", "vote_idx", "first_error").rows() == [
        ("t1", "checker", 0, 0),
        ("t1", "native_critique", 0, 0),
        ("t1", "native_critique", 1, None),
        ("t0", "checker", 0, None),
        ("t0", "native_critique", 0, -1),
        ("t0", "native_critique", 1, None),
    ]
    assert table["seed_id"].to_list() == ["seed of t1"] * 3 + ["seed of t0"] * 3
    assert table["quote"].to_list() == ["18+7=26", "18+7=26", "", "", "", ""]
    assert table["reason"][1] == "the result is wrong"
    assert table["reason"][2] == "\ufffd no idea"
    assert table["text"].to_list()[:3] == ["", native(WRONG_AT_0), "\ufffd no idea"]
    assert table["remarks"].list.len().to_list() == [0, 1, 0, 0, 2, 0]
    assert table["remarks"][1].to_list() == [
        {
            "step_idx": 0,
            "analysis": '"18+7=26" stands where 18+7=25 is due: the result is wrong',
            "verdict": "wrong",
        }
    ]


def test_a_vote_names_the_journal_entry_and_the_tokens_that_it_took() -> None:
    engine = FakeEngine(critic)
    judge = critique_judge(n_votes=2)
    table = votes(engine, checker, judge).filter(trace_id="t1")
    (requests,) = engine.batches
    keys = [journal_key("fake", request) for request in requests[:2]]
    assert table["completion_key"].to_list() == [None, *keys]
    assert table["engine"].to_list() == [None, "fake", "fake"]
    assert table["n_tokens"].to_list()[0] == 0
    assert all(n > 0 for n in table["n_tokens"].to_list()[1:])


def test_the_votes_of_all_traces_are_asked_for_side_by_side() -> None:
    engine = FakeEngine(critic)
    sampling = Sampling(temperature=0.5, max_tokens=99)
    votes(engine, critique_judge(n_votes=3, sampling=sampling))
    (batch,) = engine.batches
    assert batch == [
        CompletionRequest(critique.critique_prompt(trace), sampling, idx)
        for trace in (TRACE, RIGHT)
        for idx in range(3)
    ]


def test_an_instruct_judge_asks_in_plain_words_and_keeps_the_whole_critique() -> None:
    text = "Step 0: 18+7 is 25.\nQuote: 18+7=26\n\\boxed{0}"
    engine = FakeEngine(lambda _: text)
    table = votes(engine, critique_judge(n_votes=1, dialect=INSTRUCT)).filter(trace_id="t1")
    assert engine.batches[0][0].prompt == instruct_critique.critique_prompt(TRACE)
    (vote,) = table.to_dicts()
    assert (vote["judge"], vote["first_error"]) == ("instruct_critique", 0)
    assert (vote["quote"], vote["reason"]) == ("18+7=26", text)


@pytest.mark.parametrize("style", ["native", "instruct"])
def test_a_critique_that_was_cut_off_is_no_vote(style: PromptStyle) -> None:
    text = native(WRONG_AT_0) if style == "native" else "so far \\boxed{0} but let me go on"
    engine = FakeEngine(lambda _: text)
    for n_cut, first in ((0, 0), (1, None)):
        n_tokens = len(text.split()) + 1 - n_cut
        sampling = Sampling(max_tokens=n_tokens)
        judge = critique_judge(n_votes=1, sampling=sampling, dialect=DIALECTS[style])
        assert votes(engine, judge).filter(trace_id="t1")["first_error"].to_list() == [first]


def test_a_judge_needs_at_least_one_vote() -> None:
    with pytest.raises(ValueError, match="n_votes=0"):
        critique_judge(n_votes=0)


# ---- runs


def test_a_run_that_resumes_finds_its_votes_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    judges = checker, critique_judge(n_votes=4)
    broken = FakeEngine(critic, batch_size=3, fail_after=1)
    with pytest.raises(EngineError):
        votes(broken, *judges, path=path)
    seen: list[Progress] = []
    resumed = FakeEngine(critic, batch_size=3)
    table = votes(resumed, *judges, path=path, on_progress=seen.append)
    assert sum(map(len, resumed.batches)) == 8 - 3
    assert (seen[-1].n_replayed, seen[-1].n_finished, seen[-1].n_searches) == (3, 2, 2)
    idle = FakeEngine(critic, fail_after=0)
    assert_frame_equal(votes(idle, *judges, path=path), table)
    assert_frame_equal(votes(FakeEngine(critic), *judges), table)


def test_more_votes_keep_those_that_were_drawn_before(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    few = votes(FakeEngine(critic), critique_judge(n_votes=2), path=path)
    engine = FakeEngine(critic)
    more = votes(engine, critique_judge(n_votes=5), path=path)
    assert sum(map(len, engine.batches)) == 2 * 3
    assert_frame_equal(more.filter(pl.col("vote_idx") < 2), few)


def test_a_spent_budget_leaves_the_votes_that_need_no_model() -> None:
    engine = FakeEngine(critic, batch_size=1)
    table = votes(engine, critique_judge(n_votes=2), checker, budget=Budget(max_tokens=1))
    assert table.select("trace_id", "judge").rows() == [("t1", "checker"), ("t0", "checker")]
    assert len(engine.batches) == 1


def test_no_traces_give_an_empty_table() -> None:
    with Journal(":memory:") as journal:
        table = judge_traces(TraceContract.empty(), FakeEngine(critic), journal, judges=[checker])
    assert_frame_equal(table, Critique.empty())
