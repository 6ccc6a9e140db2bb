"""Counting judges' votes, and comparing them with the rollouts."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.judge import Vote
from datagen.labels.consensus import JudgeVerdict, consensus, tally_votes
from schemas import Critique, TraceLabel


def critics(*first_errors: int | None) -> list[Vote]:
    return [Vote("native_critique", idx, first) for idx, first in enumerate(first_errors)]


def proof(step: int | None) -> Vote:
    return Vote("checker", 0, step)


# ---- votes on one trace


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ([], JudgeVerdict(None, 0.0, 0)),
        (critics(2), JudgeVerdict(2, 1.0, 1)),
        (critics(-1, -1, 3), JudgeVerdict(-1, 2 / 3, 3)),
        (critics(0, 0, 0, 1), JudgeVerdict(0, 0.75, 4)),
        # votes that cannot be read are not counted
        (critics(None, 4, None), JudgeVerdict(4, 1.0, 1)),
        (critics(None, None), JudgeVerdict(None, 0.0, 0)),
        # no majority: a tie, or the largest part is not more than half
        (critics(1, 2), JudgeVerdict(None, 0.5, 2)),
        (critics(1, 1, 2, 3), JudgeVerdict(None, 0.5, 4)),
        (critics(1, 2, 3), JudgeVerdict(None, 1 / 3, 3)),
    ],
)
def test_more_than_half_of_the_readable_votes_make_a_verdict(
    votes: list[Vote], verdict: JudgeVerdict
) -> None:
    assert tally_votes(votes) == verdict


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ([proof(3)], JudgeVerdict(3, 1.0, 1)),
        ([proof(None)], JudgeVerdict(None, 0.0, 0)),
        ([proof(None), *critics(-1, -1)], JudgeVerdict(-1, 1.0, 2)),
        # later votes, and those that see nothing, have missed the proven step
        ([proof(3), *critics(5, 5, 5)], JudgeVerdict(3, 1.0, 3)),
        ([proof(3), *critics(-1, 7, 5)], JudgeVerdict(3, 1.0, 3)),
        # earlier ones stand: the proof is a bound
        ([proof(3), *critics(1, 1, 5)], JudgeVerdict(1, 2 / 3, 3)),
        ([proof(3), *critics(1, -1, 5)], JudgeVerdict(3, 2 / 3, 3)),
        ([proof(3), *critics(1, 5)], JudgeVerdict(None, 0.5, 2)),
        ([proof(3), *critics(None)], JudgeVerdict(3, 1.0, 1)),
        ([proof(0), *critics(-1, 1, 2)], JudgeVerdict(0, 1.0, 3)),
    ],
)
def test_a_proven_wrong_step_bounds_every_vote(votes: list[Vote], verdict: JudgeVerdict) -> None:
    assert tally_votes(votes) == verdict


STEPS = st.none() | st.integers(-1, 6)


@given(st.lists(STEPS, max_size=7), STEPS.filter(lambda step: step != -1), st.randoms())
def test_the_verdict_never_depends_on_the_order_nor_lies_behind_a_proof(
    first_errors: list[int | None], proven: int | None, rng: Any
) -> None:
    votes = [*critics(*first_errors), proof(proven)]
    verdict = tally_votes(votes)
    rng.shuffle(votes)
    assert tally_votes(votes) == verdict
    if proven is not None and verdict.first_error is not None:
        assert 0 <= verdict.first_error <= proven


# ---- tables


def critiques(**by_trace: list[Vote]) -> pl.DataFrame:
    return Critique.from_rows(
        {
            "trace_id": trace_id,
            "seed_id": "s",
            "judge": vote.judge,
            "vote_idx": vote.vote_idx,
            "first_error": vote.first_error,
            "quote": "",
            "reason": "",
            "text": "",
            "remarks": [],
            "n_tokens": 0,
        }
        for trace_id, votes in by_trace.items()
        for vote in votes
    )


def posteriors(**by_trace: tuple[int, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [(trace_id, first, mass) for trace_id, (first, mass) in by_trace.items()],
        schema={"trace_id": pl.String, "first_error": pl.Int32, "first_error_mass": pl.Float64},
        orient="row",
    )


def test_each_trace_gets_the_verdict_on_itself_in_the_order_of_the_posteriors() -> None:
    found = consensus(
        posteriors(b=(2, 0.9), a=(-1, 0.8), c=(0, 0.7)),
        critiques(a=critics(-1, -1, 1), b=[proof(2), *critics(4)], z=critics(0)),
    )
    assert found.to_dicts() == [
        {
            "trace_id": "b", "first_error": 2, "first_error_mass": 0.9,
            "judge_first_error": 2, "judge_share": 1.0, "n_votes": 1,
            "agrees": True, "verified": True, "review_rank": None,
            "human_first_error": None, "n_reviews": None,
        },
        {
            "trace_id": "a", "first_error": -1, "first_error_mass": 0.8,
            "judge_first_error": -1, "judge_share": 2 / 3, "n_votes": 3,
            "agrees": True, "verified": True, "review_rank": None,
            "human_first_error": None, "n_reviews": None,
        },
        {
            "trace_id": "c", "first_error": 0, "first_error_mass": 0.7,
            "judge_first_error": None, "judge_share": None, "n_votes": 0,
            "agrees": None, "verified": False, "review_rank": 0,
            "human_first_error": None, "n_reviews": None,
        },
    ]  # fmt: skip


def test_without_a_majority_there_is_no_verdict_to_agree_with() -> None:
    (row,) = consensus(posteriors(a=(1, 0.9)), critiques(a=critics(1, 2))).to_dicts()
    assert (row["judge_first_error"], row["judge_share"], row["n_votes"]) == (None, None, 2)
    assert (row["agrees"], row["verified"]) == (None, False)


@pytest.mark.parametrize(
    ("mass", "min_mass", "verified"), [(0.5, 0.5, True), (0.49, 0.5, False), (0.8, 0.9, False)]
)
def test_an_agreement_is_verified_if_the_rollouts_are_sure_enough(
    mass: float, min_mass: float, verified: bool
) -> None:
    found = consensus(posteriors(a=(1, mass)), critiques(a=critics(1)), min_mass=min_mass)
    (row,) = found.to_dicts()
    assert (row["agrees"], row["verified"]) == (True, verified)
    assert row["review_rank"] == (None if verified else 0)


def test_people_are_asked_first_where_both_sides_are_sure_and_disagree() -> None:
    found = consensus(
        posteriors(
            unsure_agreement=(1, 0.3),
            mild_dispute=(1, 0.6),
            verified=(1, 0.9),
            sure_dispute=(1, 0.95),
            no_verdict=(1, 0.8),
            split_dispute=(1, 0.95),
            never_judged=(-1, 0.2),
        ),
        critiques(
            unsure_agreement=critics(1),
            mild_dispute=critics(2),
            verified=critics(1),
            sure_dispute=critics(0, 0, 0),
            no_verdict=critics(0, 1),
            split_dispute=critics(0, 0, 1, 1, 0),
        ),
    )
    queue = found.drop_nulls("review_rank").sort("review_rank")
    assert queue["review_rank"].to_list() == list(range(6))
    assert queue["trace_id"].to_list() == [
        "sure_dispute",  # 0.95 x 1
        "mild_dispute",  # 0.6 x 1
        "split_dispute",  # 0.95 x 0.6
        "never_judged",
        "unsure_agreement",
        "no_verdict",
    ]


def test_equally_wanted_traces_keep_their_order() -> None:
    names = [f"t{idx}" for idx in range(20)]
    found = consensus(
        posteriors(**{name: (1, 0.7) for name in names}),
        critiques(**{name: critics(0) for name in names}),
    )
    assert found["review_rank"].to_list() == list(range(20))


def test_the_result_fits_the_contract_of_trace_labels() -> None:
    given = posteriors(a=(1, 0.6), b=(-1, 0.5)).with_columns(
        seed_id=pl.lit("s"),
        outcome=pl.lit("wrong"),
        n_steps=pl.lit(2, pl.Int32),
        n_rollouts=pl.lit(8, pl.Int64),
        n_tokens=pl.lit(80, pl.Int64),
        no_error_mass=pl.Series([0.1, 0.5]),
        p_first_error=pl.Series([[0.3, 0.6, 0.1], [0.25, 0.25, 0.5]]),
    )
    found = consensus(given, critiques(a=critics(0)))
    assert TraceLabel.validate(found.select(TraceLabel.column_names())).height == 2
    assert set(found.columns) == set(TraceLabel.column_names())


def test_no_traces_give_an_empty_table_with_its_types() -> None:
    found = consensus(posteriors(), Critique.empty())
    labels = TraceLabel.polars_schema()
    added = ("judge_first_error", "judge_share", "n_votes", "agrees", "verified", "review_rank")
    assert {name: found.schema[name] for name in added} == {name: labels[name] for name in added}
    assert found.height == 0
