"""What people are asked and what they said. No name of a person is anywhere on the page."""

from datagen.report.figures import Figures
from datagen.report.markup import Child, Markup, table
from datagen.report.numbers import NOTHING, count, share
from datagen.report.reviews import ReviewFigures
from datagen.report.sections.frame import card, empty, facts, section, stacks
from datagen.report.svg import bar


def people(found: Figures) -> Markup:
    """The queue, the decisions, and how far reviewers agree."""
    own = found.reviews
    return section(
        "review",
        "Review by people",
        "People look at the traces where a minute of theirs changes most labels, and at some that "
        "were drawn at random, which alone speak for all.",
        stacks(
            [card("What awaits them", _queue(own), note=_kinds(own))],
            [card("What they decided", _decided(own)), card("How far they agree", _agreement(own))],
        ),
    )


def _queue(own: ReviewFigures) -> Markup:
    if not own.n_queued:
        return empty("The queue is empty.")
    rows: list[tuple[Child, ...]] = [
        (why, bar([("main", n)], own.n_queued), count(n)) for why, n in own.reasons.items()
    ]
    return table(
        ("why", "", "traces"),
        rows,
        caption="Traces in the queue, by why they are in it",
        text_columns=2,
        total=("all", "", count(own.n_queued)),
        name="rows",
    )


def _kinds(own: ReviewFigures) -> str | None:
    kinds = ", ".join(f"{count(n)} {name}" for name, n in own.kinds.items())
    return f"Among them are {kinds}." if kinds else None


def _decided(own: ReviewFigures) -> Markup:
    if not own.n_reviews:
        return empty("No person has reviewed this data yet.")
    changed = own.n_decided - own.n_agreed
    lines: list[tuple[str, Child, Child]] = [
        ("Reviews", count(own.n_reviews), f"by {count(own.n_annotators)} people"),
        (
            "Traces decided",
            count(own.n_decided),
            f"{share(own.reviewed_share)} of the published step-labelled traces",
        ),
        ("First errors changed", count(changed), "the rest was confirmed"),
        ("Disputes", count(own.n_disputed), "await a senior" if own.n_disputed else ""),
    ]
    if own.label_error:
        error, low, high = own.label_error
        lines.append(
            (
                "Wrong before any review",
                share(error),
                f"{share(low)} to {share(high)} of all first errors (95 %), by "
                f"{count(own.n_random)} random traces",
            )
        )
    return facts(lines)


def _agreement(own: ReviewFigures) -> Markup:
    if not own.n_common:
        return empty("No trace has been reviewed by two people yet.")
    parts: list[tuple[str, Child, Child]] = [
        (
            "Krippendorff’s α",
            NOTHING if own.alpha is None else f"{own.alpha:.2f}",
            f"first errors of {count(own.n_common)} traces; 1 is full agreement, 0 is chance"
            if own.alpha is not None
            else f"everybody said the same of all {count(own.n_common)} traces",
        )
    ]
    if rates := own.agreements:
        middle = rates[len(rates) // 2]
        parts.append(
            (
                "One person with the others",
                share(middle),
                f"the median of {count(len(rates))}; from {share(rates[0])} to {share(rates[-1])}",
            )
        )
    return facts(parts)
