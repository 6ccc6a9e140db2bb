"""``datagen bench factors``: runs the benchmark, prints figures by their targets, writes files."""

import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from assets.bench.tables import figures_table
from datagen.bench.factors import FactorReport, bench_factors, confusion_plot

_WIDTH: Final = 100
_LEAST_MACRO_F1: Final = 0.75


def run_factor_bench(
    console: Console,
    *,
    out: Path,
    quick: bool,
    json_path: Path | None,
    plot_path: Path | None,
    **measured: Any,
) -> None:
    """Run and report.

    Args:
        console: where the tables go.
        out: folder for ``factors.json`` and ``factors.png``.
        quick: the short run.
        json_path: a further file for the figures.
        plot_path: a further file for the confusion matrix.
        measured: classifier and documents, if not the shipped ones; as in
            :func:`~datagen.bench.factors.bench_factors`.
    """
    began = time.monotonic()

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    report = bench_factors(quick=quick, note=note, **measured)
    report.detail["seconds"] = time.monotonic() - began
    figures = {**report.figures, "detail": report.detail}
    write_figures(figures, out / "factors.json", json_path)
    for path in filter(None, (out / "factors.png", plot_path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        confusion_plot(report, path)
    # A table that does not fit is cut to pieces; lines that are too long can still be read.
    _print(Console(file=console.file, width=max(console.width, _WIDTH)), report)
    console.print(Text(f"\nfactors.json and factors.png are in {out}"), soft_wrap=True)


def _print(console: Console, report: FactorReport) -> None:
    for table in (_figures(report), _factors(report), _styles(report.detail)):
        console.print()
        console.print(table)


def _figures(report: FactorReport) -> Table:
    figures, detail = report.figures, report.detail
    table = figures_table("", "figure", "value", "target", "met")
    table.add_column("meaning", style="dim")
    met = figures["macro_f1"] >= _LEAST_MACRO_F1
    told = "yes" if met else Text("no", style="bold red")
    mean = "mean F1 of the factors, on held-out documents"
    table.add_row("macro_f1", _number(figures["macro_f1"]), f"≥ {_LEAST_MACRO_F1}", told, mean)
    rows: list[tuple[str, Any, str]] = [
        ("n_heldout", figures["n_heldout"], "steps in them"),
        ("n_training", detail["n_training"], "steps in the others"),
        ("accuracy", detail["accuracy"], "steps told right"),
        ("calibration", detail["expected_calibration_error"], "expected error of probabilities"),
        ("sure_share", detail["sure_share"], "steps told with a probability of 0.5 or more"),
        ("sure_accuracy", detail["sure_accuracy"], "of these told right"),
    ]
    if twice := detail["labelled_twice"]:
        about = f"macro_f1 of the {twice['n']:,} held-out steps that were labelled twice"
        rows.append(("labelled_twice", twice["macro_f1"], about))
    for name, found in (
        ("annotators", detail["annotators"]),
        ("of them held out", detail["annotators_heldout"]),
    ):
        if found:
            about = f"of {found['n']:,} second labels are the one that stands"
            rows.append((name, found["share"], f"{about}, kappa {found['kappa']:.3f}"))
    for name, value, meaning in rows:
        table.add_row(name, _number(value), "", "", meaning)
    return table


def _factors(report: FactorReport) -> Table:
    """F1 of each factor, the worst first, and what it is most often taken for."""
    table = figures_table("factors", "factor", "F1", "steps", "taken for")
    order = sorted(
        range(len(report.factors)), key=lambda k: report.figures["f1"][report.factors[k].value]
    )
    for k in order:
        factor, row = report.factors[k], report.confusion[k]
        others = sorted((j for j in range(len(row)) if j != k and row[j]), key=lambda j: -row[j])
        taken = ", ".join(f"{report.factors[j].value} {row[j]}" for j in others[:2])
        f1 = _number(report.figures["f1"][factor.value])
        table.add_row(factor.value, f1, str(row.sum()), taken)
    return table


def _styles(detail: dict[str, Any]) -> Table:
    unseen = detail.get("unseen_styles", {})
    table = figures_table("styles", "style", "macro-F1", "steps", "never seen", "steps")
    for style, found in detail["styles"].items():
        new = unseen.get(style)
        told = (_number(new["macro_f1"]), str(new["n"])) if new else ("", "")
        table.add_row(style, _number(found["macro_f1"]), str(found["n"]), *told)
    table.caption = "of the factors that occur; never seen: trained without the style, on all of it"
    table.caption_justify = "left"
    return table


def _number(value: float | int | None) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
