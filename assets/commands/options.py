"""Options that all commands about a run share, with the variables that Dagster reads, too."""

from pathlib import Path

import click

from assets import environment

out_option = click.option(
    "--out",
    envvar=environment.OUT,
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder of the run.",
)
config_option = click.option(
    "--config",
    envvar=environment.CONFIG,
    type=click.Path(path_type=Path),
    help="Settings, a datagen.toml.",
)
