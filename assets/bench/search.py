"""``datagen bench search``: runs the benchmark, prints figures by their target, writes JSON."""

import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from datagen.bench.search import QUICK, SearchPlan, SearchReport, bench_search
from datagen.config import EngineSettings
from datagen.engines.registry import WEIGHTS, open_engine
from datagen.journal import Journal

_WIDTH: Final = 100
_LEAST_RATIO: Final = 1.3


def run_search_bench(
    console: Console,
    *,
    out: Path,
    quick: bool,
    json_path: Path | None,
    plan: SearchPlan | None = None,
) -> None:
    """Run and report.

    Args:
        console: where the tables go.
        out: folder for the journal, the trained model and ``search.json``.
        quick: the short run.
        json_path: a further file for the figures.
        plan: sizes, if not those of ``quick``.
    """
    began = time.monotonic()

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    out.mkdir(parents=True, exist_ok=True)
    journal_path = out / "journal.sqlite"
    engine = open_engine(EngineSettings())
    try:
        with Journal(journal_path) as journal:
            report = bench_search(
                engine,
                journal,
                plan or (QUICK if quick else SearchPlan()),
                checkpoint=WEIGHTS,
                out=out / "two_heads",
                note=note,
            )
    finally:
        engine.close()
    report.detail["seconds"] = time.monotonic() - began
    figures = {**report.figures, "detail": report.detail}
    write_figures(figures, out / "search.json", json_path)
    # A table that does not fit is cut to pieces; lines that are too long can still be read.
    wide = Console(file=console.file, width=max(console.width, _WIDTH))
    for table in (_figures(report), _ways(report.detail)):
        wide.print()
        wide.print(table)
    told = f"\nsearch.json is in {out}\njournal, for the same command to go on from: {journal_path}"
    console.print(Text(told), soft_wrap=True)


def _figures(report: SearchReport) -> Table:
    figures = report.figures
    table = _table("Hard questions", "figure", "value", "interval", "target", "met")
    table.add_row("n_questions", f"{figures['n_questions']:,}", "", "", "")
    for name in ("puct_verified_per_1k", "rejection_verified_per_1k"):
        table.add_row(name, f"{figures[name]:.2f}", "", "", "")
    met = figures["ratio"] >= _LEAST_RATIO
    told = "yes" if met else Text("no", style="bold red")
    table.add_row(
        "ratio", f"{figures['ratio']:.2f}", _interval(figures, "ratio"), f"≥ {_LEAST_RATIO}", told
    )
    if "guided_gain" in figures:
        table.add_row("guided_verified_per_1k", f"{figures['guided_verified_per_1k']:.2f}")
        table.add_row(
            "guided_gain", f"{figures['guided_gain']:.2f}", _interval(figures, "guided_gain")
        )
    return table


def _ways(detail: dict[str, Any]) -> Table:
    title = "Distinct right traces per 1,000 generated tokens, against plain sampling"
    table = _table(title, "search", "search", "sampling", "ratio", "interval")
    for name, found in detail["against_rejection"].items():
        table.add_row(
            name,
            f"{found['verified_per_1k']:.2f}",
            f"{found['other_per_1k']:.2f}",
            f"{found['ratio']:.2f}",
            _interval(found, "ratio"),
        )
    return table


def _interval(found: dict[str, Any], name: str) -> str:
    return f"{found[f'{name}_low']:.2f} to {found[f'{name}_high']:.2f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table
