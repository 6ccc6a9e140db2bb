"""``datagen bench engine``: runs the benchmark, prints its tables, writes JSON."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assets.bench.figures import write_figures
from datagen.bench.engine import EngineKind, Plan, bench_engine, engine_settings, plan_for
from datagen.bench.shapes import Shape

_WIDTH = 120
_MEANINGS = {
    "saturation": "pipeline, per token that the engine writes without it",
    "speedup_vs_serial": "pipeline, over one problem at a time",
    "prefix_hit_rate": "prompt tokens that were not read anew",
    "pipeline_tokens_per_s": "search, verification, journal and tables included",
    "raw_tokens_per_s": "the same requests put straight to the engine",
    "serial_tokens_per_s": "one problem at a time",
    "outside_engine_share": "wall time of the pipeline in which the engine was not asked",
    "engine_tokens_per_s_same_prompts": "one batch by the engine",
    "default_generate_tokens_per_s": "the same by transformers' generate",
    "default_generate_gross_tokens_per_s": "padding behind ended rows counted too",
    "speedup_vs_generate": "the engine over generate",
    "matmul_limit_tokens_per_s": "if nothing but matrix products took time",
    "share_of_matmul_limit": "of it that the engine reaches",
    "seconds_per_seed_growth": "seconds per seed, of many seeds over few",
    "cpu_per_seed_growth": "processor time likewise",
    "memory_growth": "peak memory likewise",
    "growth_seeds": "how many are many",
    "growth_seconds_per_seed": "of many, without a model",
    "growth_tokens_per_seed": "of the toy policy that answers instead",
    "growth_peak_mib": "of many",
    "n_seeds": "problems",
    "n_serial_seeds": "problems of the serial run",
    "batch_size": "requests in a call",
    "concurrency": "calls at once",
}


def run_engine_bench(
    console: Console,
    *,
    out: Path,
    kind: EngineKind,
    shape: Shape | None,
    quick: bool,
    json_path: Path | None,
    plan: Plan | None = None,
) -> None:
    """Run and report.

    Args:
        console: where the tables go.
        out: folder for ``engine.json``, and for journals while they are needed.
        kind: the engine.
        shape: a model without weights, in place of the embedded reasoner.
        quick: the short run.
        json_path: a further file for the figures.
        plan: sizes, if not those of the kind and ``quick``.
    """
    began = time.monotonic()

    def note(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:6.0f} s  {text}", style="dim"))

    out.mkdir(parents=True, exist_ok=True)
    settings = engine_settings(kind, shape=shape, folder=out)
    plan = plan or plan_for(kind, shape=shape, quick=quick)
    figures = bench_engine(settings, plan, out, note=note)
    figures["seconds"] = round(time.monotonic() - began, 1)
    write_figures(figures, out / "engine.json", json_path)
    # A table that does not fit is cut to pieces; lines that are too long can still be read.
    _print(Console(file=console.file, width=max(console.width, _WIDTH)), figures)
    console.print(Text(f"\nengine.json is in {out}"))


def _print(console: Console, figures: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for name, meaning in _MEANINGS.items():
        if figures[name] is not None:
            table.add_row(name, _number(figures[name]), meaning)
    console.print()
    console.print(table)
    if figures["profile"]:
        parts = Table(title="where a batch spends its time", title_justify="left", box=None)
        parts.add_column("part", no_wrap=True)
        parts.add_column("share", justify="right")
        for part, share in figures["profile"].items():
            parts.add_row(part, f"{share:.1%}")
        console.print()
        console.print(parts)
    machine, versions = figures["machine"], figures["versions"]
    told = [machine["gpu"], machine["cpu"], f"{machine['cores']} cores"]
    told += [f"{machine['threads']} threads", *(f"{n} {v}" for n, v in versions.items())]
    console.print(Text("\n" + ", ".join(filter(None, told)), style="dim"))


def _number(value: float) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.0f}"
        if value > 99
        else f"{value:.3g}"
    )
