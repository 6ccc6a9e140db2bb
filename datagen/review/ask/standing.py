"""How far the reviews of each trace are: not begun, begun, disputed, or closed.

The surprising fact: a trace can be closed without a decision. If as many people as it was given to
have answered, and too few of them could tell, a senior is asked as in a dispute; if that did not
settle it either, nobody can tell, and no further minute is spent on it.
"""

import polars as pl

from datagen.review.ask.evidence import in_words
from schemas import Decision, Review


def last_words(reviews: pl.DataFrame) -> pl.DataFrame:
    """The reviews of table ``reviews`` that count, by time: of each person and trace the last."""
    return reviews.sort("submitted_at", "review_id").unique(
        ["trace_id", "annotator"], keep="last", maintain_order=True
    )


def awaiting(
    pool: pl.DataFrame,
    reviews: pl.DataFrame | None,
    decisions: pl.DataFrame | None,
    *,
    n_annotators: int,
) -> pl.DataFrame:
    """The traces that await reviews.

    Args:
        pool: traces, with ``trace_id``, ``steps`` and ``known_first_error``.
        reviews: table ``reviews`` so far; ``None``: nobody has answered.
        decisions: table ``decisions`` of these reviews.
        n_annotators: people who should look at each.

    Returns:
        ``pool`` in its own order without those that are closed, with these columns more:

        - ``is_begun`` (bool): somebody has reviewed it, and it is not decided.
        - ``is_disputed`` (bool): those who were asked could not settle it, so a senior should.
        - ``decisions_before``: of the disputed ones who said what, in words; else empty.
    """
    decisions = Decision.empty() if decisions is None else decisions
    known = decisions.select(
        "trace_id", "status", was_trap=pl.col("trap_first_error").is_not_null()
    )
    found = (
        pool.join(known, on="trace_id", how="left", maintain_order="left")
        .join(_said(pool, reviews, decisions), on="trace_id", how="left", maintain_order="left")
        .with_columns(pl.col("n_people", "n_votes").fill_null(0))
    )
    undecided = pl.col("status").is_null()
    in_vain = (pl.col("n_people") >= n_annotators) & (pl.col("n_votes") < n_annotators)
    # A trap needs no senior: its truth is known, and the reviewers are measured already.
    in_dispute = (pl.col("status") == "disputed") & ~pl.col("was_trap")
    at_a_loss = undecided & in_vain & (pl.col("n_people") == n_annotators)
    return (
        found.with_columns(
            is_begun=undecided & (pl.col("n_people") > 0) & ~in_vain,
            is_disputed=in_dispute.fill_null(False)
            | (at_a_loss & pl.col("known_first_error").is_null()),
        )
        .filter((undecided & ~in_vain) | pl.col("is_disputed"))
        .with_columns(
            decisions_before=pl.when("is_disputed")
            .then("lines")
            .otherwise(pl.lit([]))
            .fill_null([])
        )
        .drop("status", "was_trap", "n_people", "n_votes", "lines")
    )


def _said(
    pool: pl.DataFrame, reviews: pl.DataFrame | None, decisions: pl.DataFrame
) -> pl.DataFrame:
    """Per trace ``n_people``, ``n_votes`` and the ``lines`` that tell who said what."""
    given = last_words(Review.empty() if reviews is None else reviews)
    counted = decisions.select("trace_id", annotator="annotators", first_error="answers")
    names = ("trace_id", "annotator", "first_error")
    n_steps = pl.col("steps").list.len()
    # Of what is decided or disputed, the decision tells; it may know more than ``reviews`` does.
    return (
        pl.concat(
            [
                given.join(decisions, on="trace_id", how="anti", maintain_order="left").select(
                    names
                ),
                counted.explode("annotator", "first_error"),
            ]
        )
        .join(
            pool.select("trace_id", n_steps.alias("n_steps")), on="trace_id", maintain_order="left"
        )
        .with_columns(
            first_error=pl.when(pl.col("first_error") < pl.col("n_steps")).then("first_error")
        )
        .group_by("trace_id", maintain_order=True)
        .agg(
            n_people=pl.len(),
            n_votes=pl.col("first_error").count(),
            lines=pl.format("{}: {}", "annotator", in_words("first_error")),
        )
    )
