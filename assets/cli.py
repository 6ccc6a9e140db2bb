"""The ``datagen`` command.

``datagen run`` drives the same Dagster assets that the UI and the daemon do, in this process, with
its history kept in the output folder unless ``DAGSTER_HOME`` names another place.
"""

import os
import sys
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from assets.commands.options import config_option, out_option
from datagen.errors import DatagenError
from schemas import ContractError

try:
    from assets.bench import bench
    from assets.commands.journal import journal
    from assets.commands.publish import publish
    from assets.commands.report import report
    from assets.commands.review import review
    from assets.commands.shards import shards
    from datagen.config import Settings, load_settings
    from datagen.seeds import Format
except DatagenError as error:
    # A taxonomy of the user's own is read with the factors, before there is a command to run.
    sys.exit(f"error: {error}")

console = Console()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="datagen")
def cli() -> None:
    """Turn human chains of thought into verified, step-labelled reasoning datasets."""


def main() -> None:
    """Run the command; errors of ours become one line on stderr and exit status 1."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nStopped. Run the same command again to go on where it was.", err=True)
        sys.exit(130)
    except (DatagenError, ContractError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


@cli.command()
@click.option("--seeds", metavar="SOURCE", help="File, folder or Hub name; default: demo seeds.")
@click.option("--format", "seed_format", type=click.Choice(get_args(Format)), help="Its layout.")
@out_option
@config_option
@click.option("--limit", type=click.IntRange(min=1), help="Most seeds to read.")
@click.option("--model", metavar="MODEL", help="Model folder or Hub name; default: embedded.")
def run(
    seeds: str | None,
    seed_format: str | None,
    out: Path,
    config: Path | None,
    limit: int | None,
    model: str | None,
) -> None:
    """Make datasets from seeds. Interrupted, the same command goes on where it was."""
    settings = load_settings(
        config,
        seeds={"path": seeds, "format": seed_format, "limit": limit},
        engine={"model": model},
    )
    # Dagster and torch take seconds to import; nobody should wait for them to see --help.
    from assets.commands.console import RunDisplay, summary
    from assets.commands.materialize import materialize
    from assets.progress import listening

    # Dagster redirects standard output while a step runs; a copy of it stays with the terminal.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as terminal:
        screen = Console(file=terminal)
        with RunDisplay(screen) as display, listening(display):
            materialize(settings, out)
        screen.print(summary(out, settings, display))


@cli.command()
@click.argument("id")
@out_option
@click.option("--rollouts", is_flag=True, help="Print the texts of the rollouts too.")
def show(id: str, out: Path, rollouts: bool) -> None:
    """Draw a search tree, trace or thought. ID: of a seed, prefix, node, rollout, trace, task."""
    from assets.commands.console import load_tables
    from datagen.show import draw_tree

    console.print(draw_tree(load_tables(out), id, rollouts=rollouts))


@cli.command()
@out_option
def doctor(out: Path) -> None:
    """Say what this machine has, and what is missing."""
    from datagen.doctor import examine, render

    findings = examine(out)
    console.print(render(findings))
    if any(finding.status == "missing" for finding in findings):
        sys.exit(1)


cli.add_command(bench)
cli.add_command(journal)
cli.add_command(publish)
cli.add_command(report)
cli.add_command(review)
cli.add_command(shards)


@cli.command()
def config() -> None:
    """List every setting with its default."""
    table = Table("setting", "default", "meaning", box=None, header_style="bold")
    for name, default, meaning in Settings().table():
        table.add_row(name, default, meaning)
    console.print(table)
