import pytest

from datagen.code.check import check_thought, wanted_calls
from datagen.code.check.verdicts import combined
from datagen.code.execution import Execution, trace_trusted
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step

SQUARES = """
def f(xs):
    total = 0
    for x in xs:
        if x % 2 == 0:
            total += x * x
    return total
"""
TWO_LOOPS = """
def f(s, k=2):
    counts = {}
    for c in s:
        counts[c] = counts.get(c, 0) + 1
    out = ''
    i = 0
    while i < k:
        out += s[i]
        i += 1
    return out
"""
NESTED = """
def f(n):
    total = 0
    for i in range(n):
        for j in range(i + 1):
            total += j
    return total
"""
RECURSIVE = """
def f(n):
    if n < 0:
        raise ValueError('negative')
    if n == 0:
        return 1
    rest = f(n - 1)
    return n * rest
"""
WITH_HELPER = """
def helper(a, b=1):
    c = a * b
    return c
def f(n):
    d = helper(n, 3)
    return d + 1
"""
LONG = """
def f(n):
    xs = []
    for i in range(n):
        xs.append(i * 1000)
    return len(xs)
"""
SIM, CHECK = Factor.SIMULATE_EXECUTION, Factor.CHECK_RESULT


def verdicts(
    executions: tuple[Execution, ...], *texts: str | tuple[str, Factor], factor: Factor = SIM
) -> list[str]:
    steps = [Step(t, factor) if isinstance(t, str) else Step(*t) for t in texts]
    return [c.verdict for c in check_thought(steps, executions, entry_point="f").claims]


@pytest.fixture(scope="module")
def squares() -> tuple[Execution, ...]:
    return trace_trusted(SQUARES, ["f([1, 2, 4])", "f([3])"])


PROSE = [
    # In the manner of large models; on f([1, 2, 4]), which goes 0, 4, 20.
    ("Let's trace through it. Initially, total = 0.", ["holds"]),
    ("Initially, total = 4.", ["contradicted"]),
    ("In the first iteration, x = 1, which is odd, so total stays 0.", ["holds", "holds"]),
    ("Iteration 2: x = 2 is even, so total becomes 0 + 4 = 4.", ["holds", "holds", "holds"]),
    ("Iteration 3: x = 4 is even; total becomes 21.", ["holds", "contradicted"]),
    ("In iteration 3 we get total = 4 + 16 = 21.", ["contradicted", "contradicted"]),
    ("On the second pass, `x` is 2 and `total` becomes `4`.", ["holds", "holds"]),
    ("After processing 4, total = 20.", ["holds"]),
    ("After processing 4, total = 18.", ["contradicted"]),
    ("x = 2 → total = 4; x = 4 → total = 20", ["holds"] * 4),
    ("2 * 2 = 4, and 4 + 16 = 20.", ["holds", "holds"]),
    ("Since 4 % 2 == 0, we add 4 * 4 = 16.", ["holds", "holds"]),
    ("Since 3 % 2 == 0, we skip.", ["contradicted"]),
    ("Is 3 % 2 == 0? No.", []),
    ("If x were 3, total = 9 would follow.", []),
    ("Suppose the list is empty: total = 7.", []),
    ("For an empty list, total stays 7.", []),
    ("Edge case: xs = [], so total = 7.", []),
    ("And xs = [], so total = 7.", ["uncheckable", "uncheckable"]),
    ("With another input, say all odd, total = 1.", []),
    ("The loop runs 3 times.", ["holds"]),
    ("The loop runs 4 times.", ["contradicted"]),
    ("After the fifth iteration, total = 20.", ["contradicted"]),
    ("At the end of the last iteration, total = 20.", ["holds"]),
    ("After the loop ends, total = 20.", ["holds"]),
    ("After the loop, total = 4.", ["contradicted"]),
    ("total = 4 after the second iteration and total = 20 after the third.", ["holds", "holds"]),
    ("total = 4 after the third iteration.", ["contradicted"]),
    ("After iteration 1 total is 0. x = 2 is even, so total = 4.", ["holds", "holds", "holds"]),
    ("f([1, 2, 4]) = 0 + 4 + 16 = 20", ["holds", "holds"]),
    ("f([1,2,4]) evaluates to 21.", ["contradicted"]),
    ("f(xs=[3]) -> 0", ["holds"]),
    ("**Iteration 2:**\n- `x = 2`\n- `total = 4`", ["holds", "holds"]),
    ("the running total is then 4, not 5", ["holds"]),
    ("xs[2] = 4 is the last element", ["holds"]),
    ("xs[2] = 5", ["contradicted"]),
    ("for x = 2, total = 4", ["holds"]),
    ("for x = 3, total = 9", ["uncheckable"]),
    ("we end up with total = 20 and return total", ["holds"]),
    ("so it returns 20", ["holds"]),
    ("so it returns 21", ["contradicted"]),
    ("each even x is squared; total never exceeds 20", []),
    ("At the start of iteration 3, x = 2.", ["holds"]),
    ("If nothing is even, total = 7. Then it returns 7.", []),
    ("after one iteration total = 0; after two, total = 4", ["holds", "holds"]),
    ("After the first iteration, total = 0; x = 2 is even, so total = 4.", ["holds"] * 3),
    ("10 / 3 = 3.33, 7 / 2 = 3", ["holds", "uncheckable"]),
    ("Earlier I wrote total = 18, which is a mistake.", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PROSE, ids=[text[:40] for text, _ in PROSE])
def test_free_prose_gets_the_verdicts_that_a_person_would_give(
    squares: tuple[Execution, ...], text: str, expected: list[str]
) -> None:
    assert verdicts(squares, text) == expected


def test_a_contradicted_claim_makes_its_step_the_first_error(
    squares: tuple[Execution, ...],
) -> None:
    steps = [
        Step("set total to 0", Factor.PLAN),
        Step("after the first iteration, x = 1, total = 0", SIM),
        Step("after the second iteration, x = 2, total = 5", SIM),
        Step("so f([1, 2, 4]) returns 20", CHECK),
    ]
    check = check_thought(steps, squares, entry_point="f")
    assert check.steps == ("uncheckable", "checked", "contradicted", "checked")
    assert (check.first_error, check.n_checked, check.n_contradicted) == (2, 5, 1)
    assert [c.actual for c in check.claims if c.verdict == "contradicted"] == ["4"]


def test_a_stipulated_example_chooses_the_run(squares: tuple[Execution, ...]) -> None:
    assert verdicts(squares, "take xs = [3]", "after the last iteration, x = 3") == ["holds"]
    assert verdicts(squares, "consider f([3])", "the loop runs 3 times") == ["contradicted"]
    assert verdicts(squares, "for the input [3], the loop runs once") == ["holds"]


def test_an_example_that_was_not_traced_is_wanted_and_leaves_claims_open(
    squares: tuple[Execution, ...],
) -> None:
    steps = [Step("take xs = [2, 2]", Factor.TRY_EXAMPLE), Step("now total = 8", SIM)]
    assert wanted_calls(steps, squares, entry_point="f") == ("f([2, 2])",)
    assert verdicts(squares, *[s.text for s in steps]) == ["uncheckable"]
    more = (*squares, *trace_trusted(SQUARES, ["f([2, 2])"]))
    assert wanted_calls(steps, more, entry_point="f") == ()
    assert verdicts(more, *[s.text for s in steps]) == ["holds"]


def test_claims_of_calls_ask_for_those_calls(squares: tuple[Execution, ...]) -> None:
    steps = [
        Step("f([9]) returns 0; f( [1,2,4] ) returns 20; f() returns 0", Factor.EXTRACT_GIVENS)
    ]
    assert wanted_calls(steps, squares, entry_point="f") == ("f([9])",)


def test_after_a_passing_example_either_may_be_meant(squares: tuple[Execution, ...]) -> None:
    found = verdicts(
        squares, "With xs = [3]: total = 0.", "now total = 20", "now x = 3", "now total = 21"
    )
    assert found == ["holds", "holds", "holds", "contradicted"]


def test_one_good_reading_is_enough_and_one_open_reading_saves_a_claim() -> None:
    assert combined([("contradicted", "1"), ("uncheckable", None), ("holds", "2")])[0] == "holds"
    assert combined([("contradicted", "1"), ("uncheckable", None)])[0] == "uncheckable"
    assert combined([("contradicted", "1"), ("contradicted", "2")]) == ("contradicted", "1; 2")
    assert combined([])[0] == "uncheckable"


def test_loops_are_told_apart_by_their_number() -> None:
    runs = trace_trusted(TWO_LOOPS, ["f('abc')"])
    found = verdicts(
        runs,
        "after the third iteration of the first loop, counts = {'a': 1, 'b': 1, 'c': 1}",
        "after the first iteration of the second loop, i = 1, out = 'a'",
        "after the first iteration of the second loop, i = 1, out = 'ab'",
        "the second loop runs 2 times",
        "the second loop runs 3 times",
    )
    assert found == [*["holds"] * 3, "holds", "contradicted", "holds", "contradicted"]


def test_an_iteration_of_no_certain_loop_must_fit_one_of_them() -> None:
    runs = trace_trusted(TWO_LOOPS, ["f('abc')"])
    found = verdicts(
        runs,
        "after the second iteration, out = 'ab'",
        "after the second iteration, out = 'b'",
        "the loop runs 3 times",
        "the loop runs 5 times",
    )
    assert found == ["holds", "contradicted", "holds", "contradicted"]


def test_parameters_left_out_of_an_example_have_their_defaults() -> None:
    runs = trace_trusted(TWO_LOOPS, ["f('abc', 1)", "f('abc')"])
    assert verdicts(runs, "take s = 'abc'", "now out = 'ab'") == ["holds"]
    assert verdicts(runs, "take s = 'abc', k = 1", "now out = 'ab'") == ["contradicted"]
    steps = [Step("take s = 'xyz', k = 3", Factor.TRY_EXAMPLE)]
    assert wanted_calls(steps, runs, entry_point="f") == ("f('xyz', 3)",)


def test_the_state_after_an_outer_iteration_holds_what_the_inner_loop_did() -> None:
    runs = trace_trusted(NESTED, ["f(3)"])
    found = verdicts(
        runs,
        "after the third iteration, i = 2, j = 2, total = 4",
        "after the second iteration, total = 4",
        "the loop runs 3 times",
        "the inner loop runs 6 times",
        "the loop runs 6 times",
        "the loop runs 5 times",
    )
    assert found == [*["holds"] * 3, "contradicted", "holds", "uncheckable", "contradicted"]


def test_inner_calls_and_exceptions_are_looked_up() -> None:
    runs = trace_trusted(RECURSIVE, ["f(3)", "f(-1)"])
    found = verdicts(
        runs,
        "the inner call f(2) returns 2",
        "the inner call f(2) returns 3",
        "so f(-1) raises ValueError",
        "so f(-1) raises TypeError",
        "f(3) raises ValueError",
        "f(-1) returns 0",
        "f(0) = 1, f(1) = 1 * f(0) = 1",
    )
    assert found == [
        *["holds", "contradicted"] * 2, "contradicted", "contradicted", "holds", "holds",
    ]  # fmt: skip


def test_helpers_are_known_by_what_they_returned() -> None:
    runs = trace_trusted(WITH_HELPER, ["f(4)"])
    found = verdicts(
        runs,
        "the inner call helper(4, 3) returns 12",
        "helper(4, b=3) gives 13",
        "helper(5) returns 5",
        "c = 12",
        "c = 13",
        "now d = 12",
    )
    assert found == ["holds", "contradicted", "uncheckable", "holds", "uncheckable", "holds"]


def test_calls_of_helpers_are_never_wanted() -> None:
    steps = [Step("helper(5) returns 5; f(7) returns 22")]
    runs = trace_trusted(WITH_HELPER, ["f(4)"])
    assert wanted_calls(steps, runs, entry_point="f") == ("f(7)",)


def test_a_value_in_an_inner_call_of_the_same_name_is_not_called_wrong() -> None:
    runs = trace_trusted(RECURSIVE, ["f(3)"])
    assert verdicts(runs, "now rest = 1", "now rest = 7") == ["uncheckable", "contradicted"]


def test_elided_values_are_uncheckable() -> None:
    runs = trace_trusted(LONG, ["f(40)"])
    found = verdicts(
        runs,
        "after the first iteration, xs = [0]",
        "after the last iteration, xs = [0]",
        "now xs = [5]",
    )
    assert found == ["holds", "uncheckable", "uncheckable"]


def test_of_a_run_that_was_cut_off_the_recorded_iterations_are_checked() -> None:
    code = "def f():\n    n = 0\n    while True:\n        n += 1\n"
    found = verdicts(
        trace_trusted(code, ["f()"]),
        "after the second iteration, n = 2",
        "after the second iteration, n = 3",
        "after the last iteration, n = 3",
        "now n = -1",
        "the loop runs 5 times",
    )
    assert found == ["holds", "contradicted", "uncheckable", "uncheckable", "uncheckable"]


def test_without_executions_only_arithmetic_is_checked() -> None:
    assert verdicts((), "now x = 4; 2 + 2 = 4; f(3) returns 4") == ["holds", "uncheckable"]
    steps = [Step("f(3) returns 4")]
    assert wanted_calls(steps, (), entry_point="f") == ("f(3)",)


@pytest.mark.parametrize("text", ["9 ** 9 ** 9 = 3", "'a' * 99999999 = 'a'", "1 / 0 = 1"])
def test_arithmetic_that_cannot_be_evaluated_is_refused(
    squares: tuple[Execution, ...], text: str
) -> None:
    assert "contradicted" not in verdicts(squares, text)
