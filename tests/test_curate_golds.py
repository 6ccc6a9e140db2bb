"""Golds that no verifier reads, and golds that contradict each other."""

import polars as pl
import pytest
from curate_tables import broken, seeds

from datagen.curate.golds import conflicting_golds, unreadable_golds
from datagen.verify import gold_is_parseable
from schemas import Rejection

SAME = "How many apples are there in all?"


def test_a_gold_that_its_verifier_cannot_read_is_rejected_with_the_gold_in_the_reason() -> None:
    table = seeds(
        {"answer": "18"},
        {"answer": "It depends, mostly."},
        {"answer": "It depends, mostly.", "verifier": "exact"},
        {"answer": "Tuesday or later", "verifier": "numeric"},
        {"answer": r"\frac{3}{4}"},
        {"answer": "E or F", "verifier": "choice"},
    )
    found = unreadable_golds(table)
    assert broken(found) == [("s1", "gold"), ("s3", "gold"), ("s5", "gold")]
    assert found["reason"][0].startswith(
        "verifier math cannot read the gold answer 'It depends, mostly.'; "
    )
    assert found["preview"][1] == table["question"][3]


def test_a_seed_judged_by_a_rubric_needs_no_readable_gold() -> None:
    rubric = [{"criterion": "Is kind.", "weight": 1.0}]
    table = seeds({"answer": "…", "verifier": "rubric", "criteria": rubric})
    assert unreadable_golds(table).is_empty()


@pytest.mark.parametrize("gold", ["0", "-7", "007", "18.50", "999999999999999", "-0.125"])
@pytest.mark.parametrize("verifier", ["math", "numeric"])
def test_plain_numbers_that_are_not_looked_at_are_indeed_readable(gold: str, verifier: str) -> None:
    assert gold_is_parseable(gold, verifier=verifier)


def test_each_other_gold_is_read_once_however_many_seeds_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def readable(gold: str, *, verifier: str) -> bool:
        read.append(gold)
        return False

    monkeypatch.setattr("datagen.curate.golds.gold_is_parseable", readable)
    found = unreadable_golds(seeds(*[{"answer": "x + 1"}] * 5, {"answer": "12"}))
    assert read == ["x + 1"]
    assert found.height == 5


def test_all_seeds_of_a_question_with_contradicting_golds_are_rejected() -> None:
    found = conflicting_golds(
        seeds(
            {"question": SAME, "answer": "18"},
            {"question": "Another one?", "answer": "5"},
            {"question": SAME.upper(), "answer": "18.0"},
            {"question": "how many apples are there, in all", "answer": "20"},
            {"question": SAME, "answer": "18"},
        )
    )
    assert found.select("id", "other").rows() == [
        ("s0", "s3"),
        ("s2", "s3"),
        ("s3", "s0"),
        ("s4", "s3"),
    ]
    assert set(found["rule"]) == {"conflicting_golds"}
    assert found["reason"][0] == (
        "its gold answer '18' and '20' of the same question are not the same answer"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other", "verifier"),
    [
        ("0.5", "1/2", "math"),
        (r"\sqrt{8}", r"2\sqrt{2}", "math"),
        ("18", "18.0", "numeric"),
        ("(B)", "B) 15 cm", "choice"),
        ("Paris", "paris.", "exact"),
    ],
)
def test_golds_that_are_the_same_answer_are_no_conflict(
    one: str, other: str, verifier: str
) -> None:
    table = seeds(
        {"question": SAME, "answer": one, "verifier": verifier},
        {"question": SAME, "answer": other, "verifier": verifier},
    )
    assert conflicting_golds(table).is_empty()


def test_golds_are_the_same_answer_if_the_verifier_of_either_seed_says_so() -> None:
    table = seeds(
        {"question": SAME, "answer": "1/2", "verifier": "exact"},
        {"question": SAME, "answer": "0.5", "verifier": "math"},
    )
    assert conflicting_golds(table).is_empty()


def test_golds_that_cannot_be_shown_to_be_the_same_are_a_conflict() -> None:
    table = seeds({"question": SAME, "answer": "5 km"}, {"question": SAME, "answer": "5 kg"})
    assert conflicting_golds(table)["id"].to_list() == ["s0", "s1"]


def test_a_sign_makes_two_questions() -> None:
    table = seeds(
        {"question": "What is 7 + 3?", "answer": "10"},
        {"question": "What is 7 - 3?", "answer": "4"},
    )
    assert conflicting_golds(table).is_empty()


def test_questions_without_a_word_are_not_taken_for_one_question() -> None:
    table = seeds({"question": "?", "answer": "1"}, {"question": "…", "answer": "2"})
    assert conflicting_golds(table).is_empty()


def test_of_no_seeds_nothing_is_rejected() -> None:
    for rule in (unreadable_golds, conflicting_golds):
        found = rule(seeds())
        assert found.is_empty()
        assert found.schema == pl.Schema(Rejection.polars_schema())
