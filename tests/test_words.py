from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.curate.words import HashedWords, normal_text, numbers, words


def of(expression: pl.Expr, text: str | None) -> Any:
    made = pl.DataFrame({"text": [text]}, schema={"text": pl.String}).select(expression)
    return made.to_series().to_list()[0]


def normal(text: str) -> str:
    return str(of(normal_text(pl.col("text")), text))


def numbers_in(text: str) -> list[str]:
    return list(of(numbers(pl.col("text")), text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom has 3 apples.", "TOM HAS 3 APPLES"),
        ("Tom's “red” apples", "Tom’s 'red' apples"),
        ("Toms apples", "Tom's apples!"),
        ("a well-known  number", "a well known\nnumber"),
        ("It costs $1,000,000", "It costs 1000000"),
        (r"$10{,}000$ or $10,\!000$", "10000 or 10,000"),
        ("It costs $3.50.", "it costs 3.5"),
        ("He is 5-year-old", "He is 5 year old"),
        (r"$\frac{1}{2} - \sqrt{3}$", r"\(\dfrac12-\sqrt3\)".replace("12", "{1}{2}")),
        ("x² + y³ ≥ 2 × 3", "$x^{2}+y^3$ ≥ $2 \\times 3$"),
        ("5 − 3", "5-3"),
        ("**Question:** how many?", "Question - how many"),
        ("- 3 apples\n- 4 pears", "* 3 apples\n* 4 pears"),
        ("STRASSE und ΣΑΣ", "straße und σας"),
        ("10% of them", "10 percent of them"),
        ("so\u00adft hy\u200bphens", "soft hyphens"),
        ("３ ａｐｐｌｅｓ", "3 apples"),
    ],
)
def test_texts_that_differ_in_dress_are_equal(one: str, other: str) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 2 + 3?", "What is 2 - 3?"),
        ("What is 2 * 3?", "What is 2 / 3?"),
        ("What is 2*(3+4)?", "What is 2*3+4?"),
        ("What is (2+3)*4?", "What is 2+3*4?"),
        ("Add -5 and 3", "Add 5 and 3"),
        ("x = -y", "x = y"),
        ("It costs 3.5", "It costs 35"),
        ("1 or 0.5", "1 or 5"),
        ("1 or .5", "1 or 5"),
        ("x^2", "x2"),
        ("1½ cups", "11/2 cups"),
        ("2 - \\sqrt{3}", "2 \\sqrt{3}"),
        ("50% more", "50 more"),
    ],
)
def test_signs_and_numbers_tell_questions_apart(one: str, other: str) -> None:
    assert normal(one) != normal(other)


def test_a_sign_makes_no_word_of_its_own() -> None:
    assert of(words(pl.col("text")), "x^2 + y = 3") == ["x", "^2", "+y", "=3"]


def test_a_script_without_spaces_is_split_by_character() -> None:
    assert of(words(pl.col("text")), "小明有3个苹果") == list("小明有3个苹果")


def test_null_stays_null_and_a_text_without_words_has_none() -> None:
    assert of(words(pl.col("text")), None) is None
    assert of(words(pl.col("text")), " …?! ") == []


def test_number_words_are_numbers() -> None:
    assert numbers_in("Three of 1,200 dozen; half of one -2.50") == [
        "3",
        "1200",
        "12",
        "half",
        "-2.5",
    ]


# Splits are hashes of these: a change here moves published questions from one split to another.
def test_the_normal_text_is_what_it_was_in_every_release() -> None:
    asked = "Tom's well-known shop sold 1,250 “red” apples at $3.50 each (2 × 3 − 1 = 5)."
    assert normal(asked) == "toms well known shop sold 1250 red apples at 3.5 each 2 *3 -1 =5"


@settings(deadline=None)
@given(st.text())
def test_no_word_is_empty_or_holds_a_space(text: str) -> None:
    found = of(words(pl.col("text")), text)
    assert all(word and not any(c.isspace() for c in word) for word in found)
    assert normal(text) == " ".join(found)


@settings(deadline=None)
@given(st.text(st.sampled_from("abcXYZßéΣς 3,.'-!?")))
def test_case_changes_nothing(text: str) -> None:
    assert normal(text.upper()) == normal(text) == normal(text.lower())


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab ")), max_size=6), st.integers(1, 4))
def test_equal_runs_of_words_and_no_others_have_equal_hashes(texts: list[str], n: int) -> None:
    hashed = HashedWords(pl.Series(texts, dtype=pl.String))
    starts, runs = hashed.runs(n)
    listed = [text.split() for text in texts]
    expected = [
        (row, tuple(one[at : at + n])) for row, one in enumerate(listed) for at in range(len(one))
    ]
    expected = [(row, run) for row, run in expected if len(run) == n]
    assert [int(row) for row in hashed.rows[starts]] == [row for row, _ in expected]
    for i, (_, one) in enumerate(expected):
        for j, (_, other) in enumerate(expected):
            assert (runs[i] == runs[j]) == (one == other)
