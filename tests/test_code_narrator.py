"""The narrator, the plan and the bounded telling: true, readable back, and never too long."""

import json
import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.code.check import check_thought
from datagen.code.claims import extract_claims
from datagen.code.examine import TRACER
from datagen.code.execution import Execution, executions_of, function_of, trace_trusted
from datagen.code.happenings import render_execution
from datagen.code.leaks import find_leak
from datagen.code.narrator import NarratorStyle, goal_of, narrate, ordinal
from datagen.code.plan import plan_of
from datagen.factors.taxonomy import Factor
from datagen.reasoner.functions import draw_function
from datagen.seeds.code.calls import calls_of
from datagen.seeds.code.humaneval import from_humaneval
from datagen.traces.model import Step
from datagen.verify.sandbox import Limits, Sandbox
from tests.narrated_functions import FUNCTIONS

LIMITS = Limits(wall_s=8, cpu_s=4, memory_mb=256)

STYLES = (NarratorStyle(), NarratorStyle(restate=False, n_givens=1, one_plan=True))


def told(executions: tuple[Execution, ...], question: str = "", name: str = "f") -> list[str]:
    return [step.text for step in narrate(question, executions, entry_point=name)]


def claims_of_the_plan(steps: tuple[Step, ...], executions: tuple[Execution, ...]) -> list[str]:
    """What somebody would take for claims in the plan, were it told as a run."""
    names = {name for e in executions for m in e.moments for name in m.changes}
    names.update(name for e in executions for frame in e.frames for name in frame.arguments)
    functions = {frame.name for e in executions for frame in e.frames}
    plan = [Step(s.text, Factor.SIMULATE_EXECUTION) for s in steps if s.factor is Factor.PLAN]
    return [claim.text for claim in extract_claims(plan, names=names, functions=functions)]


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES, ids=["long", "short"])
@pytest.mark.parametrize(("code", "calls"), FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_all_that_is_told_of_a_function_holds(
    code: str, calls: list[str], style: NarratorStyle
) -> None:
    for k in range(len(calls)):
        executions = trace_trusted(code, [*calls[k:], *calls[:k]])
        question = f"Write a function that serves, for example, {calls[k]}."
        steps = narrate(question, executions, entry_point="f", style=style)
        assert steps
        assert all(step.text and step.provenance == "code" for step in steps)
        check = check_thought(steps, executions, entry_point="f")
        verdicts = {claim.claim.text: claim.verdict for claim in check.claims}
        assert set(verdicts.values()) <= {"holds"}, verdicts
        assert find_leak(steps, code=code) is None
        assert claims_of_the_plan(steps, executions) == []
        assert len(render_execution(executions[0])) < 3000


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0), st.booleans(), st.sampled_from(STYLES))
def test_all_that_is_told_of_the_reasoners_world_holds(
    seed: int, unseen: bool, style: NarratorStyle
) -> None:
    function = draw_function(Random(seed), unseen=unseen)
    executions = trace_trusted(function.code, function.calls)
    steps = narrate(function.question, executions, entry_point=function.name, style=style)
    check = check_thought(steps, executions, entry_point=function.name)
    assert {claim.verdict for claim in check.claims} == {"holds"}
    assert find_leak(steps, code=function.code) is None
    assert claims_of_the_plan(steps, executions) == []


def test_nothing_is_told_without_a_run() -> None:
    assert narrate("Do it.", (), entry_point="f") == ()


def test_a_whole_narration_in_order() -> None:
    code = "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t"
    question = "Write a function f(xs) that adds up xs. For example, f([3, 4]) returns 7."
    executions = trace_trusted(code, ["f([3, 4])", "f([5])"])
    steps = narrate(question, executions, entry_point="f")
    assert [(step.text, step.factor) for step in steps] == [
        ("we need f(xs) that adds up xs", Factor.RESTATE_GOAL),
        ("f([3, 4]) returns 7", Factor.EXTRACT_GIVENS),
        ("set t to 0", Factor.PLAN),
        ("for each x in xs: add x to t", Factor.PLAN),
        ("give back t", Factor.PLAN),
        ("take xs = [3, 4]", Factor.TRY_EXAMPLE),
        ("at first t = 0", Factor.SIMULATE_EXECUTION),
        ("after the first iteration, x = 3, t = 3", Factor.SIMULATE_EXECUTION),
        ("after the second iteration, x = 4, t = 7", Factor.SIMULATE_EXECUTION),
        ("so f([3, 4]) returns 7", Factor.CHECK_RESULT),
    ]


def test_examples_of_the_question_are_known_however_they_are_quoted_and_spaced() -> None:
    executions = trace_trusted("def f(s, k):\n    return s * k", ["f('ab', 2)", "f('c', 1)"])
    texts = told(executions, '    >>> f("ab",2)\n    "abab"')
    assert "f('ab', 2) returns 'abab'" in texts
    assert not any("'c'" in text for text in texts)


def test_every_kind_of_parameter_is_named() -> None:
    executions = trace_trusted("def f(a, /, b=1, *c, d, **e):\n    return b", ["f(1, d=2)"])
    texts = told(executions)
    assert texts[0] == "we need f(a, b, *c, d, **e)"
    assert "take f(1, d=2)" in texts


def test_inner_calls_are_written_as_they_can_be_made() -> None:
    code = (
        "def g(*a):\n    return sum(a)\ndef h(n, *, k):\n    return n + k\n"
        "def f(n):\n    return g(n, 2) + h(n, k=4)"
    )
    texts = told(trace_trusted(code, ["f(3)"]))
    assert [text for text in texts if "inner" in text] == ["the inner call h(3, k=4) returns 7"]


def test_a_long_loop_is_told_by_its_first_iterations_and_its_last() -> None:
    code = "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t"
    texts = told(trace_trusted(code, ["f(500)"]))
    assert texts[-6:] == [
        "the loop runs 500 times",
        "after the first iteration, i = 0, t = 0",
        "after the second iteration, i = 1, t = 1",
        "after the third iteration, i = 2, t = 3",
        "after the last iteration, i = 499, t = 124750",
        "so f(500) returns 124750",
    ]


def test_a_run_that_was_cut_off_tells_of_no_end() -> None:
    code = "def f(n):\n    while n:\n        n += 1\n    return n"
    texts = told(trace_trusted(code, ["f(1)"]))
    assert texts[-1] == "after the third iteration, n = 4"
    assert not any("runs" in text or "last" in text for text in texts)


def test_deep_recursion_is_told_by_its_innermost_calls() -> None:
    code = "def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)"
    texts = told(trace_trusted(code, ["f(300)"]))
    assert [text for text in texts if "inner" in text] == [
        f"the inner call f({n}) returns {n}" for n in range(6)
    ]


@pytest.mark.parametrize(
    ("question", "goal"),
    [
        ("Write a function to find the shared items.", " to find the shared items"),
        ("Write a python function to find it.", " to find it"),
        ("Write a function f(xs) that adds. For example, f(1) returns 2.", " that adds"),
        ("Please implement the function `g(x, y=(1, 2))` which adds.", " which adds"),
        ("Your task is to write a function that adds.", " that adds"),
        ("This function takes a list. Do it.", " that takes a list"),
        ("Double a number: f(2) is 4.", ": Double a number: f(2) is 4"),
        ("Round 2.5 up. Then stop.", ": Round 2.5 up"),
        ('def f(x):\n    """Add one.\n    >>> f(1)\n    2\n    """\n', ": Add one"),
        ('import re\n\ndef f(\n    x: int,\n):\n    """ Check\n    it.\n    """', ": Check it"),
        ('def f(x): """Add one."""', ": Add one"),
        ("def f(x):\n    '''\n    Add \\d.\n    '''", ": Add \\d"),
        ("```python\ndef f(x):\n```\nAdd one.", ": Add one"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_goal_of_a_question(question: str, goal: str) -> None:
    assert goal_of(question) == goal


def test_ordinals() -> None:
    numbers = (1, 12, 13, 21, 22, 23, 101, 111, 112, 113)
    words = "first twelfth 13th 21st 22nd 23rd 101st 111th 112th 113th"
    assert " ".join(map(ordinal, numbers)) == words


@pytest.mark.parametrize(
    ("code", "phrases"),
    [
        ("x = x + 1", ["add 1 to x"]),
        ("x = y - 1", ["set x to y - 1"]),
        ("x = y = 0", ["set x and y to 0"]),
        ("a, b = b, a", ["set (a, b) to (b, a)"]),
        ("x: int = 4\ny: int", ["set x to 4"]),
        ("x -= 2\nx //= 3\nx %= 4\nx <<= 1", [
            "take 2 from x", "divide x by 3, rounding down", "keep the remainder of x by 4",
            "change x by 1",
        ]),
        ("for i in x:\n    y += i\nelse:\n    return", [
            "for each i in x: add i to y", "if that was never broken off: give back nothing",
        ]),
        ("while x:\n    break\nelse:\n    pass", [
            "as long as x: stop there", "if that was never broken off: do nothing",
        ]),
        ("if x:\n    if y:\n        z.append(1)\n    continue", [
            "if x: (if y: append 1 to z), then go on with the next one",
        ]),
        ("if x:\n    y = 1\nelse:\n    y = 2", ["if x: set y to 1; otherwise set y to 2"]),
        ("raise ValueError('no')", ["fail with ValueError('no')"]),
        ("raise", ["fail with that error"]),
        ("assert x > 1, 'no'", ["demand that x > 1"]),
        ("del x, y[0]", ["drop x and y[0]"]),
        ("global x\nnonlocal y\npass\n'text'", []),
        ("import os\nfrom re import sub", ["use os", "use re.sub"]),
        ("print(x)", ["do print(x)"]),
        ("yield x\nyield\nyield from y", ["hand out x", "hand out nothing", "hand out each of y"]),
        ("with open(p) as f, g:\n    x = 0", ["using open(p) as f and g: set x to 0"]),
        ("try:\n    x = 1\nexcept (A, B):\n    raise\nexcept:\n    pass\nelse:\n    y = 1\n"
         "finally:\n    z = 1", [
            "try this: set x to 1; if it fails with (A, B): fail with that error; if it fails: do "
            "nothing; if it does not fail: set y to 1; in the end: set z to 1",
        ]),
        ("match x:\n    case 1 if y:\n        z = 2\n    case _:\n        z = 3", [
            "look at x; if it is like 1 and y: set z to 2; otherwise set z to 3",
        ]),
        ("def g(a, b=1):\n    '''Doc.'''\n    return a", ["a helper g(a, b=1): give back a"]),
        ("class A(B):\n    def m(self):\n        return 1", [
            "a class A based on B: a helper m(self): give back 1",
        ]),
    ],
)  # fmt: skip
def test_every_kind_of_statement_has_words(code: str, phrases: list[str]) -> None:
    body = "".join(f"    {line}\n" for line in code.split("\n"))
    function = function_of(f"def f(x):\n{body}", "f")
    assert function is not None
    assert list(plan_of(function)) == phrases


@pytest.mark.slow
def test_what_is_told_of_humaneval_holds() -> None:
    beside = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("DATAGEN_SHARED_DATA", beside)) / "humaneval_60.jsonl"
    if not path.exists():
        pytest.skip(f"no HumanEval rows at {path}; set DATAGEN_SHARED_DATA to their folder")
    verdicts: Counter[str] = Counter()
    n_traced, leaks = 0, list[str]()
    with Sandbox(mode="weak", limits=LIMITS, size=1) as sandbox:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = from_humaneval(json.loads(line))
            code, name = str(row["code"]), str(row["entry_point"])
            calls = calls_of(str(row["question"]), str(row["tests"]), name)[:3]
            reply = sandbox.run_script(TRACER, {"code": code, "calls": calls})
            assert isinstance(reply, dict)
            executions = executions_of(code, reply["traces"])
            n_traced += any(e.returned is not None for e in executions)
            steps = narrate(str(row["question"]), executions, entry_point=name)
            check = check_thought(steps, executions, entry_point=name)
            verdicts.update(claim.verdict for claim in check.claims)
            leaks += [leak] if (leak := find_leak(steps, code=code)) else []
    assert n_traced >= 55
    assert verdicts["contradicted"] == 0
    assert verdicts["holds"] >= 0.95 * verdicts.total() > 300
    assert leaks == []


def test_an_element_beside_an_infinity_cannot_be_checked_and_breaks_nothing() -> None:
    code = "def f(n):\n    out = [float('inf'), n]\n    return out"
    claim = Step("out[1] = 2, so out[0] = 3", Factor.SIMULATE_EXECUTION)
    check = check_thought([claim], trace_trusted(code, ["f(2)"]), entry_point="f")
    assert {checked.verdict for checked in check.claims} == {"uncheckable"}
