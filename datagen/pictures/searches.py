"""What searches came to: outcomes by where a rollout began, and the shape of the trees."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from datagen.pictures.canvas import (
    FAINT,
    OTHER,
    REST,
    RIGHT,
    WRONG,
    Axes,
    Picture,
    columns,
    drawn,
    legend,
    numbers,
    places,
)
from schemas import OUTCOMES

_MAX_COLUMNS: Final = 24
_COLOURS: Final = {
    "correct": RIGHT,
    "wrong": WRONG,
    "unverifiable": REST,
    "truncated": OTHER,
}
_NAMES: Final = {"correct": "right", "unverifiable": "nobody can judge", "truncated": "cut off"}


def outcomes_by_start(rollouts: pl.DataFrame) -> Picture | None:
    """Shares of outcomes by the number of steps that stood when a rollout was drawn.

    Args:
        rollouts: table ``rollouts`` or ``probes``.
    """
    if rollouts.is_empty():
        return None
    starts = rollouts.select("outcome", start=pl.col("n_given_steps").clip(0, _MAX_COLUMNS - 1))
    n_columns = int(starts["start"].to_numpy().max()) + 1
    counts = {
        outcome: _by_place(starts.filter(pl.col("outcome") == outcome)["start"], n_columns)
        for outcome in OUTCOMES
    }
    totals = [sum(at) for at in zip(*counts.values(), strict=True)]

    def draw(grid: Sequence[Axes]) -> None:
        parts = [
            (
                _NAMES.get(outcome, outcome),
                _COLOURS[outcome],
                [100 * n / (total or 1) for n, total in zip(own, totals, strict=True)],
            )
            for outcome, own in counts.items()
            if any(own)
        ]
        axes = grid[0]
        columns(axes, parts, counted=False)
        numbers(axes, totals, at=100)
        names = [str(n) for n in range(n_columns)]
        places(axes, [*names[:-1], f"{names[-1]}+"] if n_columns == _MAX_COLUMNS else names)
        axes.set_ylim(0, 108)
        axes.set_xlabel("steps that stood when the rollout was drawn", fontsize=9)
        axes.set_ylabel("share of outcomes, %", fontsize=9)
        legend(axes)

    n_right, n_wrong = sum(counts["correct"]), sum(counts["wrong"])
    n_questions = rollouts["seed_id"].n_unique()
    decided = n_right + n_wrong
    passed = f"{100 * n_right / decided:.0f} %" if decided else "none"
    half = n_columns // 2
    early, late = _pass_rate(counts, slice(0, 1)), _pass_rate(counts, slice(half, None))
    told = f"Of the rollouts that could be judged, {passed} end right"
    if early is not None and late is not None and n_columns > 1:
        told += f": {early} from the bare question, {late} once {half} or more steps stand"
    return drawn(
        draw,
        title=f"Outcomes by where rollouts begin (n = {rollouts.height:,} rollouts of "
        f"{n_questions:,} questions)",
        told=f"{told}. Above the columns: how many rollouts.",
        height=3.3,
    )


def tree_shape(nodes: pl.DataFrame) -> Picture | None:
    """States of the trees by depth, taken and rejected, and what those taken are worth.

    Args:
        nodes: table ``nodes``.
    """
    below = nodes.filter(pl.col("depth") > 0).with_columns(
        place=(pl.col("depth") - 1).clip(0, _MAX_COLUMNS - 1)
    )
    if below.is_empty():
        return None
    n_columns = int(below["place"].to_numpy().max()) + 1
    taken = below.filter("chosen")
    counts = [
        _by_place(part["place"], n_columns) for part in (taken, below.filter(~pl.col("chosen")))
    ]
    worth = (
        taken.drop_nulls("value").group_by("place").agg(pl.col("value").mean()).sort("place").rows()
    )

    def draw(grid: Sequence[Axes]) -> None:
        left, right = grid
        parts = (("taken", RIGHT, counts[0]), ("proposed, not taken", FAINT, counts[1]))
        columns(left, [part for part in parts if any(part[2])], counted=False)
        left.set_ylabel("states", fontsize=9)
        left.yaxis.set_major_formatter("{x:,.0f}")
        legend(left, ncols=2)
        right.plot([at for at, _ in worth], [value for _, value in worth], "o-", color=RIGHT)
        right.set_ylim(-0.03, 1.03)
        right.set_ylabel("mean value, 0 to 1", fontsize=9)
        right.grid(alpha=0.25)
        names = [str(n + 1) for n in range(n_columns)]
        for axes in grid:
            places(axes, names, every=1 + n_columns // 13)
            axes.set_xlim(-0.6, n_columns - 0.4)
            axes.set_xlabel("steps below the root", fontsize=9)

    n_trees, deepest = nodes["prefix_id"].n_unique(), int(nodes["depth"].to_numpy().max())
    return drawn(
        draw,
        title=f"Shape of the search trees (n = {nodes.height:,} states of {n_trees:,} trees)",
        told=f"A tree has {nodes.height / n_trees:.1f} states on average and reaches a depth of "
        f"{deepest} at most; {100 * taken.height / below.height:.0f} % of the steps that were "
        "proposed were taken.",
        height=3.0,
        panels=(1, 2),
    )


def _by_place(found: pl.Series, n: int) -> list[int]:
    counts: dict[int, int] = dict(found.value_counts().iter_rows())
    return [counts.get(place, 0) for place in range(n)]


def _pass_rate(counts: dict[str, list[int]], part: slice) -> str | None:
    n_right, n_wrong = sum(counts["correct"][part]), sum(counts["wrong"][part])
    return f"{100 * n_right / (n_right + n_wrong):.0f} %" if n_right + n_wrong else None
