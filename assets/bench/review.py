"""``datagen bench review``: runs the benchmark, prints what each way removes, writes JSON."""

import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from datagen.bench.review import QUICK, ReviewPlan, ReviewReport, bench_review
from datagen.config import EngineSettings
from datagen.engines.registry import open_engine
from datagen.journal import Journal

_LEAST_RATIO: Final = 2.0
"""The queue must remove at least so many times the errors that reviews at random do."""


def run_review_bench(console: Console, *, out: Path, quick: bool, json_path: Path | None) -> None:
    """Run and report.

    Args:
        console: where the table goes.
        out: folder for the journal and ``review.json``.
        quick: the short run.
        json_path: a further file for the figures.
    """
    began = time.monotonic()

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    out.mkdir(parents=True, exist_ok=True)
    engine = open_engine(EngineSettings(batch_size=512))
    with Journal(out / "journal.sqlite") as journal:
        report = bench_review(engine, journal, QUICK if quick else ReviewPlan(), note=note)

    figures = {**report.figures, "seconds": round(time.monotonic() - began, 1)}
    write_figures(figures, out / "review.json", json_path)
    console.print()
    console.print(_table(report))
    console.print(Text(_summary(report), style="bold"))
    console.print(Text(f"\nreview.json is in {out}"), soft_wrap=True)


def _table(report: ReviewReport) -> Table:
    figures = report.figures
    table = Table(
        title=f"{figures['n_reviewed']:.0f} of {figures['n_traces']:.0f} traces reviewed, errors "
        "removed [95 %]",
        title_justify="left",
        box=None,
    )
    table.add_column("chosen", no_wrap=True)
    for name in ("wrong first errors", "wrong step labels"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.ways.iter_rows(named=True):
        cells = [
            f"{row[name]:.1%}"
            if row[f"{name}_low"] is None
            else f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"
            for name in ("first_errors", "steps")
        ]
        table.add_row(row["way"], *cells)
    return table


def _summary(report: ReviewReport) -> str:
    figures = report.figures
    verdict = "reached" if figures["ratio"] >= _LEAST_RATIO else "missed"
    return (
        f"\nThe queue removes {figures['ratio']:.1f} times the errors that reviews at random do "
        f"[{figures['ratio_low']:.1f}, {figures['ratio_high']:.1f}]; target {_LEAST_RATIO:g}: "
        f"{verdict}."
    )
