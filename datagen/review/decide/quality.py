"""How good the reviews are, and what they say of the labels that nobody reviewed.

The surprising fact: reviewers' decisions as a whole say nothing about the quality of the labels,
since they are about the worst of them. Only the random sample does, and it includes the traces of
it that were reviewed for another reason.
"""

import warnings
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen.labels.monte_carlo import wilson
from datagen.review.ask.standing import last_words
from schemas import Annotator


@dataclass(frozen=True, slots=True)
class ReviewQuality:
    """What can be said of a round of reviews.

    Attributes:
        n_reviews: reviews that name a first error, or none.
        n_annotators: people who wrote them.
        n_decided: traces decided, traps left out.
        n_agreed: those of which people named the first error that the pipeline had.
        n_disputed: traces that await a senior.
        n_common: traces with two reviews or more.
        alpha: Krippendorff's alpha of their first errors, 1 for full agreement and 0 for chance;
            ``None`` if no trace has two reviews, or nobody ever said two different things.
        reviewed_share: share of the published traces that are decided, traps left out; ``None`` if
            none is published.
        n_random: decided traces of the random sample.
        n_random_wrong: those of which the pipeline had another first error than people.
        label_error: estimated share of all traces whose first error the pipeline has wrong, before
            any decision; ``None`` without a random sample.
        label_error_low: lower end of its 95 % interval (Wilson).
        label_error_high: upper end.
    """

    n_reviews: int
    n_annotators: int
    n_decided: int
    n_agreed: int
    n_disputed: int
    n_common: int
    alpha: float | None
    reviewed_share: float | None
    n_random: int
    n_random_wrong: int
    label_error: float | None
    label_error_low: float | None
    label_error_high: float | None


def measure_annotators(
    reviews: pl.DataFrame, decisions: pl.DataFrame, queue: pl.DataFrame
) -> pl.DataFrame:
    """How far each person can be relied on.

    Args:
        reviews: table ``reviews``; of several reviews of a trace by one person the last counts.
        decisions: table ``decisions``, which knows earlier traps.
        queue: table ``review_queue``, which knows the present ones.

    Returns:
        Table ``annotators``, ordered by name.
    """
    answers = _answers(reviews)
    trap = pl.col("trap_first_error")
    traps = pl.concat(
        [table.select("trace_id", "trap_first_error") for table in (decisions, queue)]
    ).filter(trap.is_not_null())
    said = answers.join(traps.unique("trace_id", keep="first"), on="trace_id", how="left")
    n = pl.len().over("trace_id")
    same = pl.len().over("trace_id", "first_error")
    rows = (
        said.with_columns(others=n - 1, alike=same - 1)
        .group_by("annotator")
        .agg(
            n_reviews=pl.len(),
            n_traps=trap.count(),
            n_traps_right=(trap == pl.col("first_error")).sum(),
            n_with_others=(pl.col("others") > 0).sum(),
            agreement=(pl.col("alike") / pl.col("others")).filter(pl.col("others") > 0).mean(),
        )
        .with_columns(pl.col("^n_.*$").cast(pl.Int32))
        .with_columns(
            accuracy=pl.when(pl.col("n_traps") > 0).then(
                pl.col("n_traps_right") / pl.col("n_traps")
            )
        )
    )
    return Annotator.validate(rows.sort("annotator"))


def measure_reviews(
    reviews: pl.DataFrame, decisions: pl.DataFrame, *, published: Collection[str] = ()
) -> ReviewQuality:
    """How well people agree, how much they have seen, and how good the labels are.

    Args:
        reviews: table ``reviews``.
        decisions: table ``decisions``.
        published: ``trace_id`` of the traces whose labels are published; any may come twice.
    """
    ids = set(published)
    answers = _answers(reviews)
    common = answers.filter(pl.len().over("trace_id") > 1)
    own = decisions.filter(pl.col("trap_first_error").is_null())
    decided = own.filter(pl.col("status") == "decided")
    # A trap may be of the sample by chance; it has been reviewed as well as any other.
    sample = decisions.filter("is_random", pl.col("status") == "decided")
    n, n_wrong = sample.height, _n_wrong(sample)
    low, high = wilson(n_wrong, n) if n else (None, None)
    return ReviewQuality(
        n_reviews=answers.height,
        n_annotators=answers["annotator"].n_unique(),
        n_decided=decided.height,
        n_agreed=decided.height - _n_wrong(decided),
        n_disputed=own.height - decided.height,
        n_common=common["trace_id"].n_unique(),
        alpha=krippendorff_alpha(reviews),
        reviewed_share=len(ids.intersection(decided["trace_id"])) / len(ids) if ids else None,
        n_random=n,
        n_random_wrong=n_wrong,
        label_error=n_wrong / n if n else None,
        label_error_low=low,
        label_error_high=high,
    )


def _n_wrong(decided: pl.DataFrame) -> int:
    return int((decided["first_error"] != decided["believed_first_error"]).sum())


def krippendorff_alpha(reviews: pl.DataFrame) -> float | None:
    """Agreement on first errors, as on names without order (Krippendorff 2004, chapter 11).

    Args:
        reviews: table ``reviews``.

    Returns:
        At most 1; 0 is what chance would give. ``None`` where it is not defined: no trace has two
        answers, or all answers are the same.
    """
    common = _answers(reviews).filter(pl.len().over("trace_id") > 1)
    if common["first_error"].n_unique() < 2:
        return None
    # It is of the optional group "review", as reviews are.
    import krippendorff

    table = common.pivot("trace_id", index="annotator", values="first_error").drop("annotator")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        alpha = krippendorff.alpha(
            reliability_data=table.cast(pl.Float64).fill_null(float("nan")).to_numpy(),
            level_of_measurement="nominal",
        )
    return float(np.float64(alpha))


def _answers(reviews: pl.DataFrame) -> pl.DataFrame:
    """Each person's last word on each trace: ``trace_id``, ``annotator``, ``first_error``."""
    return (
        last_words(reviews)
        .filter(pl.col("first_error").is_not_null())
        .select("trace_id", "annotator", "first_error")
        .sort("trace_id", "annotator")
    )
