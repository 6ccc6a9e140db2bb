"""What people are asked and what they said, without a word of who they are.

The surprising fact: traps are counted with the random sample. Whoever reviews may read the report,
and how many of the questions are there to measure them is not to be worked out from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from datagen.review.decide.quality import measure_reviews

Tables = Mapping[str, pl.DataFrame]

_REASONS: Final = {
    "dispute": "reviewers disagree",
    "disagreement": "judges and rollouts disagree",
    "uncertain": "nobody is sure",
    "impact": "many labels hang on it",
    "random": "drawn at random",
    "trap": "drawn at random",
}
_KINDS: Final = {"trace": "thoughts", "code": "thoughts about code", "correction": "corrections"}


@dataclass(frozen=True, slots=True)
class ReviewFigures:
    """The state of the review.

    Attributes:
        n_queued: traces that await people.
        reasons: why → traces of the queue, most frequent first.
        kinds: what they are → traces of the queue, most frequent first.
        n_reviews: reviews that name a first error, or none.
        n_annotators: people who wrote them.
        n_decided: traces that people decided.
        n_agreed: those of which they named the first error that the pipeline had.
        n_disputed: traces that await a senior.
        reviewed_share: share of the published step-labelled traces that are decided.
        n_common: traces that two people or more reviewed.
        alpha: their agreement, as Krippendorff's alpha; ``None`` where it is not defined.
        agreements: for each person who reviewed with others, the share of the others' answers
            that are the same; rising.
        label_error: estimated share of wrong first errors before any decision, with the ends of
            its 95 % interval; ``None`` without a random sample.
        n_random: decided traces of the random sample.
    """

    n_queued: int
    reasons: Mapping[str, int]
    kinds: Mapping[str, int]
    n_reviews: int
    n_annotators: int
    n_decided: int
    n_agreed: int
    n_disputed: int
    reviewed_share: float | None
    n_common: int
    alpha: float | None
    agreements: tuple[float, ...]
    label_error: tuple[float, float, float] | None
    n_random: int


def review_figures(found: Tables) -> ReviewFigures:
    """Count, from all of :data:`datagen.report.figures.REPORT_TABLES`."""
    queue = found["review_queue"]
    quality = measure_reviews(found["reviews"], found["decisions"], published=found["prm"]["id"])
    low, high = quality.label_error_low, quality.label_error_high
    error = quality.label_error
    return ReviewFigures(
        n_queued=queue.height,
        reasons=_counts(queue["reason"], _REASONS),
        kinds=_counts(queue["kind"], _KINDS),
        n_reviews=quality.n_reviews,
        n_annotators=quality.n_annotators,
        n_decided=quality.n_decided,
        n_agreed=quality.n_agreed,
        n_disputed=quality.n_disputed,
        reviewed_share=quality.reviewed_share,
        n_common=quality.n_common,
        alpha=quality.alpha,
        agreements=tuple(found["annotators"]["agreement"].drop_nulls().sort()),
        label_error=(error, low, high)
        if error is not None and low is not None and high is not None
        else None,
        n_random=quality.n_random,
    )


def _counts(values: pl.Series, names: Mapping[str, str]) -> dict[str, int]:
    named = values.cast(pl.String).replace(dict(names)).alias("value").to_frame()
    found = named.group_by("value").len().sort(["len", "value"], descending=[True, False])
    return dict(found.iter_rows())
