"""``datagen bench curate``: runs the benchmark, prints figures by their targets, writes JSON."""

import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from assets.bench.tables import figures_table
from datagen.bench.curation import QUICK, CurationReport, Plan, bench_curation

_WIDTH: Final = 100

_TARGETS: Final[dict[str, tuple[float, float, str]]] = {
    "seconds": (0, 180, "from the raw tables on disk to the published folder"),
    "peak_mb": (0, 2000, "most memory of that process at a time, in 10^6 bytes"),
    "planted_found": (0.99, 1, "of benchmark questions hidden among ours"),
    "false_positive_rate": (0, 0.002, "of questions that people wrote and no benchmark has"),
    "duplicates_found": (0.98, 1, "of questions and traces that nearly repeat another"),
}
"""What each figure must at least and at most be."""


def run_curate_bench(
    console: Console,
    *,
    quick: bool,
    json_path: Path | None,
    questions: Path | None,
    plan: Plan | None = None,
) -> None:
    """Run and report.

    Args:
        console: where the tables go.
        quick: the short run.
        json_path: file for the figures.
        questions: file of questions that people wrote, in place of the shipped ones.
        plan: how much is measured, if not as ``quick`` says.
    """
    began = time.monotonic()

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    report = bench_curation(plan or (QUICK if quick else Plan()), note=note, questions=questions)
    write_figures(report.figures, json_path)
    # A table that does not fit is cut to pieces; lines that are too long can still be read.
    wide = Console(file=console.file, width=max(console.width, _WIDTH))
    for table in (_figures(report), _found(report), _accused(report), _stages(report)):
        wide.print()
        wide.print(table)


def _figures(report: CurationReport) -> Table:
    table = figures_table("", "figure", "value", "target", "met")
    table.add_column("meaning", style="dim")
    rows = report.figures["rows"]
    table.add_row("rows", f"{rows:,}", "", "", "traces, as they were generated")
    for name, (least, most, meaning) in _TARGETS.items():
        value = report.figures[name]
        met = "yes" if least <= value <= most else Text("no", style="bold red")
        target = f"≤ {most:g}" if least == 0 else f"≥ {least:g}"
        table.add_row(name, _number(value), target, met, meaning)
    return table


def _found(report: CurationReport) -> Table:
    table = figures_table("what was planted", "group", "kind", "found", "of")
    for group, kinds in report.found.items():
        for k, (kind, (n, of)) in enumerate(kinds.items()):
            table.add_row("" if k else group, kind, f"{n:,}", f"{of:,}")
    return table


def _accused(report: CurationReport) -> Table:
    table = figures_table("what was not", "group", "called so", "of")
    accused = {"written questions called contaminated": report.innocent, **report.accused}
    for group, (n, of) in accused.items():
        table.add_row(group, f"{n:,}", f"{of:,}")
    return table


def _stages(report: CurationReport) -> Table:
    table = figures_table("time", "stage", "seconds", "rows published")
    for stage, seconds in report.run.stages.items():
        n = report.run.rows.get(stage)
        table.add_row(stage, f"{seconds:.1f}", "" if n is None else f"{n:,}")
    table.caption = f"the published folder has {report.run.n_bytes / 1e6:,.0f} MB"
    table.caption_justify = "left"
    return table


def _number(value: float) -> str:
    return f"{value:,.1f}" if value > 1 else f"{value:.4f}"
