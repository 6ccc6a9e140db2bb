"""``datagen bench labels``: runs the benchmark, prints its table, writes CSV, JSON and pictures."""

import time
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from datagen.bench.labels import QUICK, LabelReport, Plan, bench_labels
from datagen.config import EngineSettings
from datagen.engines.registry import open_engine
from datagen.journal import Journal

_WIDTH = 120


def run_label_bench(
    console: Console, *, out: Path, quick: bool, n_traces: int | None, json_path: Path | None
) -> None:
    """Run and report.

    Args:
        console: where the table goes.
        out: folder for the journal, ``labels.csv``, ``labels.png`` and ``reliability.png``.
        quick: the short run.
        n_traces: wrong traces of each kind, if not the plan's own number.
        json_path: file for the headline figures.
    """
    began = time.monotonic()
    plan = QUICK if quick else Plan()
    if n_traces is not None:
        plan = replace(plan, n_wrong=dict.fromkeys(plan.n_wrong, n_traces))

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    out.mkdir(parents=True, exist_ok=True)
    engine = open_engine(EngineSettings(batch_size=512))
    with Journal(out / "journal.sqlite") as journal:
        report = bench_labels(engine, journal, plan, note=note)

    report.rows.write_csv(out / "labels.csv")
    figures = {**report.figures, "seconds": round(time.monotonic() - began, 1)}
    write_figures(figures, out / "labels.json", json_path)

    from datagen.bench.plots import accuracy_plot, reliability_plot

    accuracy_plot(report.rows, out / "labels.png")
    reliability_plot(report.reliability, out / "reliability.png")
    # A table that does not fit is cut to pieces; lines that are too long can still be read.
    wide = Console(width=max(console.width, _WIDTH))
    _print(wide, report)
    console.print(Text(f"\nlabels.csv, labels.json, labels.png and reliability.png are in {out}"))


def _print(console: Console, report: LabelReport) -> None:
    for (kind,), rows in report.rows.group_by("traces", maintain_order=True):
        console.print()
        console.print(_table(str(kind), rows))
        if bound := report.bound.get(str(kind)):
            console.print(
                Text(
                    f"bound: of {bound['rollouts_per_prefix']:.0f} rollouts from a prefix behind "
                    f"the true first error, one or more still reached the answer in "
                    f"{bound['reached_behind_error']:.0%} of the prefixes; from a prefix before "
                    f"it, none did in {bound['never_reached_before_error']:.0%}",
                    style="dim",
                )
            )
    figures = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in report.figures.items():
        figures.add_row(name, f"{value:.4g}")
    console.print()
    console.print(figures)


def _table(kind: str, rows: pl.DataFrame) -> Table:
    table = Table(
        title=f"{kind}: {rows['n_traces'][0]} wrong traces", title_justify="left", box=None
    )
    table.add_column("method", no_wrap=True)
    for name in ("exact [95 %]", "within 1", "F1", "tokens", "rollouts", "prefixes", "ECE"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows.iter_rows(named=True):
        table.add_row(
            row["method"],
            f"{row['exact']:.3f} [{row['exact_low']:.3f}, {row['exact_high']:.3f}]",
            f"{row['within_one']:.3f}",
            "" if row["f1"] is None else f"{row['f1']:.3f}",
            f"{row['tokens']:,.0f}",
            f"{row['rollouts']:.1f}",
            f"{row['prefixes']:.1f}",
            "" if row["ece"] is None else f"{row['ece']:.3f}",
        )
    return table
