"""From reviews to decisions, and from decisions to labels."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from review_tables import LONG, Row, Tables, critique, review, reviews, trace, trace_label

from datagen.errors import ConfigError
from datagen.export import (
    export_advantages,
    export_critique,
    export_prm,
    export_processbench,
)
from datagen.export.pits import first_pits
from datagen.factors.tagging import with_tags
from datagen.labels.calibration import calibration
from datagen.review.ask.belief import heated
from datagen.review.ask.queue import QueueConfig, make_queue
from datagen.review.decide.adjudicate import adjudicate
from datagen.review.decide.apply import (
    apply_decisions,
    correct_tags,
    count_changes,
    decided_by_people,
    without_refuted,
)
from datagen.review.decide.quality import krippendorff_alpha, measure_annotators, measure_reviews
from datagen.review.decide.recalibrate import Recalibration, recalibrate, recalibrated
from schemas import Correction, Decision, Question, Tag

UNSURE = [0.2, 0.3, 0.2, 0.2, 0.1]
"""The pipeline's first error is step 1."""


def tables(*trace_ids: str, **options: Any) -> Tables:
    return Tables([trace_label(name, UNSURE, **options) for name in trace_ids])


def asked(found: Tables, config: QueueConfig | None = None) -> pl.DataFrame:
    config = config or QueueConfig(n_items=1000, random_share=0, trap_share=0)
    return make_queue(*found.as_arguments(), config=config)


def decide(*rows: Row, **options: Any) -> pl.DataFrame:
    names = sorted({row["trace_id"] for row in rows})
    return adjudicate(reviews(*rows), asked(tables(*names)), **options)


def of_one(*rows: Row, **options: Any) -> Row:
    """The decision on the only trace."""
    return decide(*rows, **options).row(0, named=True)


# ---- adjudication


def votes(*first_errors: int | None) -> list[Row]:
    return [
        review("t", f"ann{idx}", first, submitted_at=f"2026-11-23T01:00:{idx:02d}Z")
        for idx, first in enumerate(first_errors)
    ]


@pytest.mark.parametrize(
    ("said", "seniors", "decided"),
    [
        ((2, 2), (), (2, "decided", "majority", 2)),
        ((2, 2, -1), (), (2, "decided", "majority", 2)),
        ((-1, -1), (), (-1, "decided", "majority", 2)),
        ((2, 3), (), (None, "disputed", None, 0)),
        ((2, 3), ("ann1",), (3, "decided", "senior", 1)),
        ((2, 3, 0), ("ann0",), (2, "decided", "senior", 1)),
        # a majority stands against a senior, and the last of two seniors decides
        ((2, 2, 3), ("ann2",), (2, "decided", "majority", 2)),
        ((2, 3), ("ann0", "ann1"), (3, "decided", "senior", 1)),
        # one who does not answer has no vote
        ((2, 2, None), (), (2, "decided", "majority", 2)),
        ((2, 3, None), (), (None, "disputed", None, 0)),
    ],
)
def test_the_majority_decides_and_a_senior_in_a_tie(
    said: tuple[int | None, ...], seniors: tuple[str, ...], decided: tuple[Any, ...]
) -> None:
    row = of_one(*votes(*said), seniors=seniors)
    found = (row["first_error"], row["status"], row["decided_by"], row["n_agreeing"])
    assert found == decided
    assert row["answers"] == [first for first in said if first is not None]
    assert row["believed_first_error"] == 1


def test_too_few_answers_decide_nothing() -> None:
    assert decide(*votes(2)).is_empty()
    assert decide(*votes(2, None)).is_empty()
    assert of_one(*votes(2), min_annotators=1)["decided_by"] == "single"
    with pytest.raises(ConfigError, match="min_annotators=0"):
        decide(*votes(2), min_annotators=0)


def test_a_step_that_the_trace_does_not_have_is_no_vote() -> None:
    assert decide(*votes(2, LONG)).is_empty()


def test_of_two_reviews_by_one_person_the_last_counts_in_any_order() -> None:
    again = review("t", "ann0", 0, submitted_at="2026-11-23T02:00:00Z", review_id="later")
    for rows in ([*votes(2, 2), again], [again, *votes(2, 2)]):
        row = of_one(*rows)
        assert (row["status"], row["n_reviews"]) == ("disputed", 2)


def test_a_dispute_is_settled_by_whoever_comes_next() -> None:
    disputed = decide(*votes(2, 3))
    queue = asked(tables("t"))
    settled = adjudicate(reviews(*votes(2, 3, 3)), queue, before=disputed)
    assert settled["first_error"].to_list() == [3]


def test_decisions_outlive_the_queue_and_go_with_their_reviews() -> None:
    first = decide(*votes(2, 2))
    queue = asked(tables("another"))
    assert adjudicate(reviews(*votes(2, 2)), queue, before=first).equals(first)
    # one of two is taken back
    left = reviews(*votes(2))
    assert adjudicate(left, queue, before=first).is_empty()
    assert adjudicate(left, queue, before=first, min_annotators=1)["n_reviews"].to_list() == [1]
    assert adjudicate(reviews(), queue, before=first).is_empty()
    # the trace is begun then, and waits for the other again
    again = make_queue(*tables("t").as_arguments(), reviews=left, decisions=first.clear())
    assert again["trace_id"].to_list() == ["t"]
    assert adjudicate(reviews(*votes(2, 3)), again)["status"].to_list() == ["disputed"]


def test_all_is_decided_anew_but_what_people_were_first_asked_about() -> None:
    facts = decide(*votes(2, 2)).with_columns(
        is_random=pl.lit(True),
        believed_first_error=pl.lit(0, pl.Int32),
        trap_first_error=pl.lit(3, pl.Int32),
    )
    found = adjudicate(reviews(*votes(-1, -1, 2)), asked(tables("t")), before=facts)
    row = found.row(0, named=True)
    assert (row["first_error"], row["n_reviews"], row["n_agreeing"]) == (-1, 3, 2)
    assert (row["is_random"], row["believed_first_error"], row["trap_first_error"]) == (True, 0, 3)
    # a senior who comes to office settles what was disputed before
    disputed = decide(*votes(2, 3))
    late = adjudicate(
        reviews(*votes(2, 3)), asked(tables("other")), seniors=["ann1"], before=disputed
    )
    assert late.select("first_error", "decided_by").row(0) == (3, "senior")


def test_reviews_of_what_nobody_was_asked_about_wait_for_a_queue() -> None:
    assert adjudicate(reviews(*votes(2, 2)), asked(tables("other"))).is_empty()


def test_a_senior_decides_alone_where_the_others_who_were_asked_cannot_tell() -> None:
    row = of_one(*votes(None, None, 3), seniors=["ann2"], min_annotators=3)
    assert (row["first_error"], row["decided_by"], row["n_reviews"]) == (3, "single", 1)
    assert decide(*votes(None, None, 3), min_annotators=3).is_empty()
    assert decide(*votes(None, 3), seniors=["ann1"], min_annotators=3).is_empty()


def test_factors_are_corrected_only_if_most_people_name_the_same() -> None:
    def named(*pairs: tuple[int, str]) -> Row:
        return {"factors": [{"step_idx": idx, "factor": factor} for idx, factor in pairs]}

    rows = [
        review("t", "ann", 2, **named((0, "Plan"), (1, "Deduce"), (3, "Plan"))),
        review("t", "bob", 2, **named((0, "Plan"), (3, "Deduce"))),
    ]
    assert of_one(*rows)["factors"] == named((0, "Plan"))["factors"]
    assert (
        of_one(*rows, seniors=["ann"])["factors"]
        == (named((0, "Plan"), (1, "Deduce"), (3, "Plan"))["factors"])
    )


def test_the_corrected_step_is_by_one_who_agrees_seniors_first() -> None:
    def mended(who: str, first: int, text: str) -> Row:
        return review("t", who, first, corrected_step_idx=2, corrected_step=text)

    rows = [mended("ann", 3, "no"), mended("bob", 2, "bob's"), mended("eve", 2, "eve's")]
    assert of_one(*rows)["corrected_step"] == "bob's"
    assert of_one(*rows, seniors=["ann", "eve"])["corrected_step"] == "eve's"


def test_the_verdict_on_the_answer_is_the_majoritys_as_well() -> None:
    said = ("wrong", "wrong", "right")
    rows = [row | {"answer_verdict": v} for row, v in zip(votes(2, 2, 2), said, strict=True)]
    assert of_one(*rows)["answer_verdict"] == "wrong"
    assert of_one(*rows[1:])["answer_verdict"] is None


# ---- labels


def changed(found: Tables, decisions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return apply_decisions(found.step_labels, found.trace_labels, decisions)


def test_labels_change_in_the_decided_traces_and_nowhere_else() -> None:
    found = tables("a", "b", "c")
    queue = asked(found)
    both = [review("b", "ann", 3), review("b", "bob", 3), review("c", "ann", 0)]
    steps, traces = changed(found, adjudicate(reviews(*both), queue))
    assert steps.filter(trace_id="b")["hard_label"].to_list() == [True, True, True, False]
    assert steps.filter(trace_id="b")["label_source"].unique().to_list() == ["human"]
    for before, after in ((found.step_labels, steps), (found.trace_labels, traces)):
        other = pl.col("trace_id") != "b"
        assert after.filter(other).equals(before.filter(other))
    label = traces.filter(trace_id="b").row(0, named=True)
    assert (label["first_error"], label["human_first_error"], label["n_reviews"]) == (3, 3, 2)
    # what the rollouts say stays as it was
    assert label["p_first_error"] == UNSURE
    assert label["first_error_mass"] == UNSURE[3]
    assert label["verified"] is True
    assert label["review_rank"] is None
    assert decided_by_people(steps).to_list() == ["b"]
    changes = count_changes(found.step_labels, steps)
    assert (changes.n_decided, changes.n_first_errors, changes.n_steps) == (1, 1, 2)
    assert (changes.trace_ids, changes.n_elsewhere) == (("b",), 0)


def test_a_change_where_nobody_decided_is_counted() -> None:
    found = tables("a")
    other = found.step_labels.with_columns(value=0.75)
    assert count_changes(found.step_labels, other).n_elsewhere == LONG
    # so is a step that is gone, or new
    few = found.step_labels.head(1)
    assert count_changes(found.step_labels, few).n_elsewhere == LONG - 1
    assert count_changes(few, found.step_labels).n_elsewhere == LONG - 1


def test_values_of_the_posterior_stay_only_if_people_confirm_it() -> None:
    found = tables("a", "b")
    said = [review(name, who, at) for name, at in (("a", 1), ("b", -1)) for who in ("x", "y")]
    steps, traces = changed(found, adjudicate(reviews(*said), asked(found)))
    a, b = steps.filter(trace_id="a"), steps.filter(trace_id="b")
    assert a["value"].to_list() == [0.25] * LONG
    assert b["value"].null_count() == b["advantage"].null_count() == LONG
    assert a["p_before_error"].to_list() == [1.0, 0.0, 0.0, 0.0]
    assert b["hard_label"].all()
    assert b["mc_value"].to_list() == [0.5] * LONG
    assert traces.filter(trace_id="b")["first_error"].item() == -1


def test_people_come_before_judges_who_agree_with_the_rollouts() -> None:
    found = tables("t", judge=1)
    assert found.trace_labels["verified"].all()
    _, traces = changed(found, decide(*votes(3, 3)))
    label = traces.row(0, named=True)
    assert (label["first_error"], label["agrees"], label["verified"]) == (3, False, True)


def test_disputes_and_traps_change_no_label() -> None:
    found = tables("t")
    trap = decide(*votes(3, 3)).with_columns(trap_first_error=pl.lit(1, pl.Int32))
    for decisions in (decide(*votes(2, 3)), trap, Decision.empty()):
        steps, traces = changed(found, decisions)
        assert steps.equals(found.step_labels)
        assert traces.equals(found.trace_labels)


def test_a_trace_that_was_not_measured_is_labelled_by_people() -> None:
    found = tables("t")
    unknown = {"hard_label": None, "label_source": "none", "confidence": None}
    nulls = ("p_before_error", "value", "advantage", "prover_advantage", "relative_progress")
    bare = found.step_labels.with_columns(
        **{name: pl.lit(value) for name, value in unknown.items()},
        **{name: pl.lit(None, pl.Float64) for name in nulls},
    ).with_columns(pl.col("hard_label").cast(pl.Boolean), pl.col("confidence").cast(pl.Float64))
    steps, traces = apply_decisions(bare, found.trace_labels.clear(), decide(*votes(-1, -1)))
    assert steps["hard_label"].all()
    assert traces.is_empty()
    assert count_changes(bare, steps).n_first_errors == 1


# ---- datasets


def test_datasets_are_made_of_peoples_labels() -> None:
    found = tables("t")
    steps, labels = changed(found, decide(*votes(3, 3)))
    prm = export_prm(found.traces, steps).row(0, named=True)
    assert prm["labels"] == [True, True, True, False]
    assert prm["step_scores"] == [1.0, 1.0, 1.0, 0.0]
    bench = export_processbench(found.traces, steps, labels).row(0, named=True)
    assert bench["label"] == 3
    assert export_processbench(found.traces, steps, labels.clear())["label"].to_list() == [3]
    assert first_pits(found.traces, steps, labels.clear())["pit"].to_list() == [3]
    question = {
        "question_id": "seed-of-t",
        "seed_id": "seed-of-t",
        "domain": "math",
        "split": "train",
        "n_words": 2,
        "pass_rate": 0.5,
        "n_rollouts": 2,
        "difficulty": "medium",
    }
    row = export_advantages(found.traces, Question.from_rows([question]), steps, labels)
    advantage = row.row(0, named=True)
    assert (advantage["label_source"], advantage["pit"]) == ("human", 3)
    # counts stand in for the refuted values; after the last step it is how the trace ended
    assert advantage["values"] == [0.5, 0.5, 0.5, 0.0]


def test_a_trace_of_a_program_that_people_decided_needs_no_run_to_be_known() -> None:
    found = tables("t")
    steps, _ = changed(found, decide(*votes(0, 0)))
    assert export_processbench(found.traces, steps, found.trace_labels)["label"].to_list() == [0]


def test_a_critique_that_people_confirm_is_published_with_their_certainty() -> None:
    found = tables("t")
    remarks = [
        {"step_idx": idx, "analysis": "looked at", "verdict": "wrong" if idx == 2 else "holds"}
        for idx in range(3)
    ]
    said = Tables([], critiques=[critique("t", "native_critique", 2) | {"remarks": remarks}])
    steps, labels = changed(found, decide(*votes(2, 2)))
    assert export_critique(
        found.traces, said.critiques, found.trace_labels, found.step_labels
    ).is_empty()
    row = export_critique(found.traces, said.critiques, labels, steps, balance=False)
    reply = row["messages"].item().to_list()[-1]["content"]
    assert "Verdict: holds. Score: 1.00" in reply
    assert "Verdict: wrong. Score: 0.00" in reply


def test_factors_that_people_name_are_used() -> None:
    found = tables("t")
    tags = Tag.from_rows(
        {
            "trace_id": "t",
            "seed_id": "seed-of-t",
            "step_idx": idx,
            "text": "…",
            "factor": "Compute",
            "probability": 0.3,
            "runner_up": "Plan",
            "tagger": "classifier",
            "needs_review": True,
            "depends_on": [],
            "taxonomy": "2",
        }
        for idx in range(LONG)
    )
    plan = {"factors": [{"step_idx": 2, "factor": "Plan"}]}
    after = correct_tags(tags, decide(*(row | plan for row in votes(1, 1))))
    assert after["tagger"].to_list() == ["classifier", "classifier", "human", "classifier"]
    assert after.filter(step_idx=2).select("factor", "probability", "needs_review").row(0) == (
        "Plan", 1.0, False,
    )  # fmt: skip
    assert with_tags(found.traces, after)["factors"].to_list() == [
        ["Compute", "Compute", "Plan", "Compute"]
    ]


def test_a_correction_in_which_people_find_an_open_error_is_left_out() -> None:
    def mended(name: str) -> Row:
        return trace(name, outcome="correct", rollout_id=None) | {
            "kind": "splice",
            "n_attempts": 1,
            "wrong_trace_ids": ["w"],
            "right_trace_id": "r",
            "edit_distances": [1],
            "step_roles": ["right", "wrong", "detect", "right"],
            "step_labels": [True, False, True, True],
            "attempt_idx": [-1, 0, -1, -1],
        }

    found = Tables([])
    found.corrections = Correction.from_rows([mended("good"), mended("bad")])
    queue = asked(found, QueueConfig(n_items=2, random_share=1, trap_share=0))
    said = [review(name, "ann", at) for name, at in (("good", -1), ("bad", 3))]
    decisions = adjudicate(reviews(*said), queue, min_annotators=1)
    assert without_refuted(found.corrections, decisions)["trace_id"].to_list() == ["good"]


# ---- quality


def test_annotators_are_measured_on_traps_and_against_each_other() -> None:
    known = trace_label("known", [0.01, 0.96, 0.01, 0.01, 0.01], judge=1)
    found = Tables([known, trace_label("t", UNSURE)], critiques=[critique("known", "checker", 1)])
    queue = asked(found, QueueConfig(n_items=2, random_share=0, trap_share=0.5))
    assert queue.filter(reason="trap")["trace_id"].to_list() == ["known"]
    said = reviews(
        review("known", "ann", 1),
        review("known", "bob", 3),
        review("t", "ann", 2),
        review("t", "bob", 2),
        review("t", "eve", -1),
        review("known", "eve", None),
    )
    decisions = adjudicate(said, queue)
    rows = {row["annotator"]: row for row in measure_annotators(said, decisions, queue).to_dicts()}
    assert rows["ann"] == {
        "annotator": "ann",
        "n_reviews": 2,
        "n_traps": 1,
        "n_traps_right": 1,
        "accuracy": 1.0,
        "n_with_others": 2,
        "agreement": 0.25,  # with none of one, and with one of two
    }
    assert rows["bob"]["accuracy"] == 0.0
    assert (rows["eve"]["accuracy"], rows["eve"]["agreement"]) == (None, 0.0)
    # a later queue has other traps; the decision knows the old ones
    later = measure_annotators(said, decisions, queue.clear())
    assert later["n_traps"].to_list() == [1, 1, 0]


def test_alpha_is_that_of_krippendorffs_own_example() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: nominal data
    coders = {
        "A": "1 2 3 3 2 1 4 1 2 . . .",
        "B": "1 2 3 3 2 2 4 1 2 5 . 3",
        "C": ". 3 3 3 2 3 4 2 2 5 1 .",
        "D": "1 2 3 3 2 4 4 1 2 5 1 .",
    }
    rows = [
        review(f"u{unit:02d}", coder, int(value))
        for coder, values in coders.items()
        for unit, value in enumerate(values.split())
        if value != "."
    ]
    assert krippendorff_alpha(reviews(*rows)) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_not_defined_without_two_answers_or_two_opinions() -> None:
    assert krippendorff_alpha(reviews()) is None
    assert krippendorff_alpha(reviews(review("a", "x", 1), review("b", "y", 2))) is None
    assert krippendorff_alpha(reviews(review("a", "x", 1), review("a", "y", 1))) is None


def test_the_label_error_is_estimated_from_the_random_sample_alone() -> None:
    said = [review(f"t{idx}", who, 1 if idx else 3) for idx in range(8) for who in ("x", "y")]
    said += [review("open", "x", 1), review("open", "y", 2)]
    decisions = decide(*said).with_columns(
        is_random=pl.col("trace_id").is_in(["t0", "t1", "t2", "t3", "open"])
    )
    quality = measure_reviews(reviews(*said), decisions, published=["t0", "t1", "open", "more"])
    assert (quality.n_random, quality.n_random_wrong, quality.label_error) == (4, 1, 0.25)
    assert quality.label_error_low == pytest.approx(0.0456, abs=1e-4)
    assert quality.label_error_high == pytest.approx(0.6994, abs=1e-4)
    assert quality.reviewed_share == 0.5
    assert (quality.n_decided, quality.n_disputed, quality.n_common) == (8, 1, 9)
    # the pipeline believes in step 1, and people do but for one trace
    assert quality.n_agreed == 7
    assert quality.n_annotators == 2


def test_the_reviewed_share_counts_published_traces_once_and_no_traps() -> None:
    said = [review(name, who, 1) for name in ("t0", "t1", "trap") for who in ("x", "y")]
    trap = pl.when(pl.col("trace_id") == "trap").then(pl.lit(1, pl.Int32))
    decisions = decide(*said).with_columns(trap_first_error=trap)
    steps = pl.Series(["t0", "t0", "trap", "trap", "more", "more", "other"])
    quality = measure_reviews(reviews(*said), decisions, published=steps)
    assert quality.reviewed_share == 0.25
    assert (quality.n_decided, quality.n_agreed) == (2, 2)


def test_without_reviews_nothing_is_claimed() -> None:
    for published, share in ((), None), (["t"], 0.0):
        quality = measure_reviews(reviews(), Decision.empty(), published=published)
        assert (quality.alpha, quality.reviewed_share, quality.label_error) == (None, share, None)
        assert (quality.n_reviews, quality.n_annotators, quality.n_agreed) == (0, 0, 0)
    found = tables("t")
    nobody = measure_annotators(reviews(), Decision.empty(), asked(found).clear())
    assert nobody.is_empty()
    assert adjudicate(reviews(), asked(found)).is_empty()
    for before, after in zip(
        (found.step_labels, found.trace_labels), changed(found, Decision.empty()), strict=True
    ):
        assert after.equals(before)


def test_who_is_no_longer_sure_has_no_vote_anywhere() -> None:
    unsure = review("t", "ann", None, submitted_at="2026-11-24T01:00:00Z", review_id="later")
    said = reviews(review("t", "ann", 2), review("t", "bob", 3), unsure)
    assert adjudicate(said, asked(tables("t"))).is_empty()
    quality = measure_reviews(said, Decision.empty())
    assert (quality.n_reviews, quality.n_common, quality.alpha) == (1, 0, None)


# ---- calibration


def overconfident(n: int, *, is_random: bool = True) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Beliefs of 0.97 that are true in three of four traces."""
    p = [0.01, 0.97, 0.01, 0.005, 0.005]
    found = Tables([trace_label(f"t{idx:03d}", p) for idx in range(n)])
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(n) < 0.75, 1, rng.choice([0, 2, 3, -1], n))
    said = [review(f"t{idx:03d}", "ann", int(at)) for idx, at in enumerate(truth)]
    decisions = adjudicate(reviews(*said), asked(found), min_annotators=1)
    return found.trace_labels, decisions.with_columns(is_random=pl.lit(is_random))


def test_beliefs_that_are_too_sure_are_made_less_so() -> None:
    fit = recalibrate(*overconfident(200))
    assert fit.n == 200
    assert fit.temperature > 1.5
    assert fit.ece_before is not None
    assert fit.ece_after is not None
    assert fit.ece_after < 0.7 * fit.ece_before


def test_beliefs_stay_as_they_are_while_the_random_sample_is_small() -> None:
    labels, decisions = overconfident(100)
    few = recalibrate(labels, decisions.head(10))
    assert (few.temperature, few.n, few.ece_after) == (1.0, 10, None)
    assert few.ece_before is not None
    assert recalibrate(labels, Decision.empty()).n == 0
    # what the queue asked for is no fair sample
    assert recalibrate(*overconfident(100, is_random=False)).n == 0


def test_traps_that_chance_has_drawn_count_as_any_other_of_the_sample() -> None:
    labels, decisions = overconfident(40)
    trap = pl.when(pl.int_range(pl.len()) < 30).then(pl.lit(1, pl.Int32))
    with_traps = decisions.with_columns(trap_first_error=trap)
    assert recalibrate(labels, with_traps) == recalibrate(labels, decisions)


BELIEFS = (
    *("p_first_error", "first_error_mass", "no_error_mass"),
    *("p_before_error", "confidence"),
)


def oracle_and_beliefs(n: int, *, heat: float) -> tuple[Tables, dict[str, int]]:
    """Traces whose truth is drawn from a distribution, and believed in ``heat`` times as sure."""
    rng = np.random.default_rng(0)
    labels, truth = list[Row](), dict[str, int]()
    for idx in range(n):
        p = rng.dirichlet([0.6] * (LONG + 1))
        name = f"t{idx:04d}"
        at = int(rng.choice(LONG + 1, p=p))
        truth[name] = -1 if at == LONG else at
        labels.append(trace_label(name, heated(p, 1 / heat).tolist(), judge=idx % LONG))
    return Tables(labels), truth


def fitted_to_sample(found: Tables, truth: dict[str, int], n: int) -> Recalibration:
    """As by the people's word on the first ``n`` traces, who are always right."""
    said = [review(name, "ann", at) for name, at in [*truth.items()][:n]]
    queue = asked(found, QueueConfig(n_items=10_000, random_share=0, trap_share=0))
    known = adjudicate(reviews(*said), queue, min_annotators=1)
    return recalibrate(found.trace_labels, known.with_columns(is_random=pl.lit(True)))


def error_of(steps: pl.DataFrame, truth: dict[str, int]) -> tuple[float, float]:
    """Calibration error and Brier score of ``p_before_error``, against the oracle."""
    happened = [
        truth[name] < 0 or idx < truth[name]
        for name, idx in steps.select("trace_id", "step_idx").iter_rows()
    ]
    found = calibration(steps["p_before_error"].to_numpy(), happened)
    return found.ece, found.brier


def test_beliefs_of_all_traces_are_made_less_sure_and_come_closer_to_the_truth() -> None:
    found, truth = oracle_and_beliefs(1500, heat=3.0)
    fit = fitted_to_sample(found, truth, 150)
    assert fit.is_better
    assert 1.7 < fit.temperature < 4.5
    assert fit.n == 150
    steps, traces = recalibrated(found.step_labels, found.trace_labels, fit)
    unseen = pl.col("trace_id").is_in([*truth][150:])
    ece_before, brier_before = error_of(found.step_labels.filter(unseen), truth)
    ece_after, brier_after = error_of(steps.filter(unseen), truth)
    assert ece_before > 0.1
    assert ece_after < 0.5 * ece_before
    assert brier_after < brier_before
    # all that is not a belief stays to the bit, in its order
    for before, after in ((found.step_labels, steps), (found.trace_labels, traces)):
        kept = [name for name in before.columns if name not in BELIEFS]
        assert after.select(kept).equals(before.select(kept))
        assert after.columns == before.columns
    # and both tables say the same
    left = traces.select(
        "trace_id",
        left=pl.col("p_first_error").list.eval(1 - pl.element().cum_sum()).list.head(LONG),
    ).explode("left")
    assert steps["p_before_error"].to_list() == pytest.approx(left["left"].to_list())
    sure = pl.when("hard_label").then("p_before_error").otherwise(1 - pl.col("p_before_error"))
    assert steps["confidence"].to_list() == pytest.approx(steps.select(sure).to_series().to_list())
    best = traces.select(pl.col("p_first_error").list.max()).to_series()
    assert traces["first_error_mass"].to_list() == pytest.approx(best.to_list())


@pytest.mark.parametrize(
    "fit",
    [
        Recalibration(1.0, 10, 0.1, None, 0.1, None),
        Recalibration(2.0, 50, 0.1, 0.05, 0.1, 0.11),
        Recalibration(2.0, 50, 0.1, 0.05, 0.1, 0.1),
        Recalibration(1.0, 0, None, None, None, None),
    ],
)
def test_beliefs_stay_unless_the_fit_helps_traces_that_it_has_not_seen(fit: Recalibration) -> None:
    found = tables("t")
    steps, traces = recalibrated(found.step_labels, found.trace_labels, fit)
    assert steps is found.step_labels
    assert traces is found.trace_labels


BETTER = Recalibration(3.0, 50, 0.2, 0.1, 0.2, 0.1)


def test_only_labels_of_the_posterior_are_recalibrated() -> None:
    found = tables("a", "b", "c")
    steps, traces = changed(found, decide(review("b", "x", 2), review("b", "y", 2)))
    run = {"hard_label": True, "label_source": "execution"}
    nulls = [
        *("p_before_error", "value", "advantage", "prover_advantage", "relative_progress"),
        "confidence",
    ]
    run |= dict.fromkeys(nulls)
    is_run = pl.col("trace_id") == "c"
    steps = steps.with_columns(
        pl.when(is_run).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in run.items()
    )
    hot_steps, hot_traces = recalibrated(steps, traces, BETTER)
    decided = pl.col("trace_id") == "b"
    assert hot_steps.filter(decided | is_run).equals(steps.filter(decided | is_run))
    assert hot_traces.filter(decided).equals(traces.filter(decided))
    masses = hot_traces.filter(trace_id="a")["first_error_mass"].item()
    assert 0.2 < masses < UNSURE[1]
    assert hot_steps.filter(trace_id="a")["p_before_error"][0] < 0.8


def test_published_labels_change_where_people_decided_and_nowhere_else() -> None:
    found = tables("a", "b", "c", "d")
    steps, traces = recalibrated(found.step_labels, found.trace_labels, BETTER)
    assert not steps.equals(found.step_labels)
    said = [review(name, who, at) for name, at in (("a", 1), ("c", 3)) for who in ("x", "y")]
    decisions = decide(*said, review("d", "x", 0), review("d", "y", 2))
    after, _ = apply_decisions(steps, traces, decisions)
    changes = count_changes(steps, after)
    assert (changes.n_decided, changes.n_first_errors, changes.n_elsewhere) == (2, 1, 0)
    assert changes.trace_ids == ("c",)
    others = pl.col("trace_id").is_in(["b", "d"])
    assert after.filter(others).equals(steps.filter(others))


def test_recalibration_sees_no_difference_between_labels_before_and_after_decisions() -> None:
    labels, decisions = overconfident(40)
    found = Tables(labels.to_dicts())
    _, after = changed(found, decisions)
    assert recalibrate(after, decisions) == recalibrate(labels, decisions)
