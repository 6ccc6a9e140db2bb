import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from datagen.verify import Outcome, gold_is_parseable, verify_completion
from datagen.verify.sandbox import Limits, configure_default
from tests.sandboxes import open_sandbox

pytestmark = pytest.mark.slow  # many sandboxes: more than a minute in all


@pytest.fixture(scope="module", autouse=True, params=["bubblewrap", "weak"])
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    open_sandbox(request.param).close()
    # gcc and Z3 map much more than they use.
    configure_default(mode=request.param, limits=Limits(wall_s=20, cpu_s=15, memory_mb=2048))
    yield request.param
    configure_default()


def judge(answer: str, **gold: Any) -> tuple[str, str]:
    verdict = verify_completion(answer, json.dumps(gold), verifier="command")
    return verdict.outcome, verdict.reason


GCC = {"argv": ["gcc", "-Wall", "-Werror", "-c", "answer.c"], "answer_file": "answer.c"}

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc")


@needs_gcc
def test_a_compiler_decides() -> None:
    good = "Here it is:\n\n```c\nint twice(int x) { return 2 * x; }\n```\nDone."
    assert judge(good, **GCC) == (Outcome.CORRECT, "gcc accepted it")
    outcome, reason = judge(good.replace("2 * x", "2 * y"), **GCC)
    assert outcome == Outcome.WRONG
    assert "gcc ended with 1, not 0" in reason and "answer.c" in reason


@needs_gcc
def test_a_program_is_compiled_run_and_judged_by_what_it_prints() -> None:
    main = '#include <stdio.h>\nint twice(int);\nint main(void) { printf("%d\\n", twice(21)); }\n'
    gold = {
        "argv": ["sh", "-c", "gcc answer.c main.c -o program && ./program"],
        "files": {"main.c": main},
        "answer_file": "answer.c",
        "expect_stdout": r"\A42$",
    }
    assert judge("int twice(int x) { return 2 * x; }\n", **gold)[0] == Outcome.CORRECT
    outcome, reason = judge("int twice(int x) { return 3 * x; }\n", **gold)
    assert outcome == Outcome.WRONG
    assert "is not in the output '63\\n'" in reason


Z3 = """
import sys
import z3

x, y = z3.Ints("x y")
given = dict(line.split("=") for line in open("answer.txt").read().split())
solver = z3.Solver()
solver.add(3 * x + 2 * y == 22, x - y == 4)
solver.add(*(variable == int(given[str(variable)]) for variable in (x, y)))
print(solver.check())
sys.exit(0 if solver.check() == z3.sat else 1)
"""


def test_a_solver_decides() -> None:
    pytest.importorskip("z3", reason="needs Z3: pip install 'datagen[dev]'")
    gold = {
        "argv": ["python", "check.py"],
        "files": {"check.py": Z3},
        "answer_file": "answer.txt",
        "expect_stdout": r"^sat$",
    }
    assert judge("<Think_Start>\n<Think_End>\nx=6\ny=2", **gold)[0] == Outcome.CORRECT
    assert judge("<Think_Start>\n<Think_End>\nx=4\ny=5", **gold)[0] == Outcome.WRONG


def test_a_missing_program_decides_nothing_and_is_named() -> None:
    outcome, reason = judge("theorem", argv=["lean-not-here", "a.lean"], answer_file="a.lean")
    assert outcome == Outcome.UNVERIFIABLE
    assert reason == "there is no program 'lean-not-here' in the sandbox"


def test_another_exit_status_can_be_the_right_one() -> None:
    gold = {"argv": ["sh", "answer.sh"], "answer_file": "answer.sh", "expect_status": 3}
    assert judge("exit 3", **gold)[0] == Outcome.CORRECT
    assert judge("exit 0", **gold)[0] == Outcome.WRONG


def test_a_program_that_does_not_end_did_not_accept(mode: str) -> None:
    configure_default(mode=mode, limits=Limits(wall_s=0.5))  # type: ignore[arg-type]
    outcome, reason = judge("x", argv=["sleep", "30"], answer_file="a")
    assert (outcome, reason) == (Outcome.WRONG, "sleep did not end within 0.5 s")
    configure_default(mode=mode, limits=Limits(wall_s=20, memory_mb=2048))  # type: ignore[arg-type]


def test_an_answer_that_is_only_thought_is_unverifiable() -> None:
    assert judge("<Think_Start>\nlet me see", **GCC)[0] == Outcome.UNVERIFIABLE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"argv": None}, "'argv' is NoneType"),
        ({"argv": []}, "'argv' is not a list of strings"),
        ({"argv": ["gcc", 1]}, "'argv' is not a list of strings"),
        ({"answer_file": "../x"}, "leads out of the folder"),
        ({"files": {"/etc/x": ""}}, "leads out of the folder"),
        ({"files": {"x": 1}}, "'files' are not texts"),
        ({"expect_stdout": "("}, "'expect_stdout' is no pattern"),
        ({"expect_status": "0"}, "'expect_status' is str"),
    ],
)
def test_a_gold_answer_that_cannot_be_used_is_told(change: dict[str, Any], reason: str) -> None:
    gold = {**GCC, **change}
    assert not gold_is_parseable(json.dumps(gold), verifier="command")
    outcome, told = judge("x", **gold)
    assert outcome == Outcome.UNVERIFIABLE
    assert reason in told


def test_a_usable_gold_answer_is_parseable_and_other_text_is_not() -> None:
    assert gold_is_parseable(json.dumps(GCC), verifier="command")
    assert not gold_is_parseable("gcc", verifier="command")
    assert not gold_is_parseable('{"argv": ["gcc"]}', verifier="command")
