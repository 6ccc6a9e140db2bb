"""Which traces people are asked to look at."""

import random
from typing import Any

import polars as pl
import pytest
from review_tables import LONG, Row, Tables, critique, review, reviews, trace, trace_label

from datagen.errors import ConfigError
from datagen.review.ask.belief import believe
from datagen.review.ask.queue import QueueConfig, in_random_order, make_queue
from datagen.review.decide.adjudicate import adjudicate
from datagen.review.decide.apply import settled
from schemas import CodeThought, Correction, Decision, StepLabel, Tag, Trace

SURE = [0.01, 0.95, 0.02, 0.01, 0.01]
UNSURE = [0.2, 0.3, 0.2, 0.2, 0.1]
ONLY_VALUE = QueueConfig(n_items=100, random_share=0, trap_share=0)


def queue_of(tables: Tables, config: QueueConfig = ONLY_VALUE, **given: Any) -> pl.DataFrame:
    return make_queue(*tables.as_arguments(), config=config, **given)


def many(n: int) -> Tables:
    """Traces that are the less sure, the higher their number; all are alike otherwise."""
    labels = []
    for idx in range(n):
        left = 0.9 - 0.6 * idx / n
        labels.append(trace_label(f"t{idx:03d}", [left, 1 - left, 0, 0, 0]))
    return Tables(labels)


def with_known(tables: Tables, n: int) -> Tables:
    """Traces more whose first error is known to be step 1."""
    p = [0.01, 0.96, 0.01, 0.01, 0.01]
    names = [f"k{idx:02d}" for idx in range(n)]
    known = [trace_label(name, p, judge=1) for name in names]
    proofs = [critique(name, "checker", 1) for name in names]
    return Tables([*tables.trace_labels.to_dicts(), *known], critiques=proofs)


def decisions(*rows: Row) -> pl.DataFrame:
    return Decision.from_rows(rows)


def decision(trace_id: str, first_error: int | None, **changes: Any) -> Row:
    """By one person; disputed by two without a first error."""
    answers = [0, 1] if first_error is None else [first_error]
    return {
        "trace_id": trace_id,
        "seed_id": f"seed-of-{trace_id}",
        "first_error": first_error,
        "status": "disputed" if first_error is None else "decided",
        "decided_by": None if first_error is None else "single",
        "n_reviews": len(answers),
        "n_agreeing": 0 if first_error is None else 1,
        "annotators": ["ann", "bob"][: len(answers)],
        "answers": answers,
        "factors": [],
        "believed_first_error": 0,
        "is_random": False,
    } | changes


# ---- what a review is worth


def worth(labels: list[Row], **options: float) -> pl.DataFrame:
    return Tables(labels).trace_labels.with_columns(believe(Tables(labels).trace_labels, **options))


def test_value_is_the_labels_that_the_truth_would_change_per_step_to_be_read() -> None:
    found = worth([trace_label("t", [0.5, 0.25, 0, 0, 0.25])])
    # from step 0: one label with 1/4, four with 1/4; the row itself with 1/2; five places
    assert found["n_flips"].item() == pytest.approx(0.25 * 1 + 0.25 * 4)
    assert found["value"].item() == pytest.approx((1.25 + 0.5) / 5)


def test_a_belief_without_doubt_is_worth_nothing() -> None:
    found = worth([trace_label("t", [0, 1.0, 0, 0, 0], judge=1)])
    assert found.select("entropy", "n_flips", "value").row(0) == (0.0, 0.0, 0.0)


def test_a_judge_who_disagrees_makes_a_trace_worth_more_and_one_who_agrees_less() -> None:
    labels = [trace_label("agree", SURE, judge=1), trace_label("alone", SURE)]
    labels.append(trace_label("oppose", SURE, judge=3))
    value = dict(worth(labels).select("trace_id", "value").iter_rows())
    assert value["agree"] < value["alone"] < value["oppose"]


def test_judges_who_are_mostly_wrong_here_are_heeded_less() -> None:
    opposed = trace_label("oppose", SURE, judge=3)
    reliable = [trace_label(f"t{idx}", SURE, judge=1) for idx in range(30)]
    erratic = [trace_label(f"t{idx}", SURE, judge=2) for idx in range(30)]
    value_beside = [
        worth([*others, opposed]).filter(trace_id="oppose")["value"].item()
        for others in (reliable, erratic)
    ]
    assert value_beside[0] > 1.5 * value_beside[1]


def test_a_higher_temperature_makes_beliefs_less_sure() -> None:
    label = [trace_label("t", SURE)]
    assert worth(label, temperature=2.0)["entropy"].item() > worth(label)["entropy"].item()


# ---- the choice


def test_the_traces_of_most_value_are_chosen_best_first() -> None:
    queue = queue_of(many(40), QueueConfig(n_items=10, random_share=0, trap_share=0))
    assert queue["value"].is_sorted(descending=True)
    assert queue["rank"].to_list() == [*range(10)]
    everything = queue_of(many(40))
    assert set(queue["value"]) == set(everything["value"].top_k(10))


def test_the_same_tables_in_any_order_give_the_same_queue() -> None:
    tables = many(40)
    config = QueueConfig(n_items=20, random_share=0.3, trap_share=0)
    queue = queue_of(tables, config)
    tables.traces = tables.traces.reverse()
    tables.trace_labels = tables.trace_labels.sample(fraction=1.0, shuffle=True, seed=1)
    tables.step_labels = tables.step_labels.reverse()
    assert queue_of(tables, config).equals(queue)


def test_decided_traces_make_room_and_the_others_stay() -> None:
    tables, config = many(40), QueueConfig(n_items=10, random_share=0.2, trap_share=0)
    first = queue_of(tables, config)
    gone = first["trace_id"][:3].to_list()
    then = queue_of(tables, config, decisions=decisions(*(decision(name, 0) for name in gone)))
    assert then.height == 10
    assert not set(gone) & set(then["trace_id"])
    # one of those chosen by value may be drawn at random now; it stays all the same
    assert set(first["trace_id"]) - set(gone) <= set(then["trace_id"])


def test_every_stratum_has_a_share_of_what_it_is_worth() -> None:
    labels = [trace_label(f"w{idx}", UNSURE) for idx in range(40)]
    mild = [0.02, 0.02, 0.02, 0.24, 0.7]
    labels += [trace_label(f"c{idx}", mild, outcome="correct") for idx in range(40)]
    queue = queue_of(Tables(labels), QueueConfig(n_items=20, random_share=0, trap_share=0))
    assert queue.filter(outcome="wrong").height > queue.filter(outcome="correct").height >= 2


def test_strata_name_kind_outcome_length_and_difficulty() -> None:
    labels = [trace_label("short", UNSURE), trace_label("long", [*UNSURE[:4], 0.0, 0.1])]
    labels.append(trace_label("right", UNSURE, outcome="correct"))
    strata = dict(queue_of(Tables(labels)).select("trace_id", "stratum").iter_rows())
    assert strata == {
        "short": "trace/wrong/short/hard",
        "long": "trace/wrong/long/hard",
        "right": "trace/correct/short/easy",
    }


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (trace_label("t", SURE, judge=3), "disagreement"),
        (trace_label("t", UNSURE, judge=1), "uncertain"),
        (trace_label("t", [0.7, 0, 0, 0, 0.3]), "impact"),
    ],
)
def test_the_reason_is_what_a_trace_stands_out_by(label: Row, reason: str) -> None:
    others = [trace_label("doubt", [0.24, 0.26, 0.25, 0.25, 0])]
    queue = queue_of(Tables([label, *others] if reason == "impact" else [label]))
    assert queue.filter(trace_id="t")["reason"].item() == reason


def test_nothing_is_chosen_for_a_value_of_zero() -> None:
    assert queue_of(Tables([trace_label("t", [0, 1.0, 0, 0, 0], judge=1)])).is_empty()


# ---- the random slice


def test_the_random_slice_is_the_beginning_of_one_fixed_order() -> None:
    tables = many(60)
    queue = queue_of(tables, QueueConfig(n_items=20, random_share=0.25, trap_share=0))
    drawn = set(queue.filter(reason="random")["trace_id"])
    order = sorted(tables.traces["trace_id"], key=in_random_order)
    assert drawn == set(order[:5])
    assert queue.height == 20


@pytest.mark.slow
def test_the_random_slice_is_no_richer_in_value_than_the_traces_are() -> None:
    tables = many(2000)
    queue = queue_of(tables, QueueConfig(n_items=400, random_share=1.0, trap_share=0))
    everything = queue_of(tables, QueueConfig(n_items=2000, random_share=0, trap_share=0))
    assert queue["value"].mean() == pytest.approx(everything["value"].mean(), rel=0.05)


def test_random_ones_and_traps_are_scattered_among_the_others() -> None:
    tables = with_known(many(100), 30)
    queue = queue_of(tables, QueueConfig(n_items=60, random_share=0.2, trap_share=0.2))
    assert dict(queue.group_by("reason").len().iter_rows())["trap"] == 12
    for reason in ("random", "trap"):
        ranks = queue.filter(reason=reason)["rank"]
        assert 15 < ranks.mean() < 45  # pyright: ignore[reportOperatorIssue]
        assert ranks.max() - ranks.min() > 25  # pyright: ignore[reportOperatorIssue]


# ---- traps


KNOWN = trace_label("known", [0.01, 0.96, 0.01, 0.01, 0.01], judge=1)
ALL_TRAPS = QueueConfig(n_items=10, random_share=0, trap_share=1)


@pytest.mark.parametrize(
    ("votes", "n_traps"),
    [
        ([("checker", 1)], 1),
        ([("checker", 1), ("native_critique", 1)], 1),
        ([("checker", None), ("native_critique", 1)], 0),  # not proven
        ([("native_critique", 1)], 0),
        ([("checker", 1), ("native_critique", 0)], 0),  # not agreed by all
        ([("checker", 2), ("native_critique", 1)], 0),  # another step is proven wrong
    ],
)
def test_a_trap_is_proven_wrong_where_all_agree(
    votes: list[tuple[str, int | None]], n_traps: int
) -> None:
    tables = Tables([KNOWN], critiques=[critique("known", *vote) for vote in votes])
    traps = queue_of(tables, ALL_TRAPS).filter(reason="trap")
    assert traps["trap_first_error"].to_list() == [1] * n_traps


def test_a_judge_who_cannot_say_makes_a_proof_less_than_sure() -> None:
    votes = [critique("known", "checker", 1), critique("known", "native_critique", None)]
    queue = queue_of(Tables([KNOWN], critiques=votes), ALL_TRAPS)
    assert queue["reason"].to_list() == ["uncertain"]


def test_traps_that_were_answered_are_not_set_again_not_even_disputed_ones() -> None:
    tables = Tables([KNOWN], critiques=[critique("known", "checker", 1)])
    for first_error in (1, None):
        before = decisions(decision("known", first_error, trap_first_error=1))
        assert queue_of(tables, ALL_TRAPS, decisions=before).is_empty()


# ---- disputes


def test_disputes_come_first_and_want_one_more_who_is_told_what_was_said() -> None:
    tables = many(20)
    queue = queue_of(
        tables,
        QueueConfig(n_items=5, random_share=0.2, trap_share=0),
        decisions=decisions(decision("t000", None)),
    )
    first = queue.row(0, named=True)
    assert (first["trace_id"], first["reason"], first["n_wanted"]) == ("t000", "dispute", 3)
    assert first["decisions_before"] == ["ann: step 1 is wrong", "bob: step 2 is wrong"]
    assert queue.height == 5
    assert queue["n_wanted"][1:].to_list() == [2] * 4


def test_what_all_who_were_asked_cannot_tell_is_a_seniors_and_then_closed() -> None:
    tables, rows = many(4), [review("t000", "ann", None), review("t000", "bob", 2)]
    first = queue_of(tables, reviews=reviews(*rows)).row(0, named=True)
    assert (first["trace_id"], first["reason"], first["n_wanted"]) == ("t000", "dispute", 3)
    assert first["decisions_before"] == ["ann: cannot tell", "bob: step 3 is wrong"]
    rows.append(review("t000", "eve", None))
    assert "t000" not in queue_of(tables, reviews=reviews(*rows))["trace_id"]
    # ann has thought about it again
    rows[0] = review("t000", "ann", 2, submitted_at="2026-11-24T01:00:00Z")
    then = queue_of(tables, reviews=reviews(*rows)).row(0, named=True)
    assert (then["trace_id"], then["reason"]) == ("t000", "uncertain")


# ---- begun


def begun_in(queue: pl.DataFrame, *names: str) -> list[str]:
    """The reasons of these, which must come first, in any order."""
    first = queue.head(len(names))
    assert set(first["trace_id"]) == set(names)
    return first.sort("trace_id")["reason"].to_list()


def test_begun_traces_come_before_anything_new_whatever_they_are_worth() -> None:
    tables = many(40)
    config = QueueConfig(n_items=5, random_share=0, trap_share=0)
    said = reviews(*(review(name, "ann", 0) for name in ("t000", "t001", "t002")))
    assert not {"t000", "t001", "t002"} & set(queue_of(tables, config)["trace_id"])
    disputed = decisions(decision("t030", None))
    queue = queue_of(tables, config, reviews=said, decisions=disputed)
    assert queue["reason"][0] == "dispute"
    begun_in(queue[1:], "t000", "t001", "t002")
    assert queue.height == 5
    assert queue["n_wanted"][1:].to_list() == [2] * 4


def test_what_is_worth_nothing_by_now_or_was_answered_by_enough_stays_until_it_is_decided() -> None:
    tables = Tables([trace_label("sure", [0, 1.0, 0, 0, 0], judge=1), trace_label("t", UNSURE)])
    said = [review("sure", "ann", 1), review("t", "ann", 1), review("t", "bob", 1)]
    begun_in(queue_of(tables, reviews=reviews(*said)), "sure", "t")
    assert begun_in(queue_of(tables, reviews=reviews(*said[1:])), "t") == ["uncertain"]
    decided = decisions(decision("t", 1))
    assert queue_of(tables, reviews=reviews(*said[1:]), decisions=decided).is_empty()


def test_more_begun_traces_than_there_is_room_for_fill_the_queue_best_first() -> None:
    tables = many(20)
    said = reviews(*(review(f"t{idx:03d}", "ann", 0) for idx in range(12)))
    queue = queue_of(tables, QueueConfig(n_items=5, random_share=0, trap_share=0), reviews=said)
    assert queue["trace_id"].to_list() == ["t011", "t010", "t009", "t008", "t007"]


def test_a_review_of_a_trace_that_is_gone_changes_nothing() -> None:
    tables = many(10)
    assert queue_of(tables, reviews=reviews(review("gone", "ann", 0))).equals(queue_of(tables))


def test_a_begun_random_item_stays_random() -> None:
    tables, config = many(60), QueueConfig(n_items=20, random_share=0.25, trap_share=0)
    order = sorted(tables.traces["trace_id"], key=in_random_order)
    said = reviews(review(order[1], "ann", 0), review(order[3], "ann", None))
    queue = queue_of(tables, config, reviews=said)
    assert begun_in(queue, order[1], order[3]) == ["random", "random"]
    assert set(queue.filter(reason="random")["trace_id"]) == set(order[:5])
    assert queue.height == 20


def test_the_random_slice_is_cut_and_not_thinned_out_where_begun_traces_need_the_room() -> None:
    tables, config = many(60), QueueConfig(n_items=10, random_share=0.5, trap_share=0)
    order = sorted(tables.traces["trace_id"], key=in_random_order)
    # seven of the later ones and the fourth are begun, so that two new ones have a place
    said = reviews(*(review(name, "ann", 0) for name in (order[3], *order[20:27])))
    queue = queue_of(tables, config, reviews=said)
    assert set(queue["trace_id"]) == {*order[:2], order[3], *order[20:27]}
    assert set(queue.filter(reason="random")["trace_id"]) == set(order[:2])


def test_a_begun_trap_stays_a_trap_also_where_chance_has_come_to_it() -> None:
    tables = with_known(many(12), 12)
    few = QueueConfig(n_items=20, random_share=0.1, trap_share=0.2)
    traps = queue_of(tables, few).filter(reason="trap")["trace_id"].to_list()
    said = reviews(*(review(name, "ann", 3) for name in traps))
    chance = QueueConfig(n_items=20, random_share=0.8, trap_share=0.0)
    for queue in (queue_of(tables, config, reviews=said) for config in (few, chance)):
        assert begun_in(queue, *traps) == ["trap"] * 4
        assert queue.head(4)["trap_first_error"].to_list() == [1] * 4
    both = reviews(*(review(name, who, 3) for name in traps for who in ("ann", "bob")))
    found = adjudicate(both, queue_of(tables, chance, reviews=said))
    assert found["trap_first_error"].to_list() == [1] * 4
    assert settled(found).is_empty()


def test_what_is_known_is_a_trap_or_no_question() -> None:
    tables = Tables([KNOWN], critiques=[critique("known", "checker", 1)])
    assert queue_of(tables).is_empty()
    by_chance = queue_of(tables, QueueConfig(n_items=9, random_share=1, trap_share=0))
    assert by_chance["reason"].to_list() == ["trap"]


def test_traces_that_are_too_long_to_ask_about_are_left_out() -> None:
    tables = Tables([trace_label("t", UNSURE), trace_label("long", [*UNSURE[:4], 0.0, 0.1])])
    config = QueueConfig(n_items=9, random_share=0.5, trap_share=0, max_steps=LONG)
    assert queue_of(tables, config)["trace_id"].to_list() == ["t"]


# ---- what a reviewer is shown


def test_an_item_carries_steps_evidence_beliefs_and_the_judges_words() -> None:
    votes = [
        critique("t", "checker", None, reason="nothing found"),
        critique("t", "native_critique", 3, reason="the result is wrong"),
    ]
    tables = Tables([trace_label("t", UNSURE, judge=3)], critiques=votes)
    tables.tags = Tag.from_rows(
        {
            "trace_id": "t",
            "seed_id": "seed-of-t",
            "step_idx": idx,
            "text": "…",
            "factor": "Deduce",
            "probability": 0.4 if idx == 2 else 0.9,
            "tagger": "classifier",
            "needs_review": idx == 2,
            "depends_on": [],
            "taxonomy": "2",
        }
        for idx in range(LONG)
    )
    item = queue_of(tables).row(0, named=True)
    assert item["steps"] == [f"step {idx} of t" for idx in range(LONG)]
    # a tag in doubt is not used
    assert item["factors"] == ["Deduce", "Deduce", "Compute", "Deduce"]
    assert item["factor_doubts"] == [2]
    assert (item["n_trials"], item["n_successes"]) == ([2] * LONG, [1] * LONG)
    assert (item["first_error"], item["first_error_mass"]) == (1, 0.3)
    assert item["p_first_error"] == UNSURE
    assert item["judge_first_error"] == 3
    # people count from 1
    assert item["judge_text"] == "native_critique: step 4 is wrong: the result is wrong"


CODE: Row = {
    "thought_id": "code",
    "seed_id": "seed-of-code",
    "route": "model",
    "thought_idx": 0,
    "attempt": 0,
    "question": "How many?",
    "code": "pass",
    "steps": [f"step {idx} of code" for idx in range(LONG)],
    "factors": ["Compute"] * LONG,
    "claims": [],
    "step_checks": ["uncheckable", "checked", "contradicted", "checked"],
    "first_error": 2,
    "n_round_trips": 0,
    "n_passed": 0,
    "n_bare": 0,
    "n_bare_passed": 0,
    "verified": False,
    "reasons": ["claims"],
    "n_tokens": 1,
    "engine": "toy",
    "completion_key": "key",
}


def about_code(labels: list[bool | None], **changes: Any) -> Tables:
    tables = Tables([])
    tables.traces = Trace.from_rows([trace("code", rollout_id=None)])
    tables.code_thoughts = CodeThought.from_rows([CODE | changes])
    tables.step_labels = StepLabel.from_rows(
        {
            "trace_id": "code",
            "seed_id": "seed-of-code",
            "step_idx": idx,
            "factor": "Compute",
            "text": f"step {idx} of code",
            "provenance": "model",
            "step_source": "key",
            "n_trials": 0,
            "n_successes": 0,
            "hard_label": label,
            "label_source": "none" if label is None else "execution",
        }
        for idx, label in enumerate(labels)
    )
    return tables


def test_a_step_that_a_run_could_not_decide_is_in_doubt_as_often_as_runs_contradict() -> None:
    item = queue_of(about_code([None, True, False, False])).row(0, named=True)
    assert (item["kind"], item["first_error"]) == ("code", 2)
    assert item["step_checks"] == CODE["step_checks"]
    # one of three checked steps is contradicted, with one more of each: 2/5
    assert item["p_first_error"] == pytest.approx([0.4, 0, 0.6, 0, 0])


def test_what_a_run_has_decided_is_a_trap_and_no_question() -> None:
    tables = about_code([True, True, False, False])
    assert queue_of(tables).is_empty()
    assert queue_of(tables, ALL_TRAPS)["trap_first_error"].to_list() == [2]


def test_a_thought_that_betrays_the_code_is_not_reviewed() -> None:
    tables = about_code([None, None, False, False], leak="the code above", first_error=-1)
    assert queue_of(tables, QueueConfig(n_items=9, random_share=1, trap_share=0)).is_empty()


def test_a_correction_is_as_doubtful_as_the_right_trace_that_it_ends_with() -> None:
    tables = Tables([trace_label("right", [0.05, 0.05, 0, 0, 0.9], outcome="correct")])
    mended = trace("mended", outcome="correct", rollout_id=None) | {
        "kind": "splice",
        "n_attempts": 1,
        "wrong_trace_ids": ["w"],
        "right_trace_id": "right",
        "edit_distances": [1],
        "step_roles": ["right", "wrong", "detect", "right"],
        "step_labels": [True, False, True, True],
        "attempt_idx": [-1, 0, -1, -1],
    }
    tables.corrections = Correction.from_rows([mended])
    item = queue_of(tables).filter(kind="correction").row(0, named=True)
    assert item["step_roles"] == mended["step_roles"]
    assert item["p_first_error"] == pytest.approx([0.05, 0, 0, 0.05, 0.9])


def test_without_traces_the_queue_is_empty() -> None:
    assert queue_of(Tables([])).is_empty()


@pytest.mark.parametrize(
    "wrong",
    [
        {"random_share": 1.5},
        {"trap_share": -0.1},
        {"random_share": 0.6, "trap_share": 0.6},
        {"n_annotators": 0},
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        QueueConfig(**wrong)


# ---- over several nights


def test_the_sample_ends_where_reviews_are_still_to_come() -> None:
    tables = many(60)
    queue = queue_of(tables, QueueConfig(n_items=20, random_share=0.25, trap_share=0))
    drawn = sorted(queue.filter(reason="random")["trace_id"], key=in_random_order)
    # the second of them is missing, so nothing after it is of the sample
    said = reviews(*(review(name, "ann", 0) for name in drawn if name != drawn[1]))
    found = adjudicate(said, queue, min_annotators=1)
    assert found.height == 4
    assert found.filter("is_random")["trace_id"].to_list() == drawn[:1]


def test_decisions_of_several_nights_are_together_a_random_sample() -> None:
    tables, config = many(60), QueueConfig(n_items=20, random_share=0.25, trap_share=0)
    first = queue_of(tables, config)
    by_value = first.filter(pl.col("reason") != "random")
    said = [review(name, "ann", 0) for name in by_value["trace_id"]]
    night = adjudicate(reviews(*said), first, min_annotators=1)
    # chance has put nothing in the sample yet, since nobody has answered its traces
    assert not night["is_random"].any()
    queue = first
    for _ in range(2):
        queue = queue_of(tables, config, decisions=night)
        said += [review(name, "ann", 0) for name in queue["trace_id"]]
        night = adjudicate(reviews(*said), queue, min_annotators=1, before=night)
    order = sorted(tables.traces["trace_id"], key=in_random_order)
    sample = set(night.filter("is_random")["trace_id"])
    last = max(queue.filter(reason="random")["trace_id"], key=in_random_order)
    assert sample == set(order[: order.index(last) + 1])
    # those of the first night that were asked about for another reason are part of it
    assert sample & set(by_value["trace_id"])


@pytest.mark.slow
def test_the_sample_is_at_all_times_the_beginning_of_the_order() -> None:
    """Whoever answers what, in whichever order, some not at all and some only later."""
    tables = with_known(many(60), 20)
    order = sorted(tables.traces["trace_id"], key=in_random_order)
    config = QueueConfig(n_items=12, random_share=0.4, trap_share=0.1)
    rng = random.Random(0)
    said: dict[tuple[str, str], Row] = {}
    found, sizes = Decision.empty(), list[int]()
    for night in range(16):
        queue = queue_of(tables, config, reviews=reviews(*said.values()), decisions=found)
        for name, reason in queue.select("trace_id", "reason").iter_rows():
            people = ["sue"] if reason == "dispute" else ["ann", "bob"]
            for who in people:
                if rng.random() < 0.6:
                    said[name, who] = review(name, who, rng.choice([0, 0, 0, 0, 0, 1]))
        # somebody takes a review back that was not decisive for the sample
        later = [key for key in said if key[0] not in set(found.filter("is_random")["trace_id"])]
        del said[rng.choice(later)]
        found = adjudicate(reviews(*said.values()), queue, seniors=["sue"], before=found)
        sample = found.filter("is_random")["trace_id"]
        assert set(sample) == set(order[: len(sample)]), night
        sizes.append(len(sample))
    assert sizes[-1] > 20
    traps = found.filter("is_random", pl.col("trap_first_error").is_not_null())
    assert traps.height > 3
