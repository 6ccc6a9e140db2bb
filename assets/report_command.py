"""``datagen report``: writes the page of a finished run anew, without publishing anything.

What reads tables is imported by the command: ``--help`` should not wait for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datagen.config import Settings


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Of the run; `report.html` is written there.",
)
@click.option(
    "--config",
    envvar="DATAGEN_CONFIG",
    type=click.Path(path_type=Path),
    help="Settings, a datagen.toml.",
)
def report(out: Path, config: Path | None) -> None:
    """Write OUT/report.html: what the run made, what it cost, how far its labels can be trusted.

    The same page is a part of the published folder. It is one file that loads nothing.
    """
    from datagen.config import load_settings

    click.echo(f"Report: {write_report(out, load_settings(config))}")


def write_report(out: Path, settings: "Settings") -> Path:
    """Write the page of a run from its tables; those that it has not made yet count as empty.

    Args:
        out: the run's folder.
        settings: those of the run.

    Returns:
        The file.

    Raises:
        ConfigError: if there has been no run in this folder.
        PublishError: if what is published there is damaged.
    """
    from assets.console import read_table
    from assets.graph.publishing import BUNDLED_NOTE, TOY_NOTE
    from assets.parquet_io import table_path
    from datagen.config import BUNDLED, EMBEDDED
    from datagen.publish.manifest import MANIFEST, read_manifest
    from datagen.report import REPORT, REPORT_TABLES, RunReport

    read_table(out, "seeds")  # says what to do if there is no run
    made = [name for name in REPORT_TABLES if table_path(out, name).exists()]
    tables = {name: read_table(out, name) for name in made}
    published = out / "published"
    manifest = read_manifest(published) if (published / MANIFEST).exists() else None
    toy = settings.engine.model == EMBEDDED
    notes = {TOY_NOTE: toy, BUNDLED_NOTE: settings.seeds.path == BUNDLED}
    run = RunReport(
        tables,
        out=out,
        model="embedded reasoner" if toy else settings.engine.model,
        remarks=[note for note, holds in notes.items() if holds],
    )
    path = out / REPORT
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(run.page(manifest), encoding="utf-8", newline="\n")
    fresh.replace(path)
    return path
