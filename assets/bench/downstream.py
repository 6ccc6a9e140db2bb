"""``datagen bench downstream``: runs the benchmark, prints its tables, writes JSON and a plot."""

import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from datagen.bench.downstream import (
    QUICK,
    DownstreamReport,
    MeteredJournal,
    Plan,
    bench_downstream,
    plot_scaling,
)
from datagen.engines.registry import WEIGHTS

_WIDTH: Final = 130
_LEAST_GAIN: Final = 0.1
"""By so much our data must raise the share of right replies over the base."""

_STUDENTS: Final = (
    ("base", "base", None),
    ("SFT on rejection samples", "rejection_sft", "rejection_data"),
    ("SFT on ours", "ours_sft", "ours_data"),
    ("the same, then GRPO", "rl", None),
    ("SFT on the second round", "round2", "round2_data"),
)
_CHOICES: Final = (
    ("majority", "majority8", None),
    ("least surprise, no labels", "surprisal8", None),
    ("PRM, our labels", "prm8_ours", "ours"),
    ("PRM, Math-Shepherd", "prm8_shepherd", "shepherd"),
    ("PRM, OmegaPRM", "prm8_omega", "omega"),
)
_GAINS: Final = (
    ("ours over the base", "ours_sft_over_base", _LEAST_GAIN),
    ("ours over rejection sampling", "ours_sft_over_rejection", 0.0),
    ("PRM on ours over majority", "prm8_ours_over_majority", 0.0),
    ("PRM on ours over Math-Shepherd", "prm8_ours_over_shepherd", 0.0),
    ("PRM on ours over OmegaPRM", "prm8_ours_over_omega", 0.0),
    ("PRM on ours over least surprise", "prm8_ours_over_surprisal", 0.0),
    ("first round over the base", "round1_gain", 0.0),
    ("second round over the first", "round2_gain", 0.0),
)
"""What is compared, pairwise, and what the gain should be above."""


def run_downstream_bench(
    console: Console,
    *,
    out: Path,
    quick: bool,
    json_path: Path | None,
    plot_path: Path | None,
    plan: Plan | None = None,
) -> None:
    """Run and report.

    Args:
        console: where the tables go.
        out: folder for journal, checkpoints, ``downstream.json`` and ``scaling.png``.
        quick: the short run.
        json_path: a further file for the figures.
        plot_path: a further file for the scaling curve, a PNG.
        plan: sizes, if not those of ``quick``.
    """
    began = time.monotonic()

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    out.mkdir(parents=True, exist_ok=True)
    with MeteredJournal(out / "journal.sqlite") as journal:
        report = bench_downstream(
            journal,
            plan or (QUICK if quick else Plan()),
            checkpoint=WEIGHTS,
            out=out / "checkpoints",
            note=note,
        )
    report.detail["seconds"] = time.monotonic() - began
    found = {**report.figures, "scaling": list(report.scaling), "detail": report.detail}
    write_figures(found, out / "downstream.json", json_path)
    title = f"Embedded reasoner, {report.detail['n_questions']} unseen questions"
    for path in filter(None, (out / "scaling.png", plot_path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        plot_scaling(report.scaling, path, title=title)
    # A table that does not fit is cut to pieces; lines that are too long can still be read.
    wide = Console(file=console.file, width=max(console.width, _WIDTH))
    for table in (_students(report), _choices(report), _scaling(report), _gains(report)):
        wide.print()
        wide.print(table)
    told = f"\ndownstream.json and scaling.png are in {out}, and what the command can go on from"
    console.print(Text(told), soft_wrap=True)


def _students(report: DownstreamReport) -> Table:
    figures, detail = report.figures, report.detail
    n, seeds = detail["n_questions"], len(detail["seeds"])
    table = _table(
        f"Right answers to {n} unseen questions; trainings of each student: {seeds}",
        *("student", "T=1", "95 %", "greedy", "rows", "tokens generated"),
    )
    for label, name, data in _STUDENTS:
        if f"{name}_pass1" in figures:
            made = detail.get(data, {}) if data else {}
            table.add_row(
                label,
                f"{figures[f'{name}_pass1']:.1%}",
                _interval(figures, f"{name}_pass1"),
                f"{figures[f'{name}_greedy']:.1%}",
                f"{made['n_rows']:,}" if made else "",
                f"{made['n_tokens']:,}" if made else "",
            )
    return table


def _choices(report: DownstreamReport) -> Table:
    figures, detail = report.figures, report.detail
    table = _table(
        "One of eight replies of the base; first errors as ProcessBench counts them",
        *("chosen by", "right", "95 %", "F1", "95 %", "labelled", "exact", "tokens", "way"),
    )
    for label, name, labelling in _CHOICES:
        row: list[str] = [label, f"{figures[name]:.1%}", _interval(figures, name)]
        if labelling:
            row += [
                f"{100 * figures[f'f1_{labelling}']:.1f}",
                _interval(figures, f"f1_{labelling}"),
                f"{figures[f'label_traces_{labelling}']:,.0f}",
                f"{figures[f'label_exact_{labelling}']:.0%}",
                f"{figures[f'label_tokens_{labelling}']:,.0f}",
                detail[f"prm_{labelling}_rule"],
            ]
        table.add_row(*row)
    return table


def _scaling(report: DownstreamReport) -> Table:
    ns = sorted({row["n"] for row in report.scaling})
    table = _table("Right answers by the number of replies to choose from", "way", *map(str, ns))
    ways = list(dict.fromkeys(row["way"] for row in report.scaling))
    for way in ways:
        by_n = {row["n"]: row["accuracy"] for row in report.scaling if row["way"] == way}
        table.add_row(way, *(f"{by_n[n]:.1%}" for n in ns))
    return table


def _gains(report: DownstreamReport) -> Table:
    figures = report.figures
    table = _table("Gains, paired", "gain", "value", "95 %", "target", "met")
    for label, name, least in _GAINS:
        told = Text("yes") if figures[name] > least else Text("no", style="bold red")
        if figures[f"{name}_low"] <= least < figures[name]:
            told = Text("yes, not surely", style="yellow")
        value = f"{100 * figures[name]:+.1f} points"
        table.add_row(label, value, _interval(figures, name), f"> {100 * least:.0f}", told)
    return table


def _interval(figures: dict[str, float], name: str) -> str:
    return f"{100 * figures[f'{name}_low']:.1f} to {100 * figures[f'{name}_high']:.1f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
