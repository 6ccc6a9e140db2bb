"""Which questions are tests."""

import polars as pl
import pytest

from datagen.curate.splits import split_of


def splits(*texts: str, test_share: float, **over: str) -> list[str]:
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return (
        frame.select(split_of(pl.col("text"), test_share=test_share, **over)).to_series().to_list()
    )


MANY = [f"How many apples are {a} bags of {b} apples?" for a in range(100) for b in range(20)]


def test_the_split_of_a_question_is_the_same_for_ever() -> None:
    found = splits(*[f"How many apples are {n} and 5?" for n in range(12)], test_share=0.3)
    assert [n for n, split in enumerate(found) if split == "test"] == [4, 6, 7, 9, 10, 11]


def test_a_split_is_of_one_question_and_not_of_its_table() -> None:
    together = splits(*MANY, test_share=0.1)
    assert splits(*reversed(MANY), test_share=0.1) == together[::-1]
    assert [splits(text, test_share=0.1)[0] for text in MANY[:50]] == together[:50]


def test_questions_of_the_same_words_share_their_split() -> None:
    for text in MANY[:200]:
        assert len(set(splits(text, text.upper(), f"  {text[:-1]} ?!", test_share=0.5))) == 1


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_about_the_share_asked_for_are_tests(share: float) -> None:
    found = splits(*MANY, test_share=share).count("test") / len(MANY)
    assert abs(found - share) < 3.5 * (share * (1 - share) / len(MANY)) ** 0.5


def test_a_larger_share_only_moves_questions_to_the_tests() -> None:
    before = set[str]()
    for share in (0.0, 0.01, 0.05, 0.3, 0.9):
        named = zip(MANY, splits(*MANY, test_share=share), strict=True)
        tests = {text for text, split in named if split == "test"}
        assert before <= tests
        before = tests
    assert splits(*MANY, test_share=0.0).count("test") == 0


def test_another_salt_draws_other_tests() -> None:
    assert splits(*MANY, test_share=0.5) != splits(*MANY, test_share=0.5, salt="another")


def test_of_no_question_there_is_no_split() -> None:
    assert splits(test_share=0.5) == []
