"""``datagen report``: writes the page of a finished run anew, without publishing anything.

What reads tables is imported by the command: ``--help`` should not wait for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assets.commands.options import config_option, out_option

if TYPE_CHECKING:
    from datagen.config import Settings


@click.command()
@out_option
@config_option
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
    from assets.commands.console import read_table
    from assets.graph.publishing import run_report
    from datagen.publish.manifest import MANIFEST, read_manifest
    from datagen.report import REPORT

    read_table(out, "seeds")  # says what to do if there is no run
    published = out / "published"
    manifest = read_manifest(published) if (published / MANIFEST).exists() else None
    path = out / REPORT
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(run_report(out, settings).page(manifest), encoding="utf-8", newline="\n")
    fresh.replace(path)
    return path
