"""The card's words on what people said of the labels, and how to find the rows that are theirs.

The surprising fact: how often people changed a label is no measure of the labels. They are asked
where doubt is greatest, and only those traces that were drawn at random speak for all.
"""

from collections.abc import Collection
from typing import Final

from datagen.publish.card.markdown import block, bullets, share
from datagen.publish.review import Review

_NOBODY: Final = "**No person has reviewed this data.**"

_UNDECIDED: Final = "**People have looked at this data, and have not decided on any trace yet.**"

_SOME: Final = """\
**People have reviewed part of this data**, and what they decided goes before what rollouts and \
judges say:"""

_CHOSEN: Final = """\
Most traces are chosen for review because they are in doubt, so the share of changed ones says \
nothing of those that nobody reviewed; the random sample does."""

_THEIRS: Final = {
    "advantages": """\
In `advantages` the traces that people decided have `human` as `label_source`; the `id` is that of \
the other configs.""",
    "prm": """\
In `prm` their `labels` are what people decided. Their `step_scores` are 1 and 0 where people \
contradict the pipeline, and its values where they confirm it.""",
    "tags": "In `tags` the thought factors that people named have `human` as `tagger`.",
}

_FILTER: Final = (
    'theirs = set(advantages.filter(lambda row: row["label_source"] == "human")["id"])',
    'reviewed = prm.filter(lambda row: row["id"] in theirs)',
)


def about_people(review: Review | None, configs: Collection[str]) -> tuple[str, ...]:
    """Paragraphs of the section on the quality of labels; that nobody looked is one as well.

    Args:
        review: what people said.
        configs: the configs that have rows.
    """
    if review is None:
        return (_NOBODY,)
    return (
        _SOME if review.n_reviewed else _UNDECIDED,
        bullets((*_decisions(review), _agreement(review), _label_error(review))),
        _CHOSEN if review.n_reviewed else "",
        *(_theirs(configs) if review.n_reviewed else ()),
    )


def _decisions(review: Review) -> tuple[str, ...]:
    n, n_changed = review.n_reviewed, review.n_reviewed - review.n_agreed
    decided = f"Traces whose first error people decided: {n:,}"
    if review.reviewed_share is not None:
        decided += f"; of the step-labelled traces (`prm`): {100 * review.reviewed_share:.1f} %"
    return (
        f"Reviewers: {review.n_annotators:,}",
        decided,
        "Of those decided, people changed the first error, or found one where the pipeline saw "
        f"none, or none where it saw one: {n_changed:,} ({share(n_changed, n)})",
        "Disputes that are still open, in which the pipeline's labels stand: "
        f"{review.n_disputed:,}",
    )


def _agreement(review: Review) -> str:
    if not review.n_common:
        return "Agreement of reviewers: not known, since no two reviewed the same trace"
    several = f"{review.n_common:,} traces that two people or more reviewed"
    if review.alpha is None:
        return f"Agreement of reviewers: all said the same of the {several}"
    return (
        f"Agreement of reviewers on the first error: Krippendorff's alpha is {review.alpha:.2f}, "
        f"from the {several}; 1 is full agreement, and 0 is what chance would give"
    )


def _label_error(review: Review) -> str:
    error, low, high = review.label_error, review.label_error_low, review.label_error_high
    if error is None or low is None or high is None:
        return (
            "Wrong labels before review: not known, since no trace of the random sample is decided"
        )
    return (
        f"Wrong labels before review: the pipeline had the first error of {100 * error:.1f} % of "
        f"all traces wrong (95 % interval: {100 * low:.1f} % to {100 * high:.1f} %), estimated "
        f"from {review.n_random:,} that were drawn at random"
    )


def _theirs(configs: Collection[str]) -> tuple[str, ...]:
    told = " ".join(text for name, text in _THEIRS.items() if name in configs)
    both = {"advantages", "prm"} <= set(configs)
    return told, block("python", *_FILTER) if both else ""
