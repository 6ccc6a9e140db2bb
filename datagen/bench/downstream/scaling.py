"""The test-time scaling curve: how often the choice among n replies is right, for growing n.

The replies are the same for all ways of choosing, and each n uses all of them: 64 replies are 32
pairs, 16 groups of four, and one group of 64.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import matplotlib as mpl
import numpy as np

from datagen.bench.downstream.figures import mean_of
from datagen.bench.downstream.selection import (
    Ballot,
    Rule,
    accuracy,
    by_rule,
    groups,
    majority,
)
from datagen.bench.downstream.students import Floats

mpl.use("agg")

import matplotlib.pyplot as plt

Values = Sequence[Sequence[Sequence[float]]]
"""What a verifier says of each step of each reply to each question."""

_STYLE: Final[dict[str, dict[str, Any]]] = {
    "any": {"color": "#bbbbbb", "linestyle": ":", "label": "one of them is right (ceiling)"},
    "majority": {"color": "#555555", "marker": "o", "label": "majority"},
    "orm": {"color": "#c98a1b", "marker": "^", "label": "outcome reward"},
    "prm": {"color": "#1b6ca8", "marker": "s", "label": "process reward, our labels"},
}


def scaling_curve(
    ballots: Sequence[Ballot], verifiers: Mapping[str, tuple[Values, Rule]]
) -> list[dict[str, Any]]:
    """Accuracy by way of choosing and number of replies.

    Args:
        ballots: of the questions, all with the same number of replies.
        verifiers: by name, what each says and how it is used.

    Returns:
        A row per way and n: ``way``, ``n``, ``accuracy``, ``low``, ``high`` (95 %, over questions).
    """
    most = len(ballots[0].answers)
    rows: list[dict[str, Any]] = []
    n = 1
    while n <= most:
        found = {
            "majority": accuracy(ballots, n, lambda row, some: majority(ballots[row], some)),
            **{
                name: by_rule(ballots, values, n, rule)
                for name, (values, rule) in verifiers.items()
            },
            "any": _any(ballots, n),
        }
        for way, shares in found.items():
            mean = mean_of(shares[None])
            rows.append(
                {"way": way, "n": n, "accuracy": mean.value, "low": mean.low, "high": mean.high}
            )
        n *= 2
    return rows


def _any(ballots: Sequence[Ballot], n: int) -> Floats:
    """How often one of ``n`` replies at least is right."""
    return np.array(
        [
            fmean(any(b.right[idx] for idx in some) for some in groups(len(b.right), n))
            for b in ballots
        ]
    )


def plot_scaling(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Draw the curve.

    Args:
        rows: of :func:`scaling_curve`.
        path: the PNG file.
        title: above it.
    """
    figure: Any
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for way, style in _STYLE.items():
        own = [row for row in rows if row["way"] == way]
        if not own:
            continue
        n = [row["n"] for row in own]
        axes.plot(n, [row["accuracy"] for row in own], linewidth=1.6, markersize=5, **style)
        if way != "any":
            low, high = [row["low"] for row in own], [row["high"] for row in own]
            axes.fill_between(n, low, high, color=style["color"], alpha=0.12, linewidth=0)
    ticks = sorted({row["n"] for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("replies to choose from")
    axes.set_ylabel("right answers")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
