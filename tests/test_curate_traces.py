"""Curation of traces, what is left after it, and how much was left out."""

import polars as pl
from curate_tables import broken, traces

from datagen.curate import CurateConfig, curate_traces, kept, rejection_counts
from schemas import Rejection

LONG = (
    "She buys 4 boxes with 12 pencils in each of them so that is 48 pencils and then she gives 9 "
    "of them to her brother which leaves her with 39 pencils in the end"
)
ALMOST = LONG.replace("which leaves", "and that leaves")
CONFIG = CurateConfig()


def test_a_trace_that_says_the_same_as_an_earlier_one_is_a_duplicate() -> None:
    table = traces({"text": "3 * 6 = 18"}, {"text": "18"}, {"text": "3  *  6 =  18."})
    found = curate_traces(table, config=CONFIG)
    assert found.select("id", "rule", "kind", "seed_id", "other", "preview").rows() == [
        ("t2", "duplicate", "trace", "s0", "t0", "3 * 6 = 18.")
    ]


def test_a_trace_that_says_almost_the_same_is_a_near_duplicate() -> None:
    found = curate_traces(traces({"text": LONG}, {"text": ALMOST}), config=CONFIG)
    assert found.select("id", "rule", "other", "reason").rows() == [
        ("t1", "near_duplicate", "t0", "t0 says almost the same")
    ]
    assert 0.9 <= found["score"][0] < 1
    relaxed = CurateConfig(trace_near_duplicates=None)
    assert curate_traces(traces({"text": LONG}, {"text": ALMOST}), config=relaxed).is_empty()


def test_a_right_and_a_wrong_trace_are_never_duplicates() -> None:
    table = traces({"text": LONG}, {"text": LONG, "outcome": "wrong"})
    assert curate_traces(table, config=CONFIG).is_empty()


def test_traces_with_other_answers_are_never_duplicates() -> None:
    table = traces(
        *[{"text": LONG, "outcome": "wrong", "answer": answer} for answer in ("17", "20")],
        *[{"text": LONG, "outcome": "unverifiable", "answer": None}] * 2,
    )
    assert broken(curate_traces(table, config=CONFIG)) == [("t3", "duplicate")]


def test_traces_of_other_questions_are_never_duplicates() -> None:
    table = traces({"text": LONG}, {"text": LONG, "question": "And how many pears?"})
    assert curate_traces(table, config=CONFIG).is_empty()


def test_traces_of_two_seeds_that_ask_the_same_are_compared() -> None:
    table = traces(
        {"text": LONG},
        {"text": LONG, "seed_id": "s1", "question": "How many apples are there"},
    )
    assert broken(curate_traces(table, config=CONFIG)) == [("t1", "duplicate")]


def test_the_human_trace_stays_wherever_it_stands() -> None:
    table = traces(
        {"text": LONG},
        {"text": ALMOST},
        {"text": LONG, "provenance": "human"},
        {"text": LONG, "provenance": "human"},
    )
    found = curate_traces(table, config=CONFIG)
    assert found.select("id", "rule", "other").rows() == [
        ("t0", "duplicate", "t2"),
        ("t1", "near_duplicate", "t2"),
    ]


def test_traces_without_end_are_rejected_but_not_human_ones() -> None:
    table = traces(
        {"text": "so " * 11},
        {"text": "and " * 10},
        {"text": "so " * 12, "provenance": "human"},
        {"text": "so " * 11},
    )
    found = curate_traces(table, config=CurateConfig(max_thought_words=10))
    assert broken(found) == [("t0", "length"), ("t3", "length")]


def test_of_no_traces_none_is_rejected() -> None:
    assert curate_traces(traces(), config=CONFIG).schema == pl.Schema(Rejection.polars_schema())


def rejections(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return Rejection.from_rows(
        [
            {
                "id": id_,
                "rule": rule,
                "kind": kind,
                "seed_id": "s",
                "reason": "so",
                "other": None,
                "score": None,
                "preview": "",
            }
            for id_, rule, kind in rows
        ]
    )


def test_rows_that_were_not_rejected_are_kept_in_order() -> None:
    table = traces(*[{"text": f"{n}"} for n in range(5)])
    gone = rejections(("t1", "length", "trace"), ("t3", "duplicate", "trace"))
    assert kept(table, gone).equals(table[[0, 2, 4]])


def test_a_rejected_question_is_no_rejected_trace_of_the_same_id() -> None:
    table = traces({"text": "a"})
    gone = rejections(("t0", "difficulty", "question"))
    assert kept(table, gone).equals(table)
    assert kept(table, gone, kind="question").is_empty()


def test_rows_can_be_named_by_another_column() -> None:
    table = pl.DataFrame({"id": ["t0", "t1"], "label": [True, False]})
    assert kept(table, rejections(("t0", "length", "trace")), id="id").rows() == [("t1", False)]


def test_rejections_are_counted_by_kind_and_rule_in_the_order_of_the_rules() -> None:
    table = rejections(
        ("a", "duplicate", "trace"),
        ("q", "near_duplicate", "question"),
        ("q", "gold", "question"),
        ("r", "gold", "question"),
        ("b", "length", "trace"),
    )
    assert rejection_counts(table).rows() == [
        ("question", "gold", 2),
        ("question", "near_duplicate", 1),
        ("trace", "length", 1),
        ("trace", "duplicate", 1),
    ]
    assert rejection_counts(Rejection.empty()).is_empty()
