"""What `datagen show` draws of code, from hand-made tables, narrow and wide."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from datagen.errors import ConfigError
from datagen.show import Found, Tables, draw_tree, find
from schemas import (
    CodeSeed,
    CodeTask,
    CodeThought,
    Execution,
    Node,
    Prefix,
    Rollout,
    Trace,
)

Row = dict[str, Any]

QUESTION = "Write add(xs), which adds up [bold]xs[/bold]."
CODE = "\ndef add(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n"


def seed(seed_id: str) -> Row:
    return {
        "seed_id": seed_id,
        "source": "toy",
        "license": "MIT",
        "question": QUESTION,
        "code": CODE,
        "entry_point": "add",
        "tests": "assert add([]) == 0\nassert add([4, 3]) == 7",
        "prelude": "",
        "calls": ["add([4, 3])"],
        "meta": "{}",
    }


def execution(call: str, run: str) -> Row:
    return {
        "seed_id": "lib/add",
        "call": call,
        "returned": "7",
        "raised": None,
        "complete": True,
        "n_moments": 5,
        "run": f"{call}\n{run}",
        "record": "{}",
    }


def claim(step_idx: int, text: str, verdict: str, actual: str | None) -> Row:
    subject, _, value = text.partition(" = ")
    return {
        "step_idx": step_idx,
        "kind": "value",
        "text": text,
        "subject": subject,
        "value": value,
        "verdict": verdict,
        "actual": actual,
    }


def thought(thought_id: str, route: str, attempt: int, *reasons: str, **over: Any) -> Row:
    row: Row = {
        "thought_id": thought_id,
        "seed_id": "lib/add",
        "route": route,
        "thought_idx": 0,
        "attempt": attempt,
        "revises": None,
        "question": QUESTION,
        "code": CODE,
        "steps": ["start at nothing", "x = 4, total = 4", "x = 3, total = 9, y = 1"],
        "factors": ["Plan", "SimulateExecution", "SimulateExecution"],
        "step_checks": ["uncheckable", "checked", "contradicted"],
        "claims": [
            claim(1, "x = 4", "holds", "4"),
            claim(1, "total = 4", "holds", "4"),
            claim(2, "x = 3", "holds", "3"),
            claim(2, "total = 9", "contradicted", "7"),
            claim(2, "y = 1", "uncheckable", None),
        ],
        "first_error": 2,
        "leak": None,
        "n_round_trips": 4,
        "n_passed": 3,
        "n_bare": 4,
        "n_bare_passed": 1,
        "sufficiency": 0.5,
        "regenerated": "def add(xs):\n    return None",
        "verified": not reasons,
        "reasons": list(reasons),
        "n_tokens": 90,
        "engine": "fake:1",
        "completion_key": "key",
    }
    return row | over


GOOD: Row = {
    "step_checks": ["uncheckable", "checked", "checked"],
    "claims": [claim(1, "x = 4", "holds", "4")],
    "first_error": -1,
    "n_passed": 4,
    "sufficiency": 0.75,
}
UNREADABLE: Row = {
    **{"steps": [], "factors": [], "step_checks": [], "claims": [], "first_error": -1},
    **{"n_round_trips": 0, "n_passed": 0, "sufficiency": None, "regenerated": None},
}

TASK: Row = {
    "task_id": "lib/add/output.0",
    "seed_id": "lib/add",
    "source": "toy",
    "license": "MIT",
    "kind": "output",
    "question": f"What does add([4, 3]) return?\n{CODE}",
    "steps": ["take xs = [4, 3]", "so add([4, 3]) returns 7"],
    "factors": ["TryExample", "CheckResult"],
    "answer": "7",
    "gold": "7",
    "verifier": "python_output",
}
PROGRAM = TASK | {
    "task_id": "lib/add/program",
    "kind": "program",
    "steps": [],
    "factors": [],
    "answer": CODE,
    "gold": '{"entry_point": "add", "tests": "assert add([]) == 0\\nassert 1", "prelude": ""}',
    "verifier": "python",
}

THOUGHTS = [
    thought("aa00", "model", 0, "total is 7, not 9"),
    thought("aa11", "model", 1, "it cannot be read", revises="aa00", **UNREADABLE),
    thought("aa22", "model", 2, revises="aa11", **GOOD),
    thought("bb00", "narrator", 0, "too vague", engine=None, completion_key=None),
    thought("cc00", "model", 0, "another", seed_id="lib/add2"),
]

TABLES = Tables(
    Prefix.empty(),
    Node.empty(),
    Rollout.empty(),
    code_seeds=CodeSeed.from_rows([seed("lib/add"), seed("lib/add2")]),
    executions=Execution.from_rows(
        [
            execution("add([4, 3])", "total = 0\niteration 1: x = 4, total = 4\n"),
            execution("add([])", "total = 0\nreturned at once\n"),
        ]
    ),
    code_thoughts=CodeThought.from_rows(THOUGHTS),
    code_tasks=CodeTask.from_rows([PROGRAM, TASK]),
)


def drawn(id: str, *, tables: Tables = TABLES, width: int = 80) -> str:
    """What a pipe of this width gets, without the spaces at line ends."""
    console = Console(record=True, width=width, file=StringIO())
    console.print(draw_tree(tables, id))
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def trace(trace_id: str) -> Row:
    return {
        "trace_id": trace_id,
        "seed_id": "lib/add",
        "prefix_id": "lib/add@0",
        "rollout_id": None,
        "question": QUESTION,
        "steps": ["x"],
        "factors": ["Plan"],
        "step_provenance": ["model"],
        "step_source": ["key"],
        "n_human_steps": 0,
        "answer": "7",
        "gold": "7",
        "verifier": "python",
        "outcome": "correct",
        "provenance": "model",
        "engine": "fake:1",
        "markup": "…",
    }


# --- what an id means ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lib/add", Found("code seed", "lib/add")),
        ("lib/add2", Found("code seed", "lib/add2")),
        ("lib/add/out", Found("task", "lib/add/output.0")),
        ("aa22", Found("thought", "aa22")),
        ("bb", Found("thought", "bb00")),
    ],
)
def test_ids_about_code_and_their_unique_beginnings_are_found(text: str, found: Found) -> None:
    assert find(TABLES, text) == found


def test_the_beginning_of_a_code_seed_is_not_ambiguous_with_its_tasks() -> None:
    only = replace(TABLES, code_seeds=CodeSeed.from_rows([seed("lib/add")]))
    assert find(only, "lib") == Found("code seed", "lib/add")


def test_a_thought_or_task_that_is_a_trace_too_is_shown_as_what_it_is() -> None:
    traces = [trace("aa22"), trace("lib/add/output.0"), trace("dd00")]
    tables = replace(TABLES, traces=Trace.from_rows(traces))
    assert find(tables, "aa22") == Found("thought", "aa22")
    assert find(tables, "lib/add/o") == Found("task", "lib/add/output.0")
    assert find(tables, "dd") == Found("trace", "dd00")


def test_an_unknown_id_names_the_code_seeds_that_come_close() -> None:
    with pytest.raises(ConfigError, match=r"thought or task .* seeds that exist are 'lib/add2'"):
        find(TABLES, "lib/ad2")


# --- a thought -----------------------------------------------------------------------------------


def test_a_wide_console_has_the_program_beside_its_run() -> None:
    text = drawn("aa00", width=100)
    assert (
        text[text.index("   program") : text.index("\n\nthought")]
        == """\
   program               run of add([4, 3])
1                        total = 0
2  def add(xs):          iteration 1: x = 4, total = 4
3      total = 0
4      for x in xs:
5          total += x
6      return total"""
    )


def test_a_narrow_console_has_the_program_above_its_run() -> None:
    text = drawn("aa00", width=99)
    assert (
        text[text.index("   program") : text.index("\n\nthought")]
        == """\
   program
1
2  def add(xs):
3      total = 0
4      for x in xs:
5          total += x
6      return total

run of add([4, 3])
total = 0
iteration 1: x = 4, total = 4"""
    )


def test_a_program_that_was_not_run_is_shown_all_the_same() -> None:
    for executions in (None, Execution.empty()):
        text = drawn("aa00", tables=replace(TABLES, executions=executions), width=120)
        assert "5          total += x" in text
        assert "run of" not in text


def test_claims_stand_below_their_step_and_false_ones_with_what_the_run_has() -> None:
    text = drawn("aa00")
    assert (
        text[text.index("#  factor") : text.index("\n\nverdict")]
        == """\
#  factor             step                                                   run
0  Plan               start at nothing                                       ·
1  SimulateExecution  x = 4, total = 4                                       ✓
                      ✓ x = 4  ✓ total = 4
2  SimulateExecution  x = 3, total = 9, y = 1                                ✗
                      ✓ x = 3
                      ✗ total = 9  run: 7
                      · y = 1"""
    )


def test_below_a_failed_thought_stands_what_failed() -> None:
    text = drawn("aa00", width=100)
    assert (
        text[text.index("verdict ") : text.index("\n\nmodel 0")]
        == """\
verdict      ✗ not verified
because      total is 7, not 9
claims       5 claims: 3 hold, 1 contradicted, first in step 2, 1 uncheckable
round trips  3 of 4 programs right from question and thought, 1 of 4 programs right from the
             question alone
sufficiency  +0.50, the thought's part in that
seed         lib/add
engine       fake:1"""
    )
    assert "a program written from the thought\n1  def add(xs):\n2      return None" in text
    assert "leak" not in text


def test_below_a_verified_thought_stands_no_reason_and_no_program_of_another() -> None:
    text = drawn("aa22")
    assert "verdict      ✓ verified\nclaims       1 claim: 1 hold, 0 contradicted, 0 unch" in text
    assert "because" not in text
    assert "return None" not in text


def test_an_unreadable_thought_has_no_steps_and_no_round_trips() -> None:
    text = drawn("aa11")
    assert "\nno steps\n" in text
    assert "round trips  no program from question and thought, 1 of 4 programs right" in text
    assert "sufficiency" not in text


def test_words_that_betray_the_code_are_named() -> None:
    leaky = thought("ee00", "model", 0, "it betrays the program", leak="the given\ncode")
    text = drawn("ee00", tables=replace(TABLES, code_thoughts=CodeThought.from_rows([leaky])))
    assert "leak         betrays that the code was there first: the given code" in text


def test_a_thought_names_the_other_attempts_at_it() -> None:
    text = drawn("aa11")
    assert (
        text[text.index("model 0") :]
        == """\
model 0  attempt 0  ✗ not verified: total is 7, not 9                       aa00
model 0  attempt 1  ✗ not verified: it cannot be read                       this
model 0  attempt 2  ✓ verified                                              aa22"""
    )
    assert "attempt 0  " not in drawn("bb00")


# --- seeds and tasks -----------------------------------------------------------------------------


def test_a_code_seed_has_one_line_for_each_of_its_thoughts() -> None:
    text = drawn("lib/add")
    assert text.startswith("question  Write add(xs), which adds up [bold]xs[/bold].")
    assert (
        text[text.index("model 0") :]
        == """\
model 0     attempt 0  ✗ not verified: total is 7, not 9                    aa00
model 0     attempt 1  ✗ not verified: it cannot be read                    aa11
model 0     attempt 2  ✓ verified                                           aa22
narrator 0  attempt 0  ✗ not verified: too vague                            bb00

tests  assert add([]) == 0
       assert add([4, 3]) == 7
tasks  lib/add/program  lib/add/output.0"""
    )
    assert "run of add([4, 3])" in text


def test_a_code_seed_is_shown_before_anything_was_made_of_it() -> None:
    early = replace(TABLES, executions=None, code_thoughts=None, code_tasks=None)
    text = drawn("lib/add", tables=early)
    assert "no thought about it yet" in text
    assert "tasks" not in text


def test_a_task_shows_question_thought_answer_and_gold() -> None:
    text = drawn("lib/add/output.0")
    assert text.startswith("question  What does add([4, 3]) return?\n")
    assert (
        text[text.index("#  factor") :]
        == """\
#  factor       step
0  TryExample   take xs = [4, 3]
1  CheckResult  so add([4, 3]) returns 7

answer    7
gold      7
verifier  python_output
seed      lib/add"""
    )


def test_unit_tests_are_shown_as_code_and_not_as_json() -> None:
    text = drawn("lib/add/program")
    assert "gold tests        assert add([]) == 0\n                  assert 1\n" in text
    assert "gold prelude" not in text
    assert "no thought of its own" in text


def test_a_result_that_looks_like_json_is_one_value() -> None:
    rows = [TASK | {"gold": '{"a": "b"}', "answer": '{"a": "b"}'}]
    text = drawn("lib/add/output.0", tables=replace(TABLES, code_tasks=CodeTask.from_rows(rows)))
    assert 'gold      {"a": "b"}' in text


# --- the terminal --------------------------------------------------------------------------------

IDS = ["lib/add", "aa00", "aa11", "aa22", "lib/add/output.0", "lib/add/program"]


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_line_is_wider_than_the_console(id: str, width: int) -> None:
    long = "f(" + "x" * 300 + ")"
    rows = [execution(long, f"{long} = 3\n")]
    seeds = [seed("lib/add") | {"code": f"{CODE}{long}"}]
    thoughts = [row | {"code": f"{CODE}{long}"} for row in THOUGHTS]
    tables = replace(
        TABLES,
        executions=Execution.from_rows(rows),
        code_seeds=CodeSeed.from_rows(seeds),
        code_thoughts=CodeThought.from_rows(thoughts),
    )
    text = drawn(id, tables=tables, width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    if id in ("lib/add", "aa00"):
        assert text.count("x") > 600  # folded, not cut


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("width", [80, 140])
def test_hostile_text_is_shown_and_never_obeyed(id: str, width: int) -> None:
    evil = "[red]a[/]\x1b[31m\x07\n\tb\r\u202e :smile: [/nonsense] 世界"
    assert TABLES.code_seeds is not None and TABLES.executions is not None
    assert TABLES.code_thoughts is not None and TABLES.code_tasks is not None
    claims = [claim(0, evil, verdict, evil) for verdict in ("holds", "contradicted")]
    over: Row = {"claims": claims, "reasons": [evil], "leak": evil, "verified": False}
    tables = replace(
        TABLES,
        code_seeds=CodeSeed.from_rows(
            [replaced(row, evil) for row in TABLES.code_seeds.to_dicts()]
        ),
        executions=Execution.from_rows(
            [row | {"run": evil} for row in TABLES.executions.to_dicts()]
        ),
        code_thoughts=CodeThought.from_rows(
            [replaced(row, evil) | over for row in TABLES.code_thoughts.to_dicts()]
        ),
        code_tasks=CodeTask.from_rows(
            [replaced(row, evil) for row in TABLES.code_tasks.to_dicts()]
        ),
    )
    text = drawn(id, tables=tables, width=width)
    assert "[red]a[/]�[31m�" in text
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert max(map(cell_len, text.splitlines())) <= width


def replaced(row: Row, text: str) -> Row:
    """The row with all its free text replaced."""
    names = ("question", "code", "tests", "answer", "gold", "engine", "regenerated")
    changed: Row = {name: text for name in names if row.get(name) is not None}
    for name in ("steps", "factors"):
        if name in row:
            changed[name] = [text] * len(row[name])
    return row | changed
