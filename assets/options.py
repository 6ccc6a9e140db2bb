"""Options that all commands about a run share, with the variables that Dagster reads, too."""

from pathlib import Path
from typing import Final

import click

OUT_VARIABLE: Final = "DATAGEN_OUT"
CONFIG_VARIABLE: Final = "DATAGEN_CONFIG"

out_option = click.option(
    "--out",
    envvar=OUT_VARIABLE,
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder of the run.",
)
config_option = click.option(
    "--config",
    envvar=CONFIG_VARIABLE,
    type=click.Path(path_type=Path),
    help="Settings, a datagen.toml.",
)
