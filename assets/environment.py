"""Variables of the environment, by which Dagster is told what the commands have options for."""

from typing import Final

OUT: Final = "DATAGEN_OUT"
"""Folder of the run; default: ``out``."""

CONFIG: Final = "DATAGEN_CONFIG"
"""Settings, a ``datagen.toml``; default: none."""
