"""Back-translation: chains of attempts, what makes a thought believed, tables and labels."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datagen.cluster import STAGES
from datagen.cluster.shards import cut, merge
from datagen.cluster.stages import Tables
from datagen.code.back_translate import (
    UNCHECKED,
    UNFINISHED,
    UNREADABLE,
    BackTranslation,
    Thought,
    back_translate,
)
from datagen.code.examine import Program
from datagen.code.execution import Execution, trace_trusted
from datagen.code.narrator import narrate
from datagen.code.run import back_translate_seeds, trace_seeds
from datagen.code.tasks import make_tasks
from datagen.code.traces import code_step_labels, code_traces, decided, without_code
from datagen.config import load_settings
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import Completion, CompletionRequest
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.code import FAILED, code_prompt
from datagen.prompts.dialect import NATIVE
from datagen.search.waves import BudgetSpent
from datagen.traces.markup import THINK_END, THINK_START, render_thought
from datagen.traces.model import Step
from datagen.verify.boxes.isolation import bubblewrap_program
from schemas import CodeSeed, StepLabel, Trace
from tests.sandboxes import open_sandbox

CODE = "def f(xs):\n    total = 0\n    for x in xs:\n        total += x * x\n    return total"
BAD_CODE = "def f(xs):\n    return sum(xs)"
QUESTION = (
    "Write a function f(xs) that adds up the squares in xs. For example, f([1, 3]) returns 10."
)
MODE = "bubblewrap" if bubblewrap_program() else "weak"  # the programs are ours
CALLS = ("f([1, 3])", "f([2])")

PROGRAM = Program(
    "square-sum",
    QUESTION,
    CODE,
    "f",
    "assert f([1, 3]) == 10\nassert f([]) == 0",
    "",
    trace_trusted(CODE, CALLS),
)
RIGHT = narrate(QUESTION, PROGRAM.executions, entry_point="f")


class InProcess:
    """An examiner for programs that this file wrote."""

    def __init__(self) -> None:
        self.traced: list[str] = []

    def trace(self, code: str, calls: Sequence[str]) -> tuple[Execution, ...]:
        self.traced += calls
        return trace_trusted(code, calls)

    def failures(self, program: Program, codes: Sequence[str | None]) -> list[str | None]:
        return [None if code == program.code else f"{code!r} fails" for code in codes]


def changed(steps: Sequence[Step], old: str, new: str) -> tuple[Step, ...]:
    assert any(old in step.text for step in steps)
    return tuple(replace(step, text=step.text.replace(old, new)) for step in steps)


WRONG = changed(RIGHT, "x = 3, total = 10", "x = 3, total = 12")


def said(text: str, finish: str = "stop") -> Completion:
    return Completion(text, finish, (-0.1,), (len(text),))  # pyright: ignore[reportArgumentType]


def thought_text(steps: Sequence[Step]) -> str:
    return render_thought(tuple(steps)).removeprefix(THINK_START) + THINK_END


def answered(
    thoughts: Sequence[Sequence[Step] | str],
    config: BackTranslation,
    *,
    program: Program = PROGRAM,
    from_thought: str = CODE,
    bare: str = BAD_CODE,
    budget: int | None = None,
) -> tuple[list[Thought], list[str]]:
    """Run a search; its thoughts come from ``thoughts`` in turn. Returns results and prompts."""
    search = back_translate(program, config, InProcess())
    written = iter(thoughts)
    prompts: list[str] = []

    def answer(request: CompletionRequest) -> Completion:
        prompt = request.prompt
        assert isinstance(prompt, str)
        prompts.append(prompt)
        if prompt.endswith(THINK_END):
            return said(bare if prompt == code_prompt(program.question) else from_thought)
        text = next(written)
        return said(text if isinstance(text, str) else thought_text(text))

    n_waves = 0
    try:
        wave = next(search)
        while True:
            if budget is not None and n_waves >= budget:
                wave = search.throw(BudgetSpent())
            else:
                n_waves += 1
                wave = search.send([answer(request) for request in wave])  # pyright: ignore
    except StopIteration as end:
        return end.value, prompts


MODEL = BackTranslation(dialect=NATIVE, routes=("model",), n_round_trips=2)


def test_a_true_thought_from_which_the_program_follows_is_verified_at_once():
    (thought,), _ = answered([RIGHT], MODEL)
    assert thought.verified
    assert thought.check.n_contradicted == 0 < thought.check.n_checked
    assert thought.failures == (None, None)
    assert [failure is None for failure in thought.bare_failures] == [False, False]
    assert thought.n_tokens == 3


def test_a_false_value_is_shown_to_the_writer_who_writes_anew():
    thoughts, prompts = answered([WRONG, RIGHT], MODEL)
    assert [thought.verified for thought in thoughts] == [False, True]
    assert [thought.attempt for thought in thoughts] == [0, 1]
    reason = "after the second iteration, x = 3, total = 12: total is 10, not 12"
    assert thoughts[0].reasons == (reason,)
    (revised,) = [prompt for prompt in prompts if FAILED in prompt]
    assert reason in revised
    assert thought_text(WRONG).removesuffix(THINK_END) in revised


def test_after_two_revisions_a_thought_is_left_as_a_negative():
    thoughts, _ = answered([WRONG] * 3, MODEL)
    assert [thought.attempt for thought in thoughts] == [0, 1, 2]
    assert not any(thought.verified for thought in thoughts)


def test_a_thought_from_which_another_program_follows_fails_with_what_failed():
    thoughts, _ = answered([RIGHT, RIGHT, RIGHT], MODEL, from_thought=BAD_CODE)
    assert thoughts[0].reasons == (f"a program written from it fails: {BAD_CODE!r} fails",)
    assert not thoughts[0].check.n_contradicted


def test_a_thought_that_speaks_of_the_code_fails_and_is_not_tried():
    leaking = (*RIGHT, Step("the code does just that", Factor.CONSOLIDATE))
    (first, *_), _ = answered([leaking] * 3, MODEL)
    assert first.leak is not None
    assert first.programs == ()
    assert "betrays" in first.reasons[0]


def test_a_thought_that_claims_nothing_is_not_believed():
    (first, *_), _ = answered([[Step("add up the squares", Factor.PLAN)]] * 3, MODEL)
    assert first.reasons == (UNCHECKED,)


def test_an_unreadable_thought_is_drawn_again_and_not_shown():
    thoughts, prompts = answered(["no markup at all", RIGHT], MODEL)
    assert thoughts[0].reasons == (UNREADABLE,)
    assert thoughts[1].verified
    assert thoughts[0].request is not None and thoughts[1].request is not None
    assert thoughts[0].request.identity != thoughts[1].request.identity
    assert not any(FAILED in prompt for prompt in prompts)


def test_the_grounded_route_has_the_run_in_view_and_the_model_route_has_not():
    config = replace(MODEL, routes=("model", "grounded"))
    _, prompts = answered([RIGHT, RIGHT], config)
    asked = [prompt for prompt in prompts if not prompt.endswith(THINK_END)]
    assert ["iteration 2: x = 3, total = 10" in prompt for prompt in asked] == [False, True]


def test_the_narrator_writes_one_thought_without_a_model():
    (thought,), prompts = answered([], replace(MODEL, routes=("narrator",), n_round_trips=0))
    assert prompts == []
    assert thought.verified
    assert thought.request is None


def test_calls_that_only_the_thought_speaks_of_are_run():
    steps = (Step("f([1, 2, 3]) returns 14", Factor.EXTRACT_GIVENS), *RIGHT)
    (thought,), _ = answered([steps], MODEL)
    assert thought.check.steps[0] == "checked"


@pytest.mark.parametrize(("budget", "expected"), [(0, []), (1, [(UNFINISHED,)])])
def test_a_spent_budget_leaves_what_was_written(budget: int, expected: list[tuple[str, ...]]):
    thoughts, _ = answered([RIGHT], MODEL, budget=budget)
    assert [thought.reasons for thought in thoughts] == expected


SEEDS = CodeSeed.from_rows(
    [
        {
            "seed_id": PROGRAM.seed_id,
            "source": "test",
            "license": "MIT",
            "question": QUESTION,
            "code": CODE,
            "entry_point": "f",
            "tests": PROGRAM.tests,
            "prelude": "",
            "calls": list(CALLS),
            "meta": "{}",
        }
    ]
)


def write(request: CompletionRequest) -> str:
    """A false thought first, the true one when told, and the program from any thought."""
    prompt = str(request.prompt)
    if prompt.endswith(THINK_END):
        return BAD_CODE if prompt == code_prompt(QUESTION) else CODE
    return thought_text(RIGHT if FAILED in prompt else WRONG)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    path: Path = tmp_path_factory.mktemp("code") / "journal.sqlite"
    with open_sandbox(MODE) as sandbox, Journal(path) as journal:
        executions = trace_seeds(SEEDS, sandbox)
        made = back_translate_seeds(
            SEEDS,
            executions,
            FakeEngine(write),
            journal,
            sandbox,
            config=BackTranslation(dialect=NATIVE, n_round_trips=2),
        )
    tasks = make_tasks(SEEDS, executions)
    traces = code_traces(made.code_thoughts, tasks)
    return {
        "executions": executions,
        "code_thoughts": made.code_thoughts,
        "code_tasks": tasks,
        "traces": traces,
        "step_labels": code_step_labels(made.code_thoughts, traces),
    }


def test_every_attempt_is_a_row_that_names_the_one_before(tables: dict[str, pl.DataFrame]):
    rows = tables["code_thoughts"].to_dicts()
    told = [(row["route"], row["attempt"], row["verified"]) for row in rows]
    assert told == [
        ("model", 0, False),
        ("model", 1, True),
        ("grounded", 0, False),
        ("grounded", 1, True),
        ("narrator", 0, True),
    ]
    assert rows[1]["revises"] == rows[0]["thought_id"]
    assert rows[0]["revises"] is None is rows[4]["completion_key"]
    assert {row["sufficiency"] for row in rows} == {1.0}
    wrong = [claim for claim in rows[0]["claims"] if claim["verdict"] == "contradicted"]
    assert [(claim["subject"], claim["value"], claim["actual"]) for claim in wrong] == [
        ("total", "12", "10")
    ]


def test_a_record_survives_its_table(tables: dict[str, pl.DataFrame]):
    (first, _) = tables["executions"].to_dicts()
    assert first["returned"] == "10"
    assert json.loads(first["record"])["call"] == first["call"] == "f([1, 3])"


def test_a_verified_thought_ends_with_the_program_and_a_failed_one_proves_nothing(
    tables: dict[str, pl.DataFrame],
):
    traces = {row["trace_id"]: row for row in tables["traces"].to_dicts()}
    for thought in tables["code_thoughts"].to_dicts():
        trace = traces.get(thought["thought_id"])
        if trace is None:  # says the same as an earlier one
            continue
        expected = (CODE, "correct") if thought["verified"] else (None, "unverifiable")
        assert (trace["answer"], trace["outcome"]) == expected
    kinds = tables["traces"].group_by("verifier").len().sort("verifier").rows()
    assert dict(kinds) == {"python": 2, "python_input": 2, "python_output": 2}
    assert without_code(tables["traces"]).is_empty()


def test_the_first_false_value_is_the_first_error(tables: dict[str, pl.DataFrame]):
    thoughts = {row["thought_id"]: row for row in tables["code_thoughts"].to_dicts()}
    for (trace_id,), labels in tables["step_labels"].group_by("trace_id", maintain_order=True):
        first = thoughts[str(trace_id)]["first_error"]
        good = labels["hard_label"].to_list()
        n_before = len(good) if first < 0 else first
        assert good == [True] * n_before + [False] * (len(good) - n_before)
        assert labels["n_trials"].to_list()[-1] == 2
    assert set(tables["step_labels"]["label_source"]) == {"execution"}
    ids = set(decided(tables["code_thoughts"]))
    assert ids == set(thoughts)
    Trace.validate(tables["traces"])
    StepLabel.validate(tables["step_labels"])


def test_a_failed_program_that_cannot_be_read_is_not_replaced_by_a_right_one(tmp_path: Path):
    def half(request: CompletionRequest) -> str:
        prompt = str(request.prompt)
        return " " if prompt.endswith(THINK_END) and request.sample_idx % 2 else write(request)

    with open_sandbox(MODE) as sandbox, Journal(tmp_path / "journal.sqlite") as journal:
        executions = trace_seeds(SEEDS, sandbox)
        config = BackTranslation(dialect=NATIVE, routes=("narrator",), min_round_trip=1.0)
        made = back_translate_seeds(
            SEEDS, executions, FakeEngine(half), journal, sandbox, config=config
        )
    (row,) = made.code_thoughts.to_dicts()
    assert (row["n_round_trips"], row["n_passed"], row["verified"]) == (4, 2, False)
    assert row["regenerated"] is None
    traces = code_traces(made.code_thoughts, make_tasks(SEEDS, executions, n_predictions=0))
    assert traces["outcome"].to_list() == ["unverifiable"]


def test_shards_give_the_table_of_one_process(tmp_path: Path):
    seeds = pl.concat([SEEDS, SEEDS.with_columns(seed_id=pl.lit("again"))])
    settings = load_settings(
        None, sandbox={"mode": MODE}, code={"n_round_trips": 2, "routes": ["model", "narrator"]}
    )
    with open_sandbox(MODE) as sandbox:
        tables = {"code_seeds": seeds, "executions": trace_seeds(seeds, sandbox)}

    def run(part: Tables, name: str) -> dict[str, pl.DataFrame]:
        with Journal(tmp_path / name) as journal:
            made, progress = STAGES["code_thoughts"](
                part, FakeEngine(write), journal, settings, lambda _: None
            )
        assert progress.n_generated > 0
        return made

    shards = cut(tables, size=1)
    assert len(shards) == 2
    merged = merge([run(shard.tables, shard.name) for shard in shards], order={})
    assert_frame_equal(merged["code_thoughts"], run(tables, "whole")["code_thoughts"])
