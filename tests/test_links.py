"""Links between steps: a value or name leads back to the step that came to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.factors.links import QUESTION_IDX, links
from datagen.traces.model import Step

Q = QUESTION_IDX


def linked(question: str, *texts: str) -> list[list[int]]:
    return links(question, list(map(Step, texts)))


def last(question: str, *texts: str) -> list[int]:
    return linked(question, *texts)[-1]


# ---- values


def test_a_calculation_leads_to_the_steps_that_found_its_values_and_to_the_question() -> None:
    assert linked(
        "Ann has 3 boxes of 12 pens and gives 5 away.",
        "We want the number of pens.",
        "3 * 12 = 36",
        "36 - 5 = 31",
        "So the answer is 31.",
    ) == [[], [Q], [Q, 1], [2]]


@pytest.mark.parametrize(
    ("written", "again"),
    [
        ("1,200", "1200"),
        ("1200", "1,200"),
        ("1,234,567", "1234567"),
        ("2.50", "2.5"),
        ("1,200.0", "1200"),
        ("0.25", "0.25"),
        ("$48", "48"),
        ("75%", "75"),
        ("-8", "8"),
    ],
)
def test_a_number_is_found_however_it_is_written(written: str, again: str) -> None:
    assert last("q", f"The price is {written}.", f"Now {again} * 9 = 7") == [0]


@pytest.mark.parametrize(
    ("written", "again"),
    [("12", "120"), ("2.5", "2"), ("2.5", "5"), ("1,200", "200"), ("12", "x12"), ("12", "1.12")],
)
def test_a_part_of_a_number_is_another_number(written: str, again: str) -> None:
    assert last("q", f"The price is {written}.", f"Now {again} more.") == []


def test_a_value_that_is_found_again_leads_to_the_last_finder() -> None:
    texts = ("4 * 5 = 20", "Twice 10 gives 20.", "30 - 10 = 20", "20 + 1 = 21")
    assert linked("q", *texts) == [[], [], [1], [2]]


def test_a_value_of_the_question_that_a_step_finds_is_from_then_on_the_steps() -> None:
    assert linked("Of 20 pens?", "4 * 5 = 20", "20 - 1 = 19") == [[], [0]]


def test_mentioning_a_value_does_not_make_it_ones_own() -> None:
    assert linked("q", "4 * 5 = 20", "There are 20 pens.", "20 - 1 = 19") == [[], [0], [0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6 * 3 = 18", []),  # comes to it by itself
        ("x = 18", [0]),  # tells it again
        ("total: a = 18, b = 7", [0, 1]),
        ("bad = 18 × 2 = 36", [0]),  # behind "=" stands an expression
        ("y = 18 + 7", [0, 1]),
        ("y = 18x", []),
        ("y = 18 - 4 = 14", [0]),
        ("all in all 25 pens = 18 - with a rest of 7", [1]),
    ],
)
def test_what_stands_behind_an_equality_sign_is_a_result_only_if_nothing_follows(
    text: str, expected: list[int]
) -> None:
    assert last("q", "2 * 9 = 18", "8 - 1 = 7", text) == expected


@pytest.mark.parametrize("label", ["Step 2: ", "2. ", "(2) ", "Case 2: ", "\n 2) ", "#2: "])
def test_the_number_of_a_step_is_no_value(label: str) -> None:
    assert last("We have 2 pens.", f"{label}Now we add.") == []
    assert last("We have 2 pens.", f"{label}Now we add 2.") == [Q]


def test_numbers_in_words_leave_no_link() -> None:
    assert last("Ann has two boxes and one pen.", "One pen and two boxes.", "Take both.") == []


# ---- names


@pytest.mark.parametrize(
    "introduced",
    [
        "Let x be the price.",
        "Let $x$ be the price.",
        "Let the price of a mug be x.",
        "Denote the price by x.",
        "Call the price x, please.",
        "We write x for the price.",
        "x = 4 + 5",
        "So $x$ = 4 + 5",
        "`x` = 4 + 5",
        "x := 9",
        "x ≈ 9",
        "Let y and x be the prices.",
    ],
)
@pytest.mark.parametrize("use", ["3x = 27", "Then $x$ is even.", "so -x < 0", "x² is 81"])
def test_a_symbol_leads_to_the_step_that_introduces_it(introduced: str, use: str) -> None:
    found = last("q", introduced, "Nothing here.", use.replace("x²", "x * x"))
    assert found == [0]


@pytest.mark.parametrize(
    "use",
    ["max", "x_1 is", "the box", "a.x", r"\x", "it'x", "x1"],
)
def test_a_symbol_within_another_word_is_none(use: str) -> None:
    assert last("q", "Let x be the price.", use) == []


def test_names_of_code_lead_to_the_step_that_last_set_them() -> None:
    assert linked(
        "def total(items): ...",
        "Write def double_all(values): first.",
        "result = []",
        "double_all takes a list.",
        "result = [1]",
        "Return `result`, as total does.",
    ) == [[], [], [0], [1], [Q, 3]]


def test_comparing_is_not_setting() -> None:
    for sign in ("==", "!=", "<=", ">=", "<"):
        assert last("q", f"if lo {sign} hi then", "lo is here") == []


def test_an_equation_ends_with_a_name_that_it_does_not_set() -> None:
    assert last("q", "Let x be one, y the other.", "x + y = 12", "y is even") == [0]


def test_common_words_are_no_names() -> None:
    assert last("q", "Let a be it. Let there be I.", "I say there is a way, it is.") == []
    assert last("q", "Let's compare B and C.", "Let me see D.", "B, C and D are done.") == []


# ---- whatever is written

WORDS = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["x", "=", "18", "1,200", "2.5", "let", "be", "+", "\n", "'", "$", "a"])
    ).map(" ".join),
)


@given(WORDS, st.lists(WORDS, max_size=6))
def test_links_lead_back_each_once_and_rising(question: str, texts: list[str]) -> None:
    found = linked(question, *texts)
    assert len(found) == len(texts)
    for idx, one in enumerate(found):
        assert one == sorted(set(one))
        assert all(QUESTION_IDX <= target < idx for target in one)


@given(WORDS, st.lists(WORDS, max_size=6))
def test_what_comes_later_changes_no_link(question: str, texts: list[str]) -> None:
    assert linked(question, *texts)[:-1] == linked(question, *texts[:-1])
