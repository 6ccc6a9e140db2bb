"""``datagen journal``: examines, repairs, compacts and exports what a run has paid for.

What needs pyarrow is imported by the command that needs it: ``--help`` should not wait for it.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from datagen.journal.examine import Report

_PATH = click.Path(path_type=Path)
_NAME = "journal.sqlite"

console = Console()


@click.group()
def journal() -> None:
    """Examine, repair, compact or export a journal. PATH: its file, or a run's folder."""


@journal.command()
@click.argument("path", type=_PATH)
@click.option("--repair", "mend", is_flag=True, help="Save every good entry into a fresh file.")
def verify(path: Path, mend: bool) -> None:
    """Check every page, entry and segment. Exit status 1 if anything is damaged."""
    from datagen.journal.examine import verify

    path = _file(path)
    report = verify(path)
    _print(report)
    if report.ok:
        return
    if not mend:
        console.print("Damaged. `--repair` saves every good entry into a fresh file.")
        sys.exit(1)
    from datagen.journal.repair import repair

    done = repair(path)
    console.print(
        f"Saved {done.n_kept:,} entries into a fresh file. The damaged one is now "
        f"{escape(str(done.moved_to))}; what is lost will be generated again.",
        soft_wrap=True,
    )
    if done.n_stripped:
        console.print(f"Of {done.n_stripped:,} entries the prompt is lost, and the answer is good.")


@journal.command()
@click.argument("path", type=_PATH)
def compact(path: Path) -> None:
    """Move all answers into a Parquet file beside the journal, to save space."""
    from datagen.journal.compaction import compact

    done = compact(_file(path))
    if done.path is None:
        console.print("Nothing to move: all answers are in segments already.")
        return
    console.print(
        f"Moved {done.n_moved:,} entries into {escape(str(done.path))} "
        f"({_megabytes(done.n_bytes)}); freed {_megabytes(done.n_freed)}.",
        soft_wrap=True,
    )


@journal.command()
@click.argument("path", type=_PATH)
@click.argument("out", type=_PATH)
def export(path: Path, out: Path) -> None:
    """Write all completions with their prompts and settings to OUT, a Parquet file."""
    from datagen.journal.export import export_completions

    n_rows = export_completions(_file(path), out)
    console.print(f"Wrote {n_rows:,} completions to {escape(str(out))}.", soft_wrap=True)


def _file(path: Path) -> Path:
    """The journal that a path names."""
    return path / _NAME if path.is_dir() else path


def _print(report: "Report") -> None:
    table = Table(box=None, header_style="bold")
    table.add_column("engine", overflow="fold")
    table.add_column("kind")
    for name in ("entries", "tokens"):
        table.add_column(name, justify="right")
    for count in report.counts:
        engine = "unknown" if count.fingerprint is None else escape(_showable(count.fingerprint))
        table.add_row(engine, count.kind, f"{count.n_entries:,}", f"{count.n_tokens:,}")
    table.add_row("[bold]all[/]", "", f"{report.n_entries:,}", f"{report.n_tokens:,}")
    console.print(table)
    console.print(
        f"{escape(report.path)}: format {report.version}, {_megabytes(report.n_bytes)}, "
        f"{report.n_segments} segments, {report.n_damaged or 'no'} damage",
        soft_wrap=True,
    )
    for damage in report.damage:
        console.print(f"  [red]{escape(damage)}[/]", soft_wrap=True)
    if report.n_damaged > len(report.damage):
        console.print(f"  and {report.n_damaged - len(report.damage):,} more")


def _showable(text: str) -> str:
    """Text that any terminal can show, lone surrogates included."""
    return text.encode("utf-8", "backslashreplace").decode()


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
