import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.code.claims import Claim, When, extract_claims
from datagen.code.claims.tokens import tokenise
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step

NAMES = ("x", "xs", "total", "out", "k", "i", "best")
FUNCTIONS = ("f", "helper")


def claims(text: str, factor: Factor = Factor.SIMULATE_EXECUTION) -> tuple[Claim, ...]:
    return extract_claims([Step(text, factor)], names=NAMES, functions=FUNCTIONS)


def values(text: str, factor: Factor = Factor.SIMULATE_EXECUTION) -> list[tuple[str, str]]:
    return [(c.subject, c.value) for c in claims(text, factor) if c.kind == "value"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now x = 4, total = 20", [("x", "4"), ("total", "20")]),
        ("so total = 4.", [("total", "4")]),
        ("x = -3, and total = 4.0.", [("x", "-3"), ("total", "4.0")]),
        ("out = 'a. iteration 3; x = 9', x = 1", [("out", "'a. iteration 3; x = 9'"), ("x", "1")]),
        ("now out = {'a': [1, (2,)]}, xs = []", [("out", "{'a': [1, (2,)]}"), ("xs", "[]")]),
        ("total is now 20 and `best` becomes None", [("total", "20"), ("best", "None")]),
        ("**total = 20**", [("total", "20")]),
        ("total = total + x * x = 4 + 16 = 20", [("total", "20")]),
        ("total = 4 + 16", [("total", "20")]),
        ("xs[0] = 3", [("xs[0]", "3")]),
        ("- x = 1\n- total = 2", [("x", "1"), ("total", "2")]),
        ("out = \"it's\", x = 1", [("out", '"it\'s"'), ("x", "1")]),
    ],
)  # fmt: skip
def test_values_of_variables_are_read(text: str, expected: list[tuple[str, str]]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x == 4",
        "total + x = 20",
        "2 * x = 6",
        "len(xs) = 3",
        "x = total",
        "x = 3 * total",
        "x = 1, 2, 4",
        "x = 3 or 4",
        "x = 3 to 5",
        "x = 1,000",
        "x is 3 more than total",
        "x is at least 3",
        "the sum of x = 20",
        "old total = 4",
        "y = 4",
        "if x = 4 then total = 20",
        "when x = 4, total becomes 20",
        "total should be 4, so total = 4",
        "let total = 0",
        "start with total = 0",
        "is total = 20?",
        "total = 0 if the list is empty",
        "total = 18 is wrong",
        "every x = 4",
        "xs[1:3] = [2]",
        "xs[i] = 3",
        "x = 4x",
        "inside the recursive call, x = 2",
    ],
)
def test_what_says_nothing_of_a_variable_makes_no_claim(text: str) -> None:
    assert values(text) == []


@pytest.mark.parametrize(
    "factor", [Factor.PLAN, Factor.HYPOTHESISE, Factor.RESTATE_GOAL, Factor.DETECT_ERROR]
)
def test_steps_that_intend_or_quote_make_no_claims_of_values(factor: Factor) -> None:
    assert values("x = 4, total = 20", factor) == []


@pytest.mark.parametrize("factor", [Factor.PLAN, Factor.EXTRACT_GIVENS, Factor.CHECK_RESULT])
def test_a_call_with_literals_is_a_claim_in_every_factor(factor: Factor) -> None:
    found = claims("f([1, 2]) returns 3; f([]) == 0", factor)
    assert [(c.kind, c.subject, c.value) for c in found] == [
        ("returns", "f([1, 2])", "3"),
        ("returns", "f([])", "0"),
    ]


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("after the third iteration, x = 4", When(None, 2, "end")),
        ("after iteration 3, x = 4", When(None, 2, "end")),
        ("after 3 iterations, x = 4", When(None, 2, "end")),
        ("at the end of the 2nd pass, x = 4", When(None, 1, "end")),
        ("after the last iteration of the second loop, x = 4", When(1, -1, "end")),
        ("after the 21st iteration of the first loop, x = 4", When(0, 20, "end")),
        ("in the third iteration, x = 4", When(None, 2, "during")),
        ("Iteration 2: x = 4", When(None, 1, "during")),
        ("Iteration 2:\n- x = 4", When(None, 1, "during")),
        ("Iteration 2 - x: 4", When(None, 1, "during")),
        ("before the loop, x = 4", When(None, None, "before")),
        ("after the loop ends, x = 4", When(None, None, "after")),
        ("at first x = 4", When(None, None, "first")),
        ("x = 4 after the second iteration", When(None, 1, "end")),
        ("after the first two iterations, x = 4", When(None, 1, "end")),
        ("in each iteration we look; then x = 4", When()),
        ("after the first iteration, it grows. x = 4", When()),
        ("after the second to last iteration, x = 4", When()),
    ],
)
def test_phrases_of_time_say_when(text: str, when: When) -> None:
    assert [c.when for c in claims(text) if c.subject == "x"] == [when]


def test_labels_count_from_zero_where_the_thought_does() -> None:
    steps = [Step("Iteration 0: x = 1"), Step("Iteration 1: x = 2")]
    found = extract_claims(steps, names=NAMES, functions=FUNCTIONS)
    assert [c.when.iteration for c in found] == [0, 1]


def test_an_ordinal_without_its_noun_goes_on_from_the_phrase_before() -> None:
    found = claims("after the first iteration, x = 1, and after the second, x = 2")
    assert [c.when.iteration for c in found] == [0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4 * 4 = 16", ("4 * 4", "16")),
        ("so total = 4 + 16 = 20", ("4 + 16", "20")),
        ("3 < 5 holds", ("3 < 5", "True")),
        ("7 % 2 == 0 is false", ("7 % 2 == 0", "False")),
        ("7 % 2 == 1", ("7 % 2 == 1", "True")),
        ("4 × 4 = 16", ("4 * 4", "16")),
        ("len('ab') = 2", ("len('ab')", "2")),
    ],
)
def test_closed_arithmetic_is_a_claim(text: str, expected: tuple[str, str]) -> None:
    found = [(c.subject, c.value) for c in claims(text) if c.kind == "arithmetic"]
    assert found == [expected]


@pytest.mark.parametrize("text", ["if 3 < 2 holds", "check 5 % 2 == 0: no", "20% of 50 = 10"])
def test_what_may_be_a_failing_test_is_no_arithmetic(text: str) -> None:
    assert claims(text) == ()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the loop runs 12 times", "12"),
        ("the first loop runs for 3 iterations", "3"),
        ("there are four iterations", "4"),
        ("the loop runs twice", "2"),
    ],
)
def test_numbers_of_iterations_are_read(text: str, count: str) -> None:
    assert [(c.kind, c.value) for c in claims(text)] == [("iterations", count)]


def test_the_span_is_that_of_the_value() -> None:
    text = "after the first iteration, out = 'x = 1', total = -20"
    spans = [text[slice(*c.span)] for c in claims(text)]
    assert spans == ["'x = 1'", "-20"]


def test_exceptions_are_read() -> None:
    found = claims("so f(-1) raises a ValueError", Factor.CHECK_RESULT)
    assert [(c.kind, c.subject, c.value) for c in found] == [("raises", "f(-1)", "ValueError")]


PIECES = (
    *("x = 4", "total", "[", "(", "'", '"', "f(", ")", "]", ",", ".", ";", "\n", "...", "²", "x["),
    *(
        "the loop",
        "after the",
        "iteration",
        "third",
        "of the last",
        "is",
        "returns",
        "take",
        "with",
    ),
    *("->", "==", "+", "-", "**", "%", "3", "0", "end of", "at first", "before", "1e999", "runs"),
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    for factor in (Factor.SIMULATE_EXECUTION, Factor.CHECK_RESULT, Factor.PLAN):
        for claim in claims(text, factor):
            assert 0 <= claim.span[0] <= claim.span[1] <= len(text)


@pytest.mark.parametrize("text", ["[" * 3000, "(" * 3000, "'" * 3000, "1 + " * 1000, "-" * 3000])
def test_hostile_text_is_read_in_bounded_time(text: str) -> None:
    assert claims(text) == ()


def test_a_string_is_one_token_whatever_it_holds() -> None:
    kinds = [(t.kind, t.text) for t in tokenise("out = 'a. b, \\'c\\' iteration 3'.")]
    assert kinds == [
        ("word", "out"),
        ("relation", "="),
        ("literal", "'a. b, \\'c\\' iteration 3'"),
        ("stop", "."),
    ]
