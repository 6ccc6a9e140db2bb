"""``datagen bench code``: runs the benchmark, prints figures beside their targets, writes JSON."""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from assets.bench.tables import figures_table
from datagen.bench.code import FIGURES, QUICK, CodeReport, Plan, bench_code
from datagen.config import Settings
from datagen.engines.registry import open_engine
from datagen.journal import Journal
from datagen.prompts.dialect import DIALECTS
from datagen.verify.sandbox import default_sandbox

_WIDTH: Final = 120
_HUMANEVAL_SHARE: Final = 55 / 60
_MEANINGS: Final = {
    "n_functions": "functions that training never saw",
    "verified_rate": "of thoughts that a model wrote, within the revisions",
    "claims_checked": "in verified thoughts, against runs recorded anew",
    "claims_contradicted": "of them",
    "sufficiency": "round trips with the thought, minus those without",
    "mutation_recall": "changed values that are found at their step",
    "mutation_false_alarm": "of sound thoughts, or of steps before a change",
    "humaneval_traced": "solutions of which a call was traced to its end",
    "humaneval_claims_ok": "of the narrator's claims hold",
    "sandbox_per_s": "test runs, each in its own processes, two at a time",
}


def run_code_bench(
    console: Console,
    settings: Settings,
    *,
    out: Path,
    quick: bool,
    n_functions: int | None,
    humaneval: Path | None,
    json_path: Path | None,
    plan: Plan | None = None,
) -> None:
    """Run and report.

    Args:
        console: where the tables go.
        settings: the engine, the sandbox, and how thoughts are written and checked.
        out: folder for the journal and ``code.json``.
        quick: the short run.
        n_functions: if not the plan's own number.
        humaneval: a file of HumanEval's format, if there is one.
        json_path: a further file for the figures.
        plan: sizes, if not those of ``quick``.
    """
    began = time.monotonic()
    plan = plan or (QUICK if quick else Plan())
    if n_functions is not None:
        plan = replace(plan, n_functions=n_functions)

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    settings.sandbox.configure()
    sandbox = default_sandbox()
    out.mkdir(parents=True, exist_ok=True)
    journal_path = out / "journal.sqlite"
    engine = open_engine(settings.engine)
    try:
        with Journal(journal_path) as journal:
            report = bench_code(
                engine,
                journal,
                sandbox,
                plan,
                config=settings.code.back_translation(DIALECTS[settings.engine.prompts]),
                humaneval=humaneval,
                note=note,
            )
    finally:
        engine.close()
    report.detail["seconds"] = time.monotonic() - began
    figures = {**report.figures, "detail": report.detail}
    write_figures(figures, out / "code.json", json_path)
    # A table that does not fit is cut to pieces; lines that are too long can still be read.
    _print(Console(file=console.file, width=max(console.width, _WIDTH)), report)
    told = f"\ncode.json is in {out}\njournal, for the same command to go on from: {journal_path}"
    console.print(Text(told), soft_wrap=True)


def targets(report: CodeReport) -> dict[str, tuple[str, bool | None]]:
    """What each figure should be, and whether it is; ``None`` where it was not measured."""
    figures, detail = report.figures, report.detail
    n_rows = detail["humaneval"]["n_rows"] if detail["humaneval"] else 60
    n_traced = math.ceil(_HUMANEVAL_SHARE * n_rows)
    bounds: dict[str, tuple[str, float | int | None, float, bool]] = {
        "verified_rate": ("≥ 0.70", figures["verified_rate"], 0.70, True),
        "claims_contradicted": ("0", figures["claims_contradicted"], 0, False),
        "mutation_recall": ("≥ 0.95", figures["mutation_recall"], 0.95, True),
        "mutation_false_alarm": ("≤ 0.01", figures["mutation_false_alarm"], 0.01, False),
        "humaneval_traced": (
            f"≥ {n_traced} of {n_rows}", figures["humaneval_traced"], n_traced, True,
        ),
        "humaneval_claims_ok": ("≥ 0.95", figures["humaneval_claims_ok"], 0.95, True),
        "sandbox_per_s": ("≥ 20", figures["sandbox_per_s"], 20, True),
    }  # fmt: skip
    met: dict[str, tuple[str, bool | None]] = {
        name: (text, None if value is None else value >= bound if at_least else value <= bound)
        for name, (text, value, bound, at_least) in bounds.items()
    }
    low = detail["sufficiency_low"]
    met["sufficiency"] = ("low end > 0", None if low is None else low > 0)
    if not figures["claims_checked"]:  # nothing said is nothing proved
        met["claims_contradicted"] = ("0", None)
    if detail["humaneval"] and detail["humaneval"]["claims"]["contradicted"]:
        met["humaneval_claims_ok"] = ("≥ 0.95, none false", False)
    return met


def _print(console: Console, report: CodeReport) -> None:
    intervals = {
        "verified_rate": report.detail["thoughts"]["verified"],
        "sufficiency": report.detail["thoughts"]["sufficiency"],
        "mutation_recall": report.detail["value_mutations"]["recall"],
    }
    aims = targets(report)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("figure", no_wrap=True)
    for name in ("value", "[95 %]", "target", "met"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("meaning", style="dim")
    for name in FIGURES:
        aim, met = aims.get(name, ("", None))
        meaning = _MEANINGS[name]
        if name.startswith("humaneval") and report.detail["humaneval"] is None:
            meaning = "not measured: --humaneval FILE, in HumanEval's format"
        table.add_row(
            name,
            _number(report.figures[name]),
            _interval(intervals.get(name)),
            aim,
            "" if met is None else "yes" if met else Text("no", style="bold red"),
            meaning,
        )
    console.print()
    console.print(table)
    console.print()
    console.print(_routes(report.detail))
    console.print()
    console.print(_errors(report.detail))


def _routes(detail: dict[str, Any]) -> Table:
    """Thoughts and their claims, by who wrote them."""
    routes = detail["thoughts"]["routes"]
    n_attempts = max((len(found["attempts"]) for found in routes.values()), default=1)
    revisions = [f"revision {idx}" for idx in range(1, n_attempts)]
    columns = ("first try", *revisions, "round trips", "without thought", "claims", "false")
    table = figures_table("thoughts", "route", *columns)
    for route, found in routes.items():
        claims = detail["claims"]["routes"].get(route)
        counts = [claims[kind] for kind in ("verified", "failed")] if claims else []
        table.add_row(
            route,
            *(_number(attempt["value"]) for attempt in found["attempts"]),
            _number(found["round_trips"]["value"]),
            _number(found["bare"]["value"]),
            *(" / ".join(str(c[name]) for c in counts) for name in ("checked", "contradicted")),
        )
    table.caption = "claims and false ones: in verified thoughts / in failed ones"
    table.caption_justify = "left"
    return table


def _errors(detail: dict[str, Any]) -> Table:
    """Planted errors, by who finds them."""
    operators = detail["operator_mutations"]
    found = {
        "value, by values at its step": detail["value_mutations"]["recall"],
        "operator, by values at its step": operators["by_values"],
        "operator, by the round trip": operators["by_round_trip"],
        "operator, by either": operators["by_either"],
    }
    table = figures_table("planted errors", "changed, found", "share", "[95 %]", "n")
    for name, one in found.items():
        if one is not None:
            table.add_row(name, _number(one["value"]), _interval(one), str(one["n"]))
    return table


def _interval(found: dict[str, Any] | None) -> str:
    if found is None or found["low"] is None:
        return ""
    return f"[{found['low']:.3f}, {found['high']:.3f}]"


def _number(value: float | int | None) -> str:
    if value is None:
        return "–"
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if value < 10 else f"{value:.1f}"
    )
