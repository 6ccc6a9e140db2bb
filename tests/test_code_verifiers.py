import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datagen.verify import VERIFIERS, Outcome, gold_is_parseable, verify_completion
from datagen.verify.programs import extract_literal, extract_program
from datagen.verify.python_literals import literal_spans, read_value, same_value
from datagen.verify.python_tests import python_gold
from datagen.verify.python_values import read_call
from datagen.verify.sandbox import configure_default
from schemas import VERIFIERS as NAMES
from tests.sandboxes import LIMITS


@pytest.fixture(scope="module", autouse=True)
def weak() -> Iterator[None]:
    # The walls have tests of their own; here any sandbox will do.
    configure_default(mode="weak", limits=LIMITS)
    yield
    configure_default()


def judge(text: str, gold: Any, verifier: str, *, finished: bool = True) -> tuple[str, str]:
    gold = gold if isinstance(gold, str) else json.dumps(gold)
    verdict = verify_completion(text, gold, verifier=verifier, finished=finished)
    return verdict.outcome, verdict.reason


def test_every_verifier_has_a_name_that_tables_accept() -> None:
    assert tuple(VERIFIERS) == NAMES


# --- python --------------------------------------------------------------------------------------

GOLD = python_gold(entry_point="f", tests="assert f(1) == 2")
CODE = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        f"<Think_Start>\nadd one\n<Think_End>\n{CODE}",
        f"<think>def f(x): return 0</think>\n\n```python\n{CODE}```",
        f"Sure:\n```py\n{CODE}```\nand you use it so:\n```python\nprint(f(3))\n```\n",
        f"First try:\n```python\ndef f(x): return 7\n```\nBetter:\n~~~\n{CODE}~~~\nDone.",
        f"Here is the function.\n\n{CODE}",
        f"```python\n{CODE}",
        "f = lambda x: x + 1",
    ],
)
def test_right_code_is_found_and_correct(text: str) -> None:
    assert judge(text, GOLD, "python") == (Outcome.CORRECT, "the tests pass (1 checks)")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(x):\n    return x", "f(1) returned 1, not 2"),
        ("def f(x:\n    return x + 1", "does not load: SyntaxError"),
        ("```python\nprint(2)\n```", "defines no function 'f'"),
        ("def f(x):\n    raise KeyError(x)", "f(1) raised KeyError"),
        ("import os\ndef f(x): os._exit(0)", "ended the process with status 0"),
    ],
)
def test_code_that_does_not_pass_is_wrong(text: str, reason: str) -> None:
    outcome, told = judge(text, GOLD, "python")
    assert outcome == Outcome.WRONG
    assert reason in told


@pytest.mark.parametrize(
    "text", ["", "I cannot do this.", "<Think_Start>\ndef f(x): return x + 1", "The answer is 2."]
)
def test_an_answer_without_code_is_unverifiable(text: str) -> None:
    assert judge(text, GOLD, "python") == (Outcome.UNVERIFIABLE, "no answer found")


def test_tests_that_decide_nothing_are_unverifiable() -> None:
    gold = python_gold(entry_point="f", tests="f(1)")
    assert judge(CODE, gold, "python") == (
        Outcome.UNVERIFIABLE,
        "the tests executed no check",
    )


def test_code_that_was_cut_off_is_truncated_unless_its_fence_is_closed() -> None:
    assert judge(CODE, GOLD, "python", finished=False)[0] == Outcome.TRUNCATED
    assert judge(f"```python\n{CODE}", GOLD, "python", finished=False)[0] == Outcome.TRUNCATED
    closed = f"```python\n{CODE}```\nIt wor"
    assert judge(closed, GOLD, "python", finished=False)[0] == Outcome.CORRECT


def test_the_prelude_serves_the_solution_and_the_tests() -> None:
    gold = python_gold(
        entry_point="f", tests="assert f(4) == sqrt(4)", prelude="from math import *"
    )
    assert judge("def f(x): return sqrt(x)", gold, "python")[0] == Outcome.CORRECT


# --- python_output -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "gold", "outcome"),
    [
        ("[1, 2]", "[1, 2]", "correct"),
        ("<Think_Start>\n3\n<Think_End>\n'ab'", "'ab'", "correct"),
        ("The function returns [1, (2, 3)].", "[1, (2, 3)]", "correct"),
        ("f([1, 2]) == 3", "3", "correct"),
        ("```python\n{'a': 1}\n```", "{'a': 1}", "correct"),
        ("It's `\"it's\"`", '"it\'s"', "correct"),
        ("1.0", "1", "correct"),
        ("nan", "nan", "correct"),
        ("The result is -inf.", "-inf", "correct"),
        ("set()", "set()", "correct"),
        ("{2, 1}", "{1, 2}", "correct"),
        ("True", "1", "wrong"),
        ("[True]", "[1]", "wrong"),
        ("(1, 2)", "[1, 2]", "wrong"),
        ("'12'", "12", "wrong"),
        ("12", "'12'", "wrong"),
        ("It is 3, I think; no, 4", "3", "wrong"),
        ("no idea", "3", "unverifiable"),
        ("3", "open('x')", "unverifiable"),
    ],
)
def test_a_predicted_output_is_compared_by_value(text: str, gold: str, outcome: str) -> None:
    assert judge(text, gold, "python_output")[0] == outcome


def test_a_predicted_output_that_was_cut_off_is_truncated() -> None:
    assert judge("It is 7", "72", "python_output", finished=False)[0] == Outcome.TRUNCATED
    assert judge("It is [7]", "[7]", "python_output", finished=False)[0] == Outcome.CORRECT


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("f([1, 2], 'a') gives {1: (2,)}.", ["([1, 2], 'a')", "{1: (2,)}"]),
        ("don't take 3 but 4.", ["3", "4"]),
        ("x1 is 2.5 and 1e-3j", ["2.5", "1e-3j"]),
        ("an open [1, 2 and 'text", ["1", "2"]),
        ("brackets in a string: ['(', \"]\"]", ["['(', \"]\"]"]),
    ],
)
def test_literals_are_found_in_sentences(text: str, spans: list[str]) -> None:
    assert literal_spans(text) == spans


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(literals)
@example(1.5)
def test_the_repr_of_a_value_is_read_back_and_found_in_a_sentence(value: object) -> None:
    assert same_value(read_value(repr(value)), value)
    found = extract_literal(f"So the call returns {value!r}.")
    assert found is not None
    assert same_value(read_value(found.answer), value)


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os')", "f(1)", "1 + 2", "x", "[i for i in y]", "-'a'", "{[]: 1}", "{**{}}"),
        *("(" * 300 + ")" * 300, "-" * 5000 + "1", "1" * 30_000, "", "f'{1}'", "set(1, 2)", "..."),
    ],
)
def test_what_is_no_literal_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_value(text)


def test_nan_equals_nan_at_any_depth() -> None:
    assert same_value([math.nan, {"a": math.nan}], [math.nan, {"a": math.nan}])
    assert not same_value([math.nan], [1.0])
    assert not same_value({1: 2}, {True: 2})


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    for extract in (extract_program, extract_literal):
        found = extract(text)
        assert found is None or found.answer


# --- python_input --------------------------------------------------------------------------------

INPUT = {"code": "def f(a, b=1):\n    return sum(a) + b\n", "entry_point": "f", "output": "7"}


@pytest.mark.parametrize(
    "text",
    [
        "f([1, 5])",
        "[1, 5]",
        "[1, 2], 4",
        "[3], b=4",
        "```python\nf([7], b=0)\n```",
        "f([]) is 1, so take `f([6])`.",
        "<Think_Start>\nf([0])\n<Think_End>\nassert f((2, 4)) == 7",
        "f([7.0], 0)",
    ],
)
def test_a_predicted_input_that_gives_the_output_is_correct(text: str) -> None:
    outcome, reason = judge(text, INPUT, "python_input")
    assert outcome == Outcome.CORRECT, reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("f([1])", "'f([1])' returned '2'"),
        ("f(3)", "gave no value: TypeError"),
        ("f([1], 2, 3)", "gave no value: TypeError"),
    ],
)
def test_a_predicted_input_that_does_not_is_wrong(text: str, reason: str) -> None:
    outcome, told = judge(text, INPUT, "python_input")
    assert outcome == Outcome.WRONG
    assert reason in told


@pytest.mark.parametrize(
    "text",
    ["I do not know.", "f(x)", "f(__import__('os').getpid())", "f(*[1])", "f([n for n in (6,)])"],
)
def test_nothing_but_literals_is_taken_from_a_predicted_input(text: str) -> None:
    call = read_call(text, "f")
    assert call is None or "(" not in call[2:-1]
    assert judge(text, INPUT, "python_input")[0] != Outcome.CORRECT


def test_a_gold_answer_whose_code_lacks_the_function_is_unverifiable() -> None:
    outcome, reason = judge("g(1)", {**INPUT, "entry_point": "g"}, "python_input")
    assert outcome == Outcome.UNVERIFIABLE
    assert "the gold code has no g" in reason


# --- gold answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verifier", "gold", "usable"),
    [
        ("python", GOLD, True),
        ("python", '{"entry_point": "f", "tests": "x", "extra": 1}', True),
        ("python", '{"entry_point": "f"}', False),
        ("python", '{"entry_point": "f", "tests": 5}', False),
        ("python", "[]", False),
        ("python", "def f(): pass", False),
        ("python_output", "[1, 2]", True),
        ("python_output", "nan", True),
        ("python_output", "[1, 2", False),
        ("python_input", json.dumps(INPUT), True),
        ("python_input", '{"code": "", "entry_point": "f"}', False),
    ],
)
def test_a_gold_answer_is_parseable_if_answers_can_be_judged_against_it(
    verifier: str, gold: str, usable: bool
) -> None:
    assert gold_is_parseable(gold, verifier=verifier) is usable
    if not usable:
        assert judge(CODE + "f(1)", gold, verifier)[0] == Outcome.UNVERIFIABLE
