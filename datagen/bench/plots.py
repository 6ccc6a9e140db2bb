"""The benchmark's pictures: accuracy against tokens, and reliability of the probabilities."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib
import polars as pl

matplotlib.use("Agg")

from matplotlib import pyplot as plt

_STYLE: Final[dict[str, dict[str, Any]]] = {
    "ours": {"color": "#1b6ca8", "marker": "o", "label": "posterior search (ours)"},
    "omega": {"color": "#d1495b", "marker": "s", "label": "OmegaPRM"},
    "shepherd": {"color": "#7a7a7a", "marker": "^", "label": "Math-Shepherd"},
    "ablation": {"color": "#edae49", "marker": "x", "label": "ablations"},
}


def accuracy_plot(rows: pl.DataFrame, path: Path) -> None:
    """Exact first-error accuracy against generated tokens per trace, one panel per kind of traces.

    Args:
        rows: of a :class:`~datagen.bench.labels.LabelReport`.
        path: the PNG file.
    """
    kinds = rows["traces"].unique(maintain_order=True).to_list()
    n_columns = min(3, len(kinds))
    n_rows = -(-len(kinds) // n_columns)
    figure: Any
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(5.2 * n_columns, 3.9 * n_rows),
        squeeze=False,
        layout="constrained",
    )
    for axes, kind in zip(grid.flat, kinds, strict=False):
        _accuracy_panel(axes, rows.filter(pl.col("traces") == kind), str(kind))
    for axes in grid.flat[len(kinds) :]:
        axes.set_axis_off()
    grid.flat[0].legend(loc="lower right", fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _accuracy_panel(axes: Any, rows: pl.DataFrame, title: str) -> None:
    for family, style in _STYLE.items():
        own = rows.filter(pl.col("family") == family).sort("tokens")
        if own.height:
            low, high = own["exact"] - own["exact_low"], own["exact_high"] - own["exact"]
            axes.errorbar(
                own["tokens"],
                own["exact"],
                yerr=[low.clip(lower_bound=0), high.clip(lower_bound=0)],
                linestyle="none" if family in ("ablation", "omega") else "-",
                markersize=5,
                linewidth=1.2,
                elinewidth=0.7,
                capsize=2,
                **style,
            )
    # Linear near zero, since labels from surprisal alone cost no tokens at all.
    axes.set_xscale("symlog", linthresh=30)
    axes.set_xlim(left=-3)
    axes.set_ylim(0, 1)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("generated tokens per trace")
    axes.set_ylabel("first error found exactly")
    axes.grid(alpha=0.25)


def reliability_plot(tables: Mapping[str, pl.DataFrame], path: Path) -> None:
    """Predicted against true share of "this step comes before the first error".

    Args:
        tables: bins of a :class:`~datagen.labels.calibration.Calibration`, by kind of traces.
        path: the PNG file.
    """
    figure: Any
    figure, grid = plt.subplots(
        1, len(tables), figsize=(4.2 * len(tables), 4), squeeze=False, layout="constrained"
    )
    for axes, (kind, table) in zip(grid.flat, tables.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        axes.plot(table["mean_predicted"], table["share_true"], marker="o", color="#1b6ca8")
        axes.set_title(kind, fontsize=10)
        axes.set_xlabel("predicted: step is before the first error")
        axes.set_ylabel("share for which it was true")
        axes.set_aspect("equal")
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=130)
    plt.close(figure)
