"""What people said of published data, as the manifest keeps it, and whether that is enough.

The surprising fact: this is no part of the data, and so not of its digest. A decision makes a new
version by the rows that it changes; one reviewer or one dispute more makes a new card only.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from datagen.review.decide.quality import ReviewQuality


@dataclass(frozen=True, slots=True)
class Review:
    """What people said of the data.

    Attributes:
        n_reviewed: traces whose first error people have decided.
        n_agreed: those of which they named the one that the pipeline had named.
        n_disputed: traces on which reviewers disagree, and which nobody has settled.
        n_annotators: people who reviewed.
        n_common: traces that two people or more reviewed.
        alpha: Krippendorff's alpha of the first errors of these, 1 for full agreement and 0 for
            chance; ``None`` if there are none, or all reviewers said the same.
        reviewed_share: share of the published step-labelled traces that people have decided;
            ``None`` if none is published.
        n_random: decided traces that were drawn at random.
        label_error: estimated share of all traces whose first error the pipeline had wrong, before
            any decision; ``None`` if none of those drawn at random is decided.
        label_error_low: lower end of its 95 % interval (Wilson).
        label_error_high: upper end.
    """

    n_reviewed: int
    n_agreed: int
    n_disputed: int
    n_annotators: int
    n_common: int
    alpha: float | None
    reviewed_share: float | None
    n_random: int
    label_error: float | None
    label_error_low: float | None
    label_error_high: float | None

    @classmethod
    def of(cls, quality: "ReviewQuality") -> Self:
        """Of what was measured with the published step-labelled traces as ``published``."""
        return cls(
            n_reviewed=quality.n_decided,
            n_agreed=quality.n_agreed,
            n_disputed=quality.n_disputed,
            n_annotators=quality.n_annotators,
            n_common=quality.n_common,
            alpha=quality.alpha,
            reviewed_share=quality.reviewed_share,
            n_random=quality.n_random,
            label_error=quality.label_error,
            label_error_low=quality.label_error_low,
            label_error_high=quality.label_error_high,
        )


def review_flaws(
    review: Review | None, *, min_reviewed_share: float, min_alpha: float | None
) -> tuple[str, ...]:
    """What is missing, each with what to do about it.

    Args:
        review: what people said; ``None``: nobody has looked.
        min_reviewed_share: least share of the published step-labelled traces that they must have
            decided; 0: none need be.
        min_alpha: least alpha; ``None``: any, also none.
    """
    if review is None:
        wanted = [f"min_reviewed_share={min_reviewed_share!r}"] if min_reviewed_share > 0 else []
        wanted += [] if min_alpha is None else [f"min_alpha={min_alpha!r}"]
        settings = " and ".join(f"publish.{setting}" for setting in wanted)
        unset = f"no person has reviewed this data; have it reviewed, or unset {settings}"
        return (unset,) if wanted else ()
    flaws = (_too_few(review, min_reviewed_share), _too_little(review, min_alpha))
    return tuple(flaw for flaw in flaws if flaw)


def _too_few(review: Review, wanted: float) -> str | None:
    share = review.reviewed_share
    if wanted <= 0 or (share is not None and share >= wanted):
        return None
    if share is None:
        return (
            f"min_reviewed_share={wanted!r} is wanted, and no step-labelled trace is published; "
            "publish some, or set publish.min_reviewed_share = 0"
        )
    return (
        f"people decided {share:.4g} of the step-labelled traces, and {wanted!r} is wanted; have "
        "more of them reviewed, or lower publish.min_reviewed_share"
    )


def _too_little(review: Review, wanted: float | None) -> str | None:
    alpha = review.alpha
    if wanted is None or (alpha is not None and alpha >= wanted):
        return None
    if alpha is None:
        why = (
            f"reviewers said the same of all {review.n_common:,} traces that several of them saw"
            if review.n_common
            else "no two people have reviewed the same trace"
        )
        return (
            f"min_alpha={wanted!r} is wanted, and there is no alpha: {why}; have more traces "
            "reviewed by two people, or unset publish.min_alpha"
        )
    return (
        f"reviewers agree with an alpha of {alpha:.4g}, and {wanted!r} is wanted; settle with them "
        "what counts as wrong, or lower publish.min_alpha"
    )
