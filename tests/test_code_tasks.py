"""The questions that code seeds give; their own answers are right by the real verifiers."""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from datagen.code.run import trace_seeds
from datagen.code.tasks import make_tasks
from datagen.verify import VERIFIERS
from datagen.verify.sandbox import Limits, Sandbox, configure_default
from schemas import CodeSeed, CodeTask

FUNCTIONS: dict[str, tuple[str, list[str]]] = {
    "numbers": (
        '"""Mean."""\ndef f(xs, k=2):\n    t = 0.0\n    for x in xs:\n        t += x * k\n'
        "    return t / 3",
        ["f([1, 2])", "f([], k=1)", "f([0.1, 0.2], 7)"],
    ),
    "text": ("def f(s):\n    return s[::-1] + '\"'", ["f(\"it's\")", "f('\\n')"]),
    "sets": ("def f(s):\n    return {c: set(c) for c in s}, set(s[:0])", ["f('ab')"]),
    "nothing": ("def f(x):\n    x.append(1)", ["f([])"]),
    "named": ("def f(x):\n    return [float('inf'), -float('inf'), x > 1]", ["f(2)"]),
    "generator": ("def f(n):\n    yield from range(n)", ["f(3)"]),
    "lazy": ("def f(n):\n    return (i for i in range(n))", ["f(3)"]),
    "raising": ("def f(n):\n    return 1 / n", ["f(0)", "f(2)"]),
    "long": ("def f(n):\n    return [7] * n", ["f(500)", "f(2)"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def tasks() -> Iterator[pl.DataFrame]:
    limits = Limits(wall_s=8, cpu_s=4, memory_mb=256)
    configure_default(mode="weak", limits=limits)
    rows: list[dict[str, Any]] = [
        {
            "seed_id": name,
            "question": "Do it.",
            "code": code,
            "entry_point": "f",
            "tests": "assert callable(f) and f != 1",
            "prelude": "",
            "calls": calls,
            "source": "test",
            "license": "MIT",
            "meta": "{}",
        }
        for name, (code, calls) in FUNCTIONS.items()
    ]
    seeds = CodeSeed.from_rows(rows)
    with Sandbox(mode="weak", limits=limits, size=1) as sandbox:
        yield make_tasks(seeds, trace_seeds(seeds, sandbox))
    configure_default()


def of(tasks: pl.DataFrame, kind: str) -> list[dict[str, Any]]:
    return tasks.filter(pl.col("kind") == kind).to_dicts()


def test_tasks_are_valid_and_every_seed_has_its_program(tasks: pl.DataFrame) -> None:
    assert CodeTask.is_valid(tasks)
    assert [row["seed_id"] for row in of(tasks, "program")] == list(FUNCTIONS)
    assert tasks["task_id"].is_unique().all()


def test_only_values_known_in_full_are_foretold(tasks: pl.DataFrame) -> None:
    predicted = {row["task_id"]: row["answer"] for row in of(tasks, "output")}
    assert len(predicted) == 9
    assert not any(task_id.startswith(("generator", "lazy")) for task_id in predicted)
    assert predicted["raising/output.0"] == "0.5"
    assert predicted["long/output.0"] == "[7, 7]"
    assert predicted["nothing/output.0"] == "None"


@pytest.mark.parametrize("kind", ["output", "input"])
def test_the_own_answer_of_a_task_is_right(tasks: pl.DataFrame, kind: str) -> None:
    rows = of(tasks, kind)
    assert len(rows) == 9
    for row in rows:
        verdict = VERIFIERS[row["verifier"]](row["answer"], row["gold"])
        assert verdict.outcome == "correct", (row["task_id"], verdict)


def test_another_output_is_wrong(tasks: pl.DataFrame) -> None:
    rows = of(tasks, "output")
    for row, other in zip(rows, [*rows[1:], rows[0]], strict=True):
        assert VERIFIERS["python_output"](other["answer"], row["gold"]).outcome == "wrong"


def test_an_input_with_another_result_is_wrong_and_with_the_same_is_right(
    tasks: pl.DataFrame,
) -> None:
    gold = next(row["gold"] for row in of(tasks, "input") if row["seed_id"] == "long")
    judge = VERIFIERS["python_input"]
    assert judge("f(3)", gold).outcome == "wrong"
    assert judge("f(n=2)", gold).outcome == "correct"


def test_a_program_is_judged_by_the_tests_of_its_seed(tasks: pl.DataFrame) -> None:
    row = next(row for row in of(tasks, "program") if row["seed_id"] == "text")
    gold = json.dumps({**json.loads(row["gold"]), "tests": "assert f('ab') == 'ba\"'"})
    judge = VERIFIERS["python"]
    assert judge(row["answer"], gold).outcome == "correct"
    assert judge("def f(s):\n    return s", gold).outcome == "wrong"


def test_questions_show_the_code_without_its_documentation(tasks: pl.DataFrame) -> None:
    output, given = (
        next(row for row in of(tasks, kind) if row["seed_id"] == "numbers")
        for kind in ("output", "input")
    )
    assert output["question"].startswith("What does f([1, 2]) return?\ndef f(xs, k=2):\n")
    assert given["question"].startswith("Which call of f returns 2.0?\ndef f(xs, k=2):\n")


def test_a_walk_ends_with_the_answer(tasks: pl.DataFrame) -> None:
    for row in of(tasks, "output"):
        assert row["steps"][-1].endswith(f" returns {row['answer']}")
        assert set(row["factors"]) <= {"TryExample", "SimulateExecution", "CheckResult"}
