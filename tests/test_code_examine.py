"""Runs and tests through the sandbox, and which run is walked through."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from datagen.code.examine import (
    NO_PROGRAM,
    Program,
    SandboxExaminer,
    example_first,
    record_of,
)
from datagen.code.execution import executions_of, trace_trusted
from datagen.verify.sandbox import Limits, Sandbox

CODE = "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t"
LIMITS = Limits(wall_s=2, cpu_s=2, memory_mb=256)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mode="weak", limits=LIMITS, size=1) as opened:
        yield opened


@pytest.fixture
def examiner(sandbox: Sandbox) -> SandboxExaminer:
    return SandboxExaminer(sandbox)


def program(seed_id: str = "a") -> Program:
    return Program(seed_id, "Add up.", CODE, "f", "assert f([1, 2]) == 3", "", ())


def test_the_sandbox_sees_the_same_run_as_this_process(examiner: SandboxExaminer) -> None:
    calls = ["f([1, 2])", "f([])", "f(3)"]
    assert examiner.trace(CODE, calls) == trace_trusted(CODE, calls)
    assert examiner.trace(CODE, []) == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "fatal",
    [
        "import os; os._exit(0)",
        "sum(iter(int, 1))",
        'import os; os.write(1, b\'{"traces": [{"call": 3}]}\\n\'); os._exit(0)',
    ],
)
def test_a_call_that_kills_the_tracer_leaves_the_others(
    examiner: SandboxExaminer, fatal: str
) -> None:
    code = f"def f(n):\n    if n == 1:\n        {fatal}\n    return n"
    found = examiner.trace(code, ["f(0)", "f(1)", "f(2)"])
    assert [run.returned for run in found] == ["0", "2"]


def test_code_that_cannot_be_read_has_no_runs(examiner: SandboxExaminer) -> None:
    assert examiner.trace("def f(:", ["f(1)", "f(2)"]) == ()


def test_failures_tell_why(examiner: SandboxExaminer) -> None:
    wrong = "def f(xs):\n    return 7"
    told = examiner.failures(program(), [CODE, wrong, None, wrong, "def g(): pass", "def f(:"])
    assert told[0] is None
    assert told[1] == told[3] == "f([1, 2]) returned 7, not 3"
    assert told[2] == NO_PROGRAM
    assert told[4] and "no function 'f'" in told[4]
    assert told[5] and "does not load" in told[5]


def test_a_program_is_judged_once_however_it_is_laid_out(
    examiner: SandboxExaminer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_run: list[int] = []
    real = sandbox.run_tests_many
    monkeypatch.setattr(
        sandbox, "run_tests_many", lambda jobs: n_run.append(len(jobs)) or real(jobs)
    )
    other = "def f(xs):\n    return sum(xs)"
    assert examiner.failures(program(), [other, other + "  # so"]) == [None, None]
    assert examiner.failures(program(), [other, "# the seed's own\n" + CODE]) == [None, None]
    assert examiner.failures(program("b"), [other]) == [None]
    assert [n for n in n_run if n] == [1, 1]


def test_the_example_of_the_question_in_which_something_happens_comes_first() -> None:
    runs = trace_trusted(CODE, ["f([])", "f([9])", "f([1, 2])", "f(0)"])
    ordered = example_first('Add up: f([]) is 0 and f( [1,2] ) is 3, "f(0)" fails.', runs)
    assert [run.call for run in ordered] == ["f([1, 2])", "f([])", "f([9])", "f(0)"]
    assert example_first("Add up.", runs)[0].call == "f([9])"
    assert example_first("Add up: f([]) is 0.", runs[:1]) == runs[:1]
    assert example_first("Add up.", ()) == ()


def test_a_run_that_was_cut_off_comes_last() -> None:
    whole, other = trace_trusted(CODE, ["f([])", "f([1])"])
    cut = replace(other, complete=False, returned=None)
    assert example_first("f([1])", [cut, whole])[0] == whole


def test_a_record_is_read_back_as_the_same_run() -> None:
    code = (
        "def g(n):\n    return n\ndef f(n):\n    if n:\n        raise ValueError\n    return g(n)"
    )
    runs = trace_trusted(code, ["f(0)", "f(1)"])
    assert executions_of(code, list(map(record_of, runs))) == runs
