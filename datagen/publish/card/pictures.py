"""The pictures of the card, drawn anew from the data.

The surprising fact: nothing here is global. ``pyplot`` keeps its figures and its backend for the
whole process, and publishing may run in one thread of a server; a figure of its own needs neither,
and without the name of the software in it equal data gives equal bytes.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from schemas import DIFFICULTIES, SPLITS

FIGURES: Final = "figures"
"""Folder of the pictures."""

_RIGHT: Final = "#1b6ca8"
_WRONG: Final = "#d1495b"
_REST: Final = "#b9b9b9"
_DPI: Final = 130

Bars = tuple[list[str], dict[str, tuple[str, list[int]]]]
"""Names of the bars from top to bottom, and their parts: label → colour and lengths."""


def draw(tables: Mapping[str, pl.DataFrame], questions: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw what the data has, into a folder that is made if there is anything.

    Args:
        tables: config → table with rows.
        questions: table ``questions``.
        folder: the folder ``figures`` of the repository.

    Returns:
        The files: ``factors.png`` where there are traces with steps, ``difficulty.png`` where
        there are questions with a pass rate.
    """
    pictures: list[tuple[str, str, str, Callable[[], Bars]]] = []
    if "traces" in tables and tables["traces"]["factors"].list.len().sum():
        title = "Thought factors of all traces"
        pictures.append(("factors.png", title, "steps", lambda: _factors(tables["traces"])))
    if questions["pass_rate"].count():
        title = "How often the model solves the questions"
        pictures.append(("difficulty.png", title, "questions", lambda: _difficulty(questions)))
    if pictures:
        folder.mkdir()
    for name, title, unit, bars in pictures:
        _bars(*bars(), title=title, unit=unit, path=folder / name)
    return [folder / name for name, *_ in pictures]


def _factors(traces: pl.DataFrame) -> Bars:
    kind = pl.col("outcome").replace_strict({"correct": "right", "wrong": "wrong"}, default="rest")
    counts = (
        traces.select(kind.alias("kind"), pl.col("factors").alias("factor"))
        .explode("factor")
        .drop_nulls()
        .group_by("factor")
        .agg(
            n=pl.len(),
            **{name: (pl.col("kind") == name).sum() for name in ("right", "wrong", "rest")},
        )
        .sort(["n", "factor"], descending=[True, False])
    )
    shown = {"in right traces": ("right", _RIGHT), "in wrong traces": ("wrong", _WRONG)}
    if counts["rest"].sum():
        shown["in traces that could not be decided"] = ("rest", _REST)
    series = {label: (color, counts[name].to_list()) for label, (name, color) in shown.items()}
    return counts["factor"].to_list(), series


def _difficulty(questions: pl.DataFrame) -> Bars:
    counts = dict(
        (row[:2], row[2])
        for row in questions.group_by("difficulty", "split").agg(pl.len()).iter_rows()
    )
    bins = [name for name in DIFFICULTIES if any((name, split) in counts for split in SPLITS)]
    return bins, {
        split: (color, [counts.get((name, split), 0) for name in bins])
        for split, color in zip(SPLITS, (_RIGHT, "#edae49"), strict=True)
        if any((name, split) in counts for name in bins)
    }


def _bars(
    names: list[str],
    parts: Mapping[str, tuple[str, list[int]]],
    *,
    title: str,
    unit: str,
    path: Path,
) -> None:
    # Takes a second to import, and few callers draw.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(8, 1.6 + 0.27 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ends = [0] * len(names)
    for label, (color, lengths) in parts.items():
        axes.barh(range(len(names)), lengths, left=ends, color=color, label=label, height=0.72)
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    for place, end in enumerate(ends):
        axes.annotate(
            f"{end:,}", (end, place), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    # A dollar sign would begin a formula.
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.09 * max(ends))
    axes.set_xlabel(unit)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    figure.legend(frameon=False, fontsize=9, loc="outside lower right", ncols=len(parts))
    figure.savefig(path, dpi=_DPI, format="png", metadata={"Software": None})
