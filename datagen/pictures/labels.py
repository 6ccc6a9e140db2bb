"""How good the labels are: values by position of the step, and probabilities held to others' word.

The surprising fact: the reliability of a label is drawn against judges first, who may err alike.
Where people have decided, they stand beside them, and theirs is the word that counts.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from datagen.labels.monte_carlo import wilson
from datagen.pictures.canvas import (
    FAINT,
    REST,
    RIGHT,
    WRONG,
    Axes,
    Picture,
    columns,
    drawn,
    legend,
    places,
)
from datagen.report.labels import (
    MASSES,
    MassBin,
    Reliability,
    by_mass,
    held_to_judges,
    held_to_people,
    held_to_runs,
)
from datagen.report.positions import N_PARTS, ByOutcome, Measure, by_position, by_progress

_ENDS: Final = (("correct", "traces that end right", RIGHT), ("wrong", "that end wrong", WRONG))
_NAMES: Final[dict[Measure, str]] = {
    "value": "mean value",
    "p_before_error": "P(before the first error)",
}


def value_by_step(steps: pl.DataFrame, labels: pl.DataFrame) -> Picture | None:
    """Value, and probability to be before the first error, by position in the trace.

    Args:
        steps: table ``step_labels``.
        labels: table ``trace_labels``.
    """
    by_part = by_progress(steps, labels)
    if not any(by_part.values()):
        return None
    found = {
        measure: (
            by_position(steps, labels, measure=measure),
            by_progress(steps, labels, measure=measure),
        )
        for measure in _NAMES
    }

    def draw(grid: Sequence[Axes]) -> None:
        for row, measure in enumerate(_NAMES):
            by_number, by_share = found[measure]
            left, right = grid[2 * row], grid[2 * row + 1]
            _lines(left, by_number, scale=1)
            _lines(right, by_share, scale=100 / N_PARTS)
            left.set_ylabel(f"{_NAMES[measure]}, 0 to 1", fontsize=9)
            left.xaxis.get_major_locator().set_params(integer=True)
        grid[2].set_xlabel("number of the step, from 1", fontsize=9)
        grid[3].set_xlabel("part of the trace that is done, %", fontsize=9)
        legend(grid[0], ncols=2)

    measured = steps.filter(pl.col("value").is_not_null())
    n_traces = measured["trace_id"].n_unique()
    return drawn(
        draw,
        title=f"What steps are worth, by position (n = {measured.height:,} steps of "
        f"{n_traces:,} traces)",
        told=_parting(by_part),
        height=5.2,
        panels=(2, 2),
    )


def label_reliability(
    labels: pl.DataFrame, decisions: pl.DataFrame | None = None
) -> Picture | None:
    """How sure the posterior is of first errors, and whether judges and people agree with it.

    Args:
        labels: table ``trace_labels``, before or after people's decisions.
        decisions: table ``decisions``, if there is one.
    """
    if labels.is_empty():
        return None
    masses, judges = by_mass(labels), held_to_judges(labels)
    people = None if decisions is None else held_to_people(labels, decisions)

    def draw(grid: Sequence[Axes]) -> None:
        _masses(grid[0], masses)
        _diagonal(grid[1], judges, x="P(first error)", y="judges name the same", noun="traces")
        if people:
            _diagonal(grid[2], people, x="P(before error)", y="true, by people", noun="steps")

    told = ["No judge came to a verdict, so nothing is held to one."]
    if judges:
        n_agreed, n_judged = sum(b.n_agreed for b in masses), judges.n
        told = [
            f"Judges name the same first error in {n_agreed:,} of {n_judged:,} traces with a "
            f"verdict; probability and agreement are {judges.gap:.2f} apart on average. Judges may "
            "err as the rollouts do, so this is no truth."
        ]
    if people:
        whose = "drawn at random" if people.at_random else "chosen because they are in doubt"
        told.append(
            f"By people's word on {people.n:,} steps of traces {whose}, the gap is "
            f"{people.gap:.2f}."
        )
    return drawn(
        draw,
        title=f"Reliability of first errors (n = {labels.height:,} measured traces)",
        told=" ".join(told),
        panels=(1, 3 if people else 2),
    )


def thought_reliability(thoughts: pl.DataFrame) -> Picture | None:
    """Whether thoughts from which right programs are written are true: table ``code_thoughts``."""
    found = held_to_runs(thoughts)
    if found is None:
        return None

    def draw(grid: Sequence[Axes]) -> None:
        x, y = "share of programs from the thought that pass", "no claim against the run"
        _diagonal(grid[0], found, x=x, y=y, noun="thoughts")

    return drawn(
        draw,
        title=f"Thoughts about code, held to runs (n = {found.n:,})",
        told=f"Share of right programs and share of true thoughts are {found.gap:.2f} apart on "
        "average. Below the line, programs pass in spite of a false claim; above it, true thoughts "
        "do not suffice to write the program.",
        height=3.8,
    )


def _lines(axes: Axes, found: ByOutcome, *, scale: float) -> None:
    for outcome, label, colour in _ENDS:
        points = found[outcome]
        most = max((at.n for at in points), default=1)
        x, y = [scale * at.position for at in points], [at.mean for at in points]
        axes.plot(x, y, color=colour, linewidth=1.4, label=label)
        axes.scatter(x, y, [6 + 26 * at.n / most for at in points], color=colour, linewidth=0)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.25)


def _parting(found: ByOutcome) -> str:
    told = " ".join(
        f"{'Right' if outcome == 'correct' else 'Wrong'} traces begin at a mean value of "
        f"{own[0].mean:.2f} and end at {own[-1].mean:.2f}."
        for outcome, own in found.items()
        if own
    )
    return (
        f"{told} The sooner the lines part, the earlier the labels tell good from bad; the size of "
        "a dot is the number of steps."
    )


def _masses(axes: Axes, masses: Sequence[MassBin]) -> None:
    parts = (
        ("judges name the same", RIGHT, [float(b.n_agreed) for b in masses]),
        ("another", WRONG, [float(b.n_differing) for b in masses]),
        ("no verdict", REST, [float(b.n_unjudged) for b in masses]),
    )
    columns(axes, [part for part in parts if any(part[2])])
    places(axes, [f"{100 * low:.0f}" for low in MASSES])
    axes.set_ylim(0, 1.4 * max(b.n_agreed + b.n_differing + b.n_unjudged for b in masses))
    axes.set_xlabel("probability of the first error, from %", fontsize=9)
    axes.set_ylabel("traces", fontsize=9)
    legend(axes, ncols=1, bbox_to_anchor=None, loc="upper left")


def _diagonal(axes: Axes, found: Reliability | None, *, x: str, y: str, noun: str) -> None:
    axes.plot([0, 1], [0, 1], color=REST, linewidth=1, linestyle="--")
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
    axes.set_box_aspect(1)
    axes.set_xlabel(f"{x}, 0 to 1", fontsize=9)
    axes.set_ylabel(f"{y}, share", fontsize=9)
    axes.grid(alpha=0.25)
    if found is None:
        axes.text(0.5, 0.5, "none yet", ha="center", va="center", fontsize=9)
        return
    most = max(n for n, _, _ in found.bins)
    for n, predicted, true in found.bins:
        low, high = wilson(round(n * true), n)
        axes.plot([predicted, predicted], [low, high], color=FAINT, linewidth=3, zorder=1)
        axes.scatter([predicted], [true], [14 + 50 * n / most], color=RIGHT, linewidth=0, zorder=2)
    axes.set_title(f"{found.n:,} {noun}", fontsize=9, loc="left")
