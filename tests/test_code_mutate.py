import random

import pytest

from datagen.code.check import check_thought, wanted_calls
from datagen.code.claims.tokens import literal_value
from datagen.code.execution import trace_trusted
from datagen.code.mutate import mutate_operator, mutate_value
from datagen.code.narrator import narrate
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step

FUNCTIONS = {
    "sum_even": ("sum_even([1, 2, 4, 7, 8, 10, 3, 2])", """
def sum_even(xs):
    total = 0
    for x in xs:
        if x % 2 == 0:
            total += x * x
    return total
"""),
    "collatz": ("collatz(6)", """
def collatz(n):
    seen = [n]
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        seen.append(n)
    return seen
"""),
    "pairs": ("pairs([1, 2, 3], 4)", """
def pairs(xs, goal):
    out = []
    for i in range(len(xs)):
        for j in range(i):
            if xs[i] + xs[j] == goal:
                out.append((xs[j], xs[i]))
    return out
"""),
    "power": ("power(2, 5)", """
def power(base, n):
    if n == 0:
        return 1
    half = power(base, n // 2)
    square = half * half
    return square * base if n % 2 else square
"""),
    "letters": ("letters('a, b. iteration')", """
def letters(text):
    counts = {}
    for c in text:
        if c.isalpha():
            counts[c] = counts.get(c, 0) + 1
    best = ''
    for c in counts:
        if best == '' or counts[c] > counts[best]:
            best = c
    return best
"""),
    "is_sorted": ("is_sorted([1.5, 2.25, 2.0])", """
def is_sorted(xs):
    good = True
    previous = None
    for x in xs:
        if previous is not None and x < previous:
            good = False
        previous = x
    return good
"""),
    "quoted": ("quoted(\"it's\", {3, 1})", """
def quoted(s, chosen):
    out = ['"', "\\n"]
    for i, c in enumerate(s):
        if i in chosen:
            out.append(c + '; x = 1')
    text = ''.join(out)
    return text
"""),
}  # fmt: skip


def narrated(name: str) -> tuple[tuple[Step, ...], str, str]:
    call, code = FUNCTIONS[name]
    steps = narrate(f"Write {name}.", trace_trusted(code, [call]), entry_point=name)
    return steps, call, code


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_claims_of_a_narrated_run_hold(name: str) -> None:
    steps, call, code = narrated(name)
    executions = trace_trusted(code, [call])
    assert wanted_calls(steps, executions, entry_point=name) == ()
    check = check_thought(steps, executions, entry_point=name)
    assert {c.verdict for c in check.claims} == {"holds"}
    told = [s for s in steps if s.factor in (Factor.SIMULATE_EXECUTION, Factor.CHECK_RESULT)]
    assert check.steps.count("checked") >= len(told) > 1


@pytest.mark.slow
def test_changed_values_are_found_at_their_step() -> None:
    rng = random.Random(0)
    n_found = n_mutated = 0
    for name in FUNCTIONS:
        steps, call, code = narrated(name)
        sound = check_thought(steps, trace_trusted(code, [call]), entry_point=name)
        for _ in range(60):
            mutation = mutate_value(steps, sound, rng)
            assert mutation is not None
            extra = wanted_calls(mutation.steps, trace_trusted(code, [call]), entry_point=name)
            executions = trace_trusted(code, [call, *extra])
            check = check_thought(mutation.steps, executions, entry_point=name)
            n_mutated += 1
            n_found += check.first_error == mutation.step_idx
            changed = [i for i, s in enumerate(mutation.steps) if s != steps[i]]
            assert changed == [mutation.step_idx]
    assert n_mutated == 60 * len(FUNCTIONS)
    assert n_found >= 0.95 * n_mutated


def test_a_changed_value_is_another_value() -> None:
    rng = random.Random(1)
    code = "def f(a, b, c, d, e):\n    x = a\n    return x\n"
    executions = trace_trusted(code, ["f(True, 'ab', [1, [2]], None, {'k': 1.5})"])
    steps = [
        Step("now a = True, b = 'ab', c = [1, [2]], d = None, e = {'k': 1.5}"),
        Step("2 + 2 = 4"),
    ]
    sound = check_thought(steps, executions, entry_point="f")
    seen: set[str] = set()
    for _ in range(200):
        mutation = mutate_value(steps, sound, rng)
        assert mutation is not None
        before, after = literal_value(mutation.before), literal_value(mutation.after)
        assert (type(before), before) != (type(after), after)
        seen.add(mutation.before)
    assert seen == {"True", "'ab'", "[1, [2]]", "None", "{'k': 1.5}", "4"}


def test_nothing_to_change_gives_no_mutation() -> None:
    steps = [Step("go on - slowly", Factor.PLAN)]
    check = check_thought(steps, (), entry_point="f")
    assert mutate_value(steps, check, random.Random(0)) is None
    assert mutate_operator([Step("go on slowly, non-empty -> 'a + b'")], random.Random(0)) is None


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("if x % 2 == 0", {"if x // 2 == 0", "if x % 2 != 0"}),
        ("add x * x to total", {"add x + x to total", "take x * x from total"}),
        ("keep the even ones", {"keep the odd ones"}),
        ("while a <= b", {"while a < b"}),
        ("the maximum of 'max + min'", {"the minimum of 'max + min'"}),
    ],
)
def test_one_operator_is_swapped(text: str, changed: set[str]) -> None:
    rng = random.Random(2)
    mutations = [mutate_operator([Step(text, Factor.PLAN)], rng) for _ in range(40)]
    assert {m.steps[0].text for m in mutations if m is not None} == changed
