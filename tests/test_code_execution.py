"""Runs made readable: loops, iterations, histories, and when two values are the same."""

import pytest

from datagen.code.execution import Execution, function_of, same_value, trace_trusted


def traced(body: str, call: str = "f(3)", *, parameters: str = "n") -> Execution:
    """The run of a function with this body."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return trace_trusted(f"def f({parameters}):\n{lines}", [call])[0]


def states(execution: Execution, name: str) -> list[list[str | None]]:
    """Per loop that was reached, the values of a variable at the end of each iteration."""
    return [[state.get(name) for state in run.iterations] for run in execution.loop_runs]


@pytest.mark.parametrize(
    ("body", "name", "expected"),
    [
        ("t = 0\nfor i in range(n):\n    t += i\nreturn t", "t", [["0", "1", "3"]]),
        ("while n > 0:\n    n -= 1\nreturn n", "n", [["2", "1", "0"]]),
        ("while True:\n    n -= 1\n    if n < 1:\n        break\nreturn n", "n", [["2", "1", "0"]]),
        ("while True:\n    n -= 1\n    if n < 2:\n        return n", "n", [["2", "1"]]),
        ("for i in range(n):\n    if i == 1:\n        return i", "i", [["0", "1"]]),
        ("for i in range(n):\n    if i == 1:\n        continue\n    n = i", "n", [["0", "0", "2"]]),
        ("for i in []:\n    n = 0\nreturn n", "n", [[]]),
        ("if n < 0:\n    for i in range(n):\n        pass\nreturn n", "n", []),
        ("for i in range(2):\n    for j in range(3):\n        n += j\nreturn n", "n", [["6", "9"]]),
        (
            "for i in range(2):\n    n += i\nfor i in range(2):\n    n *= 2\nreturn n",
            "n",
            [["3", "4"], ["8", "16"]],
        ),
        (
            "for i in range(2):\n    pass\nelse:\n    for j in 'a':\n        n = 0",
            "n",
            [["3", "3"], ["0"]],
        ),
        ("if n:\n    for i in range(1):\n        n = 5\nelse:\n    n = 0", "n", [["5"]]),
        (
            "try:\n    for i in [1, 0]:\n        n = 1 // i\nexcept ArithmeticError:\n    n = 7",
            "n",
            [["1", "1"]],
        ),
        ("try:\n    1 / 0\nexcept Exception:\n    for i in 'a':\n        n = 8", "n", [["8"]]),
        ("with open('/dev/null'):\n    for i in 'a':\n        n = 6", "n", [["6"]]),
        ("match n:\n    case 3:\n        for i in 'a':\n            n = 2", "n", [["2"]]),
    ],
)  # fmt: skip
def test_the_state_at_the_end_of_each_iteration(
    body: str, name: str, expected: list[list[str]]
) -> None:
    assert states(traced(body), name) == expected


def test_a_loop_names_what_it_changes_in_order() -> None:
    body = (
        "g = [[0]]\nd = {}\nfor i, x in enumerate('ab'):\n    y = [k for k in x]\n    g[0][0] = i\n"
        "    d.setdefault(x, []).append(i)\n    d[x].append(2)\n    g[0].pop()\n    g[0].append(0)"
    )
    assert traced(body).loops[0].names == ("i", "x", "y", "g", "d")


def test_history_holds_all_values_of_the_call_itself_alone() -> None:
    execution = trace_trusted(
        "def g(n):\n    n = 100\n    return n\ndef f(n):\n    n += 1\n    k = g(n)\n    return k",
        ["f(1)"],
    )[0]
    assert execution.history == {"n": ("1", "2"), "k": ("100",)}
    assert [frame.name for frame in execution.inner_calls] == ["g"]


def test_a_call_that_enters_no_function_has_no_root() -> None:
    execution = trace_trusted("f = lambda n: n + 1", ["f(1)"])[0]
    assert (execution.root, execution.loops, execution.history) == (None, (), {})


def test_the_call_itself_is_the_root_even_if_its_arguments_call_something() -> None:
    code = "def g(n):\n    return n\ndef f(k):\n    return k"
    assert trace_trusted(code, ["f(g(4))"])[0].arguments == {"k": "4"}


def test_a_function_of_the_module_goes_before_a_method_of_the_same_name() -> None:
    code = (
        "def f(x):\n    return 1\ndef f(y):\n    return 2\n"
        "class A:\n    def f(self):\n        def h(): pass"
    )
    found = function_of(code, "f")
    assert found is not None and found.args.args[0].arg == "y"
    assert function_of(code, "h") is not None
    assert function_of(code, "k") is None


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("1", "1.0", True),
        ("0.1", "0.10000000000000002", True),
        ("[0.1]", "[0.10000000000000002]", True),
        ("(1, [2.0])", "(1, [2])", True),
        ("1", "2", False),
        ("1", "True", False),
        ("[1]", "[True]", False),
        ("[1]", "(1,)", False),
        ("[1]", "[1, 2]", False),
        ("{1, 2}", "{2, 1}", True),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", True),
        ("nan", "nan", True),
        ("inf", "nan", False),
        ("1.0", "'1.0'", False),
        ("None", "0.0", False),
        ("{[1]: 2}", "1", False),
        ("…", "1", False),
        ("'it\\'s'", '"it\'s"', True),
    ],
)
def test_the_same_value(left: str, right: str, same: bool) -> None:
    assert same_value(left, right) is same
    assert same_value(right, left) is same
