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

LIMITS = Limits(wall_s=8, cpu_s=4, memory_mb=256)

FUNCTIONS = [
    (
        """
def f(s):
    out = ''
    for c in s:
        if c not in out:
            out += c.upper()
    return out
""",
        ["f('abca')", 'f("it\'s")', "f('')"],
    ),
    (
        """
def f(s):
    counts = {}
    for w in s.split():
        counts[w] = counts.get(w, 0) + 1
    return counts
""",
        ["f('a b a')"],
    ),
    (
        """
def f(xs):
    seen = set()
    for x in xs:
        seen.add(x)
    return sorted(seen)
""",
        ["f([3, 1, 3])"],
    ),
    (
        """
def f(a, b):
    pair = (a, b)
    (x, y) = pair
    return (y, x)
""",
        ["f(1, 'z')"],
    ),
    (
        """
def f(x, k=2.5):
    y = x / 3
    z = round(y, 2) * k
    return z
""",
        ["f(10)", "f(1, k=0.1)"],
    ),
    (
        """
def f(n):
    total = 0
    for i in range(n):
        for j in range(i):
            total += i * j
    return total
""",
        ["f(4)", "f(12)", "f(0)"],
    ),
    (
        """
def f(n):
    if n <= 1:
        return 1
    return n * f(n - 1)
""",
        ["f(5)", "f(9)"],
    ),
    (
        """
def f(n):
    if n < 2:
        return n
    return f(n - 1) + f(n - 2)
""",
        ["f(6)", "f(18)"],
    ),
    (
        """
def f(xs, t):
    for i, x in enumerate(xs):
        if x == t:
            return i
    return -1
""",
        ["f([4, 5, 6], 5)", "f([], 1)"],
    ),
    (
        """
def f(xs):
    try:
        y = xs[3]
    except IndexError as e:
        y = 0
    else:
        y += 1
    finally:
        z = 7
    return y + z
""",
        ["f([1])", "f([1,2,3,4])"],
    ),
    (
        """
def f(n):
    if n < 0:
        raise ValueError('negative: n = 3')
    return n
""",
        ["f(-1)", "f(2)"],
    ),
    (
        """
def f(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps
""",
        ["f(6)", "f(27)"],
    ),
    (
        """
def f(s):
    return s[::-1] == s[:]
""",
        ["f('abba')"],
    ),
    (
        """
def f(xs):
    ys = sorted(xs, key=lambda t: -t, reverse=True)
    ys.sort()
    return ys[1:]
""",
        ["f([3, 1, 2])"],
    ),
    (
        """
def f(xs):
    xs.append(3)
    xs[0] = 9
""",
        ["f([1])"],
    ),
    (
        """
def f(n):
    while True:
        n -= 1
        if n < 0:
            break
    return n
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    for i in range(2, n):
        if n % i == 0:
            break
    else:
        for k in range(2):
            n += k
        return True
    return False
""",
        ["f(7)", "f(9)"],
    ),
    (
        """
def f(n):
    for i in range(n):
        yield i * i
""",
        ["f(3)"],
    ),
    (
        """
def f(grid):
    for i in range(len(grid)):
        for j in range(len(grid[i])):
            grid[i][j] += i * j
    return grid
""",
        ["f([[1, 2], [3, 4]])"],
    ),
    (
        """
def f(a, *rest, scale=2, **kw):
    total = a
    for r in rest:
        total += r * scale
    return total
""",
        ["f(1, 2, 3)", "f(1, scale=3)"],
    ),
    (
        """
def g(*a, k=1):
    return sum(a) * k

def f(n):
    return g(n, 2, k=3) + h(n, k=4)

def h(n, *, k):
    return n + k
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    class P:
        def __init__(self, v):
            self.v = v
    p = P(n)
    return p.v
""",
        ["f(3)"],
    ),
    (
        """
def f(xs):
    best = float('-inf')
    for x in xs:
        best = max(best, x)
    return best
""",
        ["f([1, 5, 2])", "f([])"],
    ),
    (
        """
def f(n):
    memo = {}
    def go(k):
        if k < 2:
            return k
        if k in memo:
            return memo[k]
        memo[k] = go(k - 1) + go(k - 2)
        return memo[k]
    return go(n)
""",
        ["f(6)"],
    ),
    (
        """
def f(xs):
    i = j = 0
    out = []
    while i < len(xs):
        out.append(xs[i])
        i += 2
    while j < len(out):
        out[j] = -out[j]
        j += 1
    return out
""",
        ["f([1, 2, 3])", "f(list(range(20)))"],
    ),
    (
        """
def f(xs):
    first, *others = xs
    d = {x: x * x for x in others}
    s = {x % 2 for x in others}
    return (first, d, s)
""",
        ["f([1, 2, 3])"],
    ),
    (
        """
def f(text):
    n = 0
    for line in text.splitlines():
        if line.startswith('#'):
            continue
        n += 1
    return n
""",
        ["f('# a\\nb\\nc = 3')"],
    ),
    (
        """
def f(x):
    if (n := len(x)) > 2:
        return f'{n}: {x}'
    elif n == 1:
        assert x, 'x = 4'
    return None
""",
        ["f('abc')", "f('a')"],
    ),
    (
        """
def f(n):
    is_prime = n > 1
    i = 2
    while i * i <= n and is_prime:
        is_prime = n % i != 0
        i += 1
    return is_prime
""",
        ["f(49)", "f(7)"],
    ),
    (
        """
def f(n):
    x = n
    match x:
        case 1:
            y = 10
        case [a, b]:
            y = a
        case _:
            y = 0
    return y
""",
        ["f(1)", "f(5)"],
    ),
    (
        """
def f(n):
    import math
    global G
    G = 5
    with open('/dev/null') as fh:
        x = 0
        y = fh.read()
    del x
    return math.floor(n / G)
""",
        ["f(12)"],
    ),
    (
        """
def is_even(n):
    return n == 0 or is_odd(n - 1)

def is_odd(n):
    return n != 0 and is_even(n - 1)

def f(n):
    return is_even(n)
""",
        ["f(5)"],
    ),
    (
        """
def f(a):
    x = y = a
    x += 1
    x *= 2
    x //= 3
    x %= 4
    x **= 2
    x <<= 1
    x |= 1
    z: int = 4
    w: int
    return x + y + z
""",
        ["f(5)"],
    ),
    (
        """
def f(s):
    stack = []
    for c in s:
        if c == '(':
            stack.append(c)
        elif not stack or stack.pop() != '(':
            return False
    return stack == []
""",
        ["f('(())')", "f('())')"],
    ),
    (
        """
def f(n):
    bits = ''
    while n:
        (n, r) = divmod(n, 2)
        bits = str(r) + bits
    return bits or '0'
""",
        ["f(10)"],
    ),
    (
        """
def f(n):
    while n < 5:
        try:
            if n == 2:
                raise KeyError('n')
            n += 1
        except KeyError:
            n += 2
            continue
        finally:
            last = n
    return n
""",
        ["f(0)"],
    ),
    (
        """
def f(n):
    for i in range(1000):
        n += i
        for j in range(10):
            n -= 1
    return n
""",
        ["f(0)"],
    ),
    (
        """
def f(xs):
    for x in xs:
        if x > 2:
            raise ValueError(f'bad {x}')
    return 0
""",
        ["f([1, 2, 3])"],
    ),
    (
        """
def f(s):
    a, e, i = 0, 0, 0
    for c in s:
        if c == 'a':
            a += 1
        if c == 'e':
            e += 1
    return {'a': a, 'e': e, 'i': i}
""",
        ["f('tea')"],
    ),
    (
        """
def f(x):
    first = x + 1
    now = first * 2
    n = now
    total_returns = n
    last = 3
    i = 0
    to = 1
    return last
""",
        ["f(4)"],
    ),
    (
        """
def f(x):
    s = 'after the third iteration, x = 4'
    t = 'f(4) returns 3; n = 2'
    return s + t
""",
        ["f(4)"],
    ),
    (
        """
def f(p, reverse=True):
    with open('/dev/null') as fh:
        if p:
            x = 0
    xs = sorted([p], reverse=True)
    print(p, end='')
    return f'x = {p}, y = 4'
""",
        ["f(1)"],
    ),
    (
        """
def f(k):
    def go(k=3, *, x=4):
        return k + x
    g = lambda k=5: k + 1
    return go(k) + g()
""",
        ["f(1)"],
    ),
    (
        """
def f(n):
    x = 4
    if x == 4 and n == 3:
        x = 5
    while x == 5:
        x += 1
    assert x == 6
    return x == 6
""",
        ["f(3)"],
    ),
    (
        """
def f(x):
    t = f'''a
{x}
b = 3'''
    return t
""",
        ["f(3)"],
    ),
    (
        """
def f(a=0, b=[]):
    b.append(a)
    c = d = 0
    for c, d in [(1, 2), (3, 4)]:
        a += c * d
    return (a, b)
""",
        ["f()", "f(1)", "f(a=3)"],
    ),
    (
        """
def f(s, sep=', '):
    parts = s.split(sep)
    return sep.join(p.strip() for p in parts)
""",
        ["f('a, b, c')", "f(\"a;b\", sep=';')"],
    ),
    (
        """
def f(a, b, /, c, *, d=3):
    t = a + b
    return t + c + d
""",
        ["f(1, 2, 3)", "f(1, 2, c=5, d=1)"],
    ),
    (
        """
def f(d):
    best = None
    for k, v in d.items():
        if best is None or v > d[best]:
            best = k
    return best
""",
        ["f({'a': 1, 'b': 3})", "f({})"],
    ),
    (
        """
def f(n):
    fact = 1
    for i in range(1, n + 1):
        fact *= i
    return fact
""",
        ["f(60)", "f(5)"],
    ),
    (
        """
def f(n):
    xs = list(range(n))
    while len(xs) > 1:
        xs = xs[::2]
    return xs
""",
        ["f(1000)", "f(5)"],
    ),
    (
        """
def f(n):
    try:
        return f(n + 1)
    except RecursionError:
        return n
""",
        ["f(0)"],
    ),
    (
        """
def f(n):
    if n > 0:
        for i in range(n):
            x = i
    else:
        x = -1
    for j in 'ab':
        y = j
    return x
""",
        ["f(2)", "f(0)"],
    ),
    (
        """
def f(n):
    x = {1, 2}
    y = frozenset(x)
    z = b'ab'
    w = 1 + 2j
    v = ...
    u = float('nan')
    return x
""",
        ["f(2)"],
    ),
    (
        """
def f(n):
    out = [float('inf')] * 2
    for i in range(n):
        out[0] = min(out[0], i)
    return out
""",
        ["f(2)"],
    ),
    (
        """
def f(s):
    vowels = 'aeiouAEIOUxyz'
    digits = '0123456789012'
    return sum(c in vowels for c in s)
""",
        ["f('abc')"],
    ),
    (
        """
def f(n):
    r = []
    for i in range(3):
        for j in range(3):
            if i * j == n:
                return (i, j)
            r += [i * j]
    return r
""",
        ["f(2)", "f(9)"],
    ),
    (
        """
def f(s):
    i = 0
    while i < len(s):
        if s[i] == '\\n':
            return i
        i += 1
""",
        ["f('ab\\ncd')", "f('')"],
    ),
    (
        """
def f(a, b):
    while b:
        a, b = b, a % b
    return a
""",
        ["f(48, 18)", "f(3, 0)"],
    ),
    (
        """
def f(xs):
    total = 0.0
    for x in xs:
        total += x
    return total / len(xs)
""",
        ["f([0.1, 0.2, 0.3])"],
    ),
    (
        """
def f(xs):
    n = len(xs)
    for i in range(n):
        for j in range(n - i - 1):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
    return xs
""",
        ["f([3, 2, 1])"],
    ),
    (
        """
import functools
@functools.lru_cache
def f(n):
    return n if n < 2 else f(n-1) + f(n-2)
""",
        ["f(5)"],
    ),
    (
        """
import functools
def deco(fn):
    @functools.wraps(fn)
    def wrapper(*a, **k):
        r = fn(*a, **k)
        return r
    return wrapper
@deco
def f(n):
    m = n + 1
    return m
""",
        ["f(5)"],
    ),
    (
        """
def f(n):
    for i in range(n):
        pass
    for i in range(n):
        i = i * 2
    for i in range(2):
        for i in range(3):
            k = i
    return k
""",
        ["f(8)"],
    ),
    (
        """
def g(x):
    y = x * 2
    return y

def f(x):
    y = g(x)
    y = g(y)
    return y
""",
        ["f(3)"],
    ),
    (
        """
def f(x):
    with __import__('contextlib').suppress(ValueError):
        for i in range(3):
            if i == 1:
                raise ValueError
    return i
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    x = 5
    del x
    for i in range(2):
        y = i
        del y
    return n
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    x = 10 ** 300
    for i in range(n):
        x *= 10
    return x
""",
        ["f(3)"],
    ),
    (
        """
def f(n):
    x = ' \\'quote\\' "d" <think> </think> <step>'
    return x
""",
        ["f(3)"],
    ),
]
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
        ('import re\n\n\ndef f(\n    x: int,\n) -> bool:\n    """ Check\n    it.\n    """', ": Check it"),
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
