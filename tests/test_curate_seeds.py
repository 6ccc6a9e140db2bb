"""Curation of questions: all rules together."""

from dataclasses import replace

import polars as pl
import pytest
from curate_tables import benchmark, broken, code_seeds, seeds

from datagen.curate import CurateConfig, curate_seeds
from datagen.errors import ConfigError, SeedError
from schemas import REJECTION_RULES

TRAIN = "A train leaves the station at noon and covers 120 km in 3 hours. How fast does it travel?"
PENCILS = (
    "Anna buys 4 boxes of pencils with 12 pencils in each of them and gives 9 of these pencils to "
    "her brother, who already has 5. How many pencils does Anna have now?"
)
ONCE_MORE = PENCILS.replace("gives", "hands")
CONFIG = CurateConfig()


def test_what_is_kept_is_unchanged_and_in_order() -> None:
    table = seeds({"question": TRAIN}, {"question": "?!"}, {"question": PENCILS}, {})
    about_code = code_seeds({}, {"question": "?!"}, {})
    made = curate_seeds(table, about_code, config=CONFIG)
    assert made.seeds.equals(table[[0, 2, 3]])
    assert made.code_seeds.equals(about_code[[0, 2]])
    assert broken(made.rejections) == [("s1", "length"), ("c1", "length")]


def test_an_item_has_a_row_for_each_rule_that_it_breaks_alone() -> None:
    table = seeds({"question": PENCILS, "answer": "Some, or none."}, {"question": "Eggs?"})
    config = replace(CONFIG, max_words=20, languages=("de",))
    made = curate_seeds(table, code_seeds(), config=config, benchmarks=[benchmark("b", PENCILS)])
    assert broken(made.rejections.filter(id="s0")) == [
        ("s0", "gold"),
        ("s0", "length"),
        ("s0", "language"),
        ("s0", "contaminated"),
    ]


def test_a_question_and_thought_that_are_both_too_long_have_one_row() -> None:
    table = seeds({"question": TRAIN, "thought": "so " * 30}, {"question": "How many?"})
    config = replace(CONFIG, max_words=10, max_thought_words=25)
    made = curate_seeds(table, code_seeds(), config=config)
    assert made.rejections.select("id", "reason").rows() == [
        ("s0", "its question has 19 words; kept are 1 to 10")
    ]


def test_a_thought_that_is_too_long_is_rejected() -> None:
    table = seeds({"thought": "so " * 30}, {})
    made = curate_seeds(table, code_seeds(), config=replace(CONFIG, max_thought_words=25))
    assert made.rejections.select("id", "rule", "reason").rows() == [
        ("s0", "length", "its thought has 30 words; kept are 0 to 25")
    ]


def test_the_same_question_with_another_thought_is_kept() -> None:
    table = seeds(
        {"question": TRAIN, "thought": "120 / 3 = 40", "answer": "40"},
        {"question": TRAIN.upper(), "thought": "3 * 40 = 120", "answer": "40.0"},
    )
    assert curate_seeds(table, code_seeds(), config=CONFIG).rejections.is_empty()


def test_the_same_question_with_the_same_thought_is_a_duplicate() -> None:
    table = seeds(
        {"question": TRAIN, "thought": "120 / 3 = 40", "answer": "40"},
        {"question": PENCILS, "thought": "120 / 3 = 40", "answer": "40"},
        {"question": f" {TRAIN}", "thought": "120 / 3 = 40!", "answer": "40.0"},
    )
    found = curate_seeds(table, code_seeds(), config=CONFIG).rejections
    assert found.select("id", "rule", "other", "reason").rows() == [
        ("s2", "duplicate", "s0", "s0 asks the same with the same thought")
    ]


def test_contradicting_golds_are_seen_before_duplicates_hide_them() -> None:
    table = seeds(
        {"question": TRAIN, "answer": "40"},
        {"question": TRAIN, "answer": "41"},
        {"question": TRAIN, "answer": "40"},
    )
    found = curate_seeds(seeds_and(table), code_seeds(), config=CONFIG).rejections
    assert broken(found) == [(f"s{idx}", "conflicting_golds") for idx in range(3)]


def seeds_and(table: pl.DataFrame) -> pl.DataFrame:
    """``table`` and one good seed, since it is an error if none is kept."""
    return pl.concat([table, seeds({"seed_id": "good", "question": "How many eggs?"})])


def test_a_gold_that_cannot_be_read_contradicts_none() -> None:
    table = seeds({"question": TRAIN, "answer": "40"}, {"question": TRAIN, "answer": "Fast, I say"})
    found = curate_seeds(table, code_seeds(), config=CONFIG).rejections
    assert broken(found) == [("s1", "gold")]


def test_almost_the_same_question_is_rejected_whatever_its_thought() -> None:
    table = seeds(
        {"question": PENCILS, "thought": "4 * 12 = 48"},
        {"question": TRAIN},
        {"question": ONCE_MORE, "thought": "48 - 9 = 39"},
        {"question": ONCE_MORE.upper(), "thought": "39"},
    )
    found = curate_seeds(table, code_seeds(), config=CONFIG).rejections
    assert found.select("id", "rule", "other").rows() == [
        ("s2", "near_duplicate", "s0"),
        ("s3", "near_duplicate", "s0"),
    ]
    assert found["score"].is_between(0.8, 0.999).all()


def test_the_same_problem_with_other_numbers_is_another_question_unless_told_otherwise() -> None:
    table = seeds({"question": PENCILS}, {"question": PENCILS.replace("12", "10")})
    assert curate_seeds(table, code_seeds(), config=CONFIG).rejections.is_empty()
    config = replace(CONFIG, same_numbers=False)
    found = curate_seeds(table, code_seeds(), config=config).rejections
    assert broken(found) == [("s1", "near_duplicate")]


def test_near_duplicates_can_be_left_alone() -> None:
    table = seeds({"question": PENCILS}, {"question": ONCE_MORE})
    config = replace(CONFIG, near_duplicates=None)
    assert curate_seeds(table, code_seeds(), config=config).rejections.is_empty()


@pytest.mark.parametrize("fault", [{"answer": "Fast, I say"}, {"thought": "so " * 60}])
def test_a_rejected_question_speaks_for_no_other(fault: dict[str, str]) -> None:
    table = seeds({"question": PENCILS} | fault, {"question": ONCE_MORE}, {"question": PENCILS})
    config = replace(CONFIG, max_thought_words=50)
    found = curate_seeds(table, code_seeds(), config=config).rejections
    assert found.select("id", "other").rows() == [("s0", None), ("s2", "s1")]


def test_a_rejected_code_seed_speaks_for_no_other() -> None:
    about_code = code_seeds({"question": "Add them."}, {"question": "Add them!"}, {})
    benchmarks = [benchmark("b", "Add them")]
    found = curate_seeds(seeds(), about_code, config=CONFIG, benchmarks=benchmarks).rejections
    assert broken(found) == [("c0", "contaminated"), ("c1", "contaminated")]


def test_a_duplicate_is_not_looked_at_again() -> None:
    table = seeds({"question": PENCILS}, {"question": ONCE_MORE}, {"question": ONCE_MORE})
    found = curate_seeds(table, code_seeds(), config=CONFIG).rejections
    assert found.select("id", "rule", "other").rows() == [
        ("s2", "duplicate", "s1"),
        ("s1", "near_duplicate", "s0"),
    ]


def test_code_seeds_with_the_same_question_are_duplicates_whatever_their_code() -> None:
    about_code = code_seeds({"question": PENCILS}, {}, {"question": PENCILS.lower()})
    found = curate_seeds(seeds(), about_code, config=CONFIG).rejections
    assert found.select("id", "rule", "other", "reason").rows() == [
        ("c2", "duplicate", "c0", "c0 asks the same already")
    ]


def test_seeds_and_code_seeds_are_not_compared_with_each_other() -> None:
    made = curate_seeds(
        seeds({"question": PENCILS}), code_seeds({"question": PENCILS}), config=CONFIG
    )
    assert made.rejections.is_empty()


def test_questions_of_benchmarks_are_rejected_and_counted() -> None:
    made = curate_seeds(
        seeds({"question": TRAIN}, {"question": "How many eggs?"}, {"question": PENCILS.upper()}),
        code_seeds({"question": f"Please answer. {TRAIN}"}, {}),
        config=CONFIG,
        benchmarks=[benchmark("one", "Why?", TRAIN), benchmark("two", PENCILS, TRAIN)],
    )
    found = made.rejections
    assert found.select("id", "rule", "other", "reason", "score").rows() == [
        ("s0", "contaminated", "one#1", "it is, word for word, one#1", 1.0),
        ("s2", "contaminated", "two#0", "it is, word for word, two#0", 1.0),
        ("c0", "contaminated", "one#1", "it contains all words of one#1", 1.0),
    ]
    assert made.benchmark_checks.select("name", "n_rows", "n_checked", "n_rejected").rows() == [
        ("one", 2, 5, 2),
        ("two", 2, 5, 3),
    ]


def test_a_benchmark_that_holds_nothing_of_ours_is_reported_too() -> None:
    made = curate_seeds(
        seeds({}), code_seeds(), config=CONFIG, benchmarks=[benchmark("clean", TRAIN)]
    )
    assert made.benchmark_checks.rows() == [("clean", "clean.jsonl", "0" * 64, 1, 1, 0)]
    assert made.rejections.is_empty()


def test_rules_come_in_the_order_of_the_contract() -> None:
    table = seeds(
        {"question": PENCILS},
        {"question": ONCE_MORE},
        {"question": PENCILS},
        {"question": TRAIN, "answer": "1"},
        {"question": TRAIN, "answer": "2"},
        {"question": "How many eggs?"},
        {"question": QUESTION_IN_GERMAN},
        {"question": "?"},
        {"answer": "Some, or none."},
    )
    made = curate_seeds(
        table,
        code_seeds(),
        config=replace(CONFIG, languages=("en",)),
        benchmarks=[benchmark("b", "How many eggs?")],
    )
    rules = list(dict.fromkeys(made.rejections["rule"]))
    assert rules == [rule for rule in REJECTION_RULES if rule != "difficulty"]


QUESTION_IN_GERMAN = "Anna hat 48 Muscheln und gibt einem Freund 18 davon. Wie viele bleiben ihr?"


def test_it_is_an_error_if_no_seed_is_left() -> None:
    table = seeds({"answer": "Some, or none."}, {"question": "?"}, {"question": "…"})
    with pytest.raises(SeedError) as caught:
        curate_seeds(table, code_seeds(), config=CONFIG)
    assert str(caught.value).startswith(
        "curation keeps none of 3 seeds (1 × gold, 2 × length); 's0', for example: verifier math "
        "cannot read the gold answer 'Some, or none.'"
    )


def test_no_seeds_at_all_are_no_error() -> None:
    made = curate_seeds(seeds(), code_seeds(), config=CONFIG, benchmarks=[benchmark("b", TRAIN)])
    assert made.seeds.is_empty()
    assert made.rejections.is_empty()
    assert made.benchmark_checks["n_checked"].to_list() == [0]


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'xx' cannot be told"):
        curate_seeds(seeds({}), code_seeds(), config=replace(CONFIG, languages=("xx",)))
