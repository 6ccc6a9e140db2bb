"""The tracer: what it records of runs, and that no run can mislead or exhaust it."""

import time
from typing import Any

import pytest

from datagen.code.examine import TRACER
from datagen.code.tracer import ELIDED, bounded, normalised, trace_call
from datagen.verify.sandbox import Limits, Sandbox

LIMITS = Limits(wall_s=8, cpu_s=4, memory_mb=256)


def values(trace: dict[str, Any], name: str, frame: int = 0) -> list[str]:
    """All values that a variable was given in a frame, in order."""
    return [c[name] for idx, _, _, c in trace["moments"] if idx == frame and name in c]


def ends(trace: dict[str, Any]) -> list[tuple[str, int | None, str | None]]:
    """Name, parent and result of each frame."""
    return [(f["name"], f["parent"], f.get("returned")) for f in trace["frames"]]


def test_values_are_recorded_when_they_are_had_not_shared() -> None:
    code = "def f(xs):\n    ys = xs\n    for x in [3, 4]:\n        ys.append(x)\n    return len(ys)"
    trace = trace_call(code, "f([1])")
    assert trace["frames"][0]["arguments"] == {"xs": "[1]"}
    assert values(trace, "ys") == ["[1]", "[1, 3]", "[1, 3, 4]"]
    assert trace["returned"] == "3"


def test_recursive_frames_know_who_called_them() -> None:
    code = (
        "def even(n):\n    return n == 0 or odd(n - 1)\n"
        "def odd(n):\n    return n != 0 and even(n - 1)"
    )
    trace = trace_call(code, "even(2)")
    assert ends(trace) == [("even", None, "True"), ("odd", 0, "True"), ("even", 1, "True")]


def test_two_generators_of_one_function_are_two_frames() -> None:
    code = (
        "def g(n):\n    for i in range(n):\n        yield i\n"
        "def f(n):\n    for x in g(n):\n        pass\n    for x in g(n):\n        pass\n"
        "    return x"
    )
    trace = trace_call(code, "f(2)")
    assert ends(trace) == [("f", None, "1"), ("g", 0, None), ("g", 0, None)]
    assert values(trace, "i", 1) == values(trace, "i", 2) == ["0", "1"]


def test_a_generator_gives_its_items() -> None:
    assert trace_call("def f(n):\n    yield from range(n)", "f(3)")["returned"] == "[0, 1, 2]"
    endless = "def f():\n    while True:\n        yield 1"
    assert trace_call(endless, "f()")["returned"] == ELIDED


CAUGHT = """
def g(n):
    try:
        raise KeyError(n)
    except KeyError:
        return 4
    finally:
        n += 1
def f(n):
    try:
        return g(n)
    finally:
        n = 9
"""
ESCAPES = """
def g():
    raise ValueError('no')
def f(n):
    try:
        g()
    except ValueError as error:
        n = 9
    return n
"""


def test_a_frame_that_raises_has_no_result_and_one_that_catches_has() -> None:
    trace = trace_call(CAUGHT, "f(1)")
    assert ends(trace) == [("f", None, "4"), ("g", 0, "4")]
    assert values(trace, "n") == ["9"]
    assert ends(trace_call(ESCAPES, "f(1)")) == [("f", None, "9"), ("g", 0, None)]


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("def f():\n    return [1][3]", "IndexError: list index out of range"),
        ("import sys\ndef f():\n    sys.exit(3)", "SystemExit: 3"),
        ("class Stop(BaseException): pass\ndef f():\n    raise Stop", "Stop: "),
        (
            "class Mute(Exception):\n    def __str__(self): return 1 / 0\ndef f():\n    raise Mute",
            "Mute: ",
        ),
        ("def f():\n    raise ValueError('x' * 10**6)", ("ValueError: " + "x" * 160)[:160]),
    ],
)
def test_an_exception_that_escapes_is_told(code: str, raised: str) -> None:
    trace = trace_call(code, "f()")
    assert (trace["returned"], trace["raised"], trace["complete"]) == (None, raised, True)
    assert ends(trace) == [("f", None, None)]


def test_a_loop_over_a_generator_at_the_very_end_still_returns() -> None:
    code = "def g():\n    yield 1\ndef f():\n    for x in g():\n        pass"
    assert ends(trace_call(code, "f()"))[0] == ("f", None, "None")


def test_variables_of_closures_are_seen_where_they_live() -> None:
    code = (
        "def f(x):\n    y = 1\n    def g():\n        nonlocal y\n        y += x\n    g()\n    g()\n"
        "    return y"
    )
    trace = trace_call(code, "f(2)")
    assert values(trace, "y") == ["1", "3", "5"]
    assert [f["arguments"] for f in trace["frames"]] == [{"x": "2"}, {}, {}]


def test_comprehensions_lambdas_and_bodies_of_classes_are_no_frames() -> None:
    code = (
        "def f(n):\n    class C:\n        k = n\n        def m(self):\n            return self.k\n"
        "    xs = [i * i for i in range(n)]\n    return sorted(xs, key=lambda x: -x), C().m()"
    )
    trace = trace_call(code, "f(3)")
    assert [f["name"] for f in trace["frames"]] == ["f", "m"]
    assert trace["frames"][1]["arguments"] == {"self": ELIDED}
    assert values(trace, "xs") == ["[0, 1, 4]"]
    assert values(trace, "i") == []


def test_every_kind_of_parameter_is_an_argument() -> None:
    code = "def f(a, /, b, *rest, c=3, **more):\n    d = 1\n    return d"
    trace = trace_call(code, "f(1, 2, 5, x=4)")
    expected = {"a": "1", "b": "2", "c": "3", "rest": "(5,)", "more": "{'x': 4}"}
    assert trace["frames"][0]["arguments"] == expected


def test_runs_share_neither_defaults_nor_globals() -> None:
    code = (
        "n = 0\ndef f(x, seen=[]):\n    global n\n    n += 1\n    seen.append(x)\n"
        "    return n, seen"
    )
    assert [trace_call(code, "f(7)")["returned"] for _ in range(2)] == ["(1, [7])"] * 2


def test_a_deleted_variable_is_not_known_any_more() -> None:
    assert values(trace_call("def f():\n    x = 1\n    del x\n    return 2", "f()"), "x") == [
        "1",
        ELIDED,
    ]


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    n = 0\n    while True:\n        n += 1",
        "def f():\n    try:\n        while True:\n            n = 1\n    except BaseException:\n"
        "        pass\n    return 1",
        "def f():\n    try:\n        while True:\n            n = 1\n    finally:\n"
        "        return 1",
        "def f():\n    return f()",
        "def f(n=0):\n    try:\n        return f(n + 1)\n    except RecursionError:\n        pass",
        "import sys\ndef f():\n    sys.settrace(None)\n    x = 1\n    return x",
    ],
)
def test_a_run_that_was_not_seen_to_its_end_claims_no_end(code: str) -> None:
    trace = trace_call(code, "f()", max_events=1500)
    assert (trace["complete"], trace["returned"], trace["raised"]) == (False, None, None)
    assert len(trace["moments"]) <= 1500


class Hostile:
    def __repr__(self) -> str:
        raise SystemExit

    __len__ = __eq__ = __hash__ = __repr__  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ({"a": [1, (2.5, True)]}, "{'a': [1, (2.5, True)]}"),
        (set[int](), "set()"),
        (float("inf"), "inf"),
        ("x" * 158, repr("x" * 158)),
        ("x" * 159, ELIDED),
        (10**159, str(10**159)),
        (10**160, ELIDED),
        ([1] * 80, ELIDED),
        ([1] * 53, repr([1] * 53)),
        (Hostile(), ELIDED),
        ([Hostile()], ELIDED),
        ({1: Hostile()}, ELIDED),
        (range(3), ELIDED),
    ],
)
def test_only_short_plain_data_is_kept(value: object, text: str) -> None:
    assert bounded(value) == text


def test_what_is_huge_is_elided_without_a_look_at_all_of_it() -> None:
    knot: list[Any] = []
    knot.extend([knot] * 70)
    began = time.process_time()  # looking at all of it would take minutes
    for value in (10**100_000, "x" * 10**7, [[[[1] * 80] * 80] * 80] * 80, knot, [[0] * 70] * 70):
        for _ in range(20):
            assert bounded(value) == ELIDED
    assert time.process_time() - began < 2


def test_normalised_code_has_no_docstrings_and_stays_as_it_is() -> None:
    code = '"""Module."""\ndef f(x):  # comment\n    "doc"\n    "doc?"\n\n    return (x)\n'
    once = normalised(code)
    assert once == "def f(x):\n    return x"
    assert normalised(once) == once
    assert normalised("class A:\n    'only'") == "class A:\n    pass"


@pytest.mark.parametrize("code", ["def f(:", "x = '\0'", "x = " + "-" * 5000 + "1"])
def test_unreadable_code_is_a_syntax_error(code: str) -> None:
    with pytest.raises(SyntaxError):
        normalised(code)


@pytest.fixture(scope="module")
def sandbox() -> Any:
    with Sandbox(mode="weak", limits=LIMITS, size=1) as opened:
        yield opened


@pytest.mark.parametrize(
    ("code", "returned", "raised"),
    [
        (
            "import os\ndef f(n):\n    os.write(1, b'{\"traces\": 3}\\nhalf')\n    return n",
            "1",
            None,
        ),
        ("import sys\ndef f(n):\n    sys.__stdout__.write('half')\n    return n", "1", None),
        ("def f(n):\n    for _ in range(9):\n        print('x' * 10**7)\n    return n", "1", None),
        ("def f(n):\n    return input('?')", None, "EOFError: EOF when reading a line"),
        (
            "import threading, time\n"
            "def f(n):\n    threading.Thread(target=time.sleep, args=(60,)).start()\n    return n",
            "1",
            None,
        ),
    ],
)
def test_nothing_that_the_code_writes_or_leaves_behind_spoils_the_reply(
    sandbox: Sandbox, code: str, returned: str | None, raised: str | None
) -> None:
    reply = sandbox.run_script(TRACER, {"code": code, "calls": ["f(1)"]})
    assert isinstance(reply, dict)
    (trace,) = reply["traces"]
    assert (trace["returned"], trace["raised"], trace["complete"]) == (returned, raised, True)
