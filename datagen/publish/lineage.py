"""What a dataset card says of where the data came from: seeds, engine, settings, code.

The surprising fact: the seeds enter as counts and not as a table. The card needs no more, and a
table of seeds handed to the publisher would one day be published with the rest.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl


@dataclass(frozen=True, slots=True)
class SeedSource:
    """Seeds that were read from one place under one licence.

    Attributes:
        name: the source, as in table ``seeds``.
        license: its licence, an SPDX identifier where it has one.
        n_seeds: how many seeds came from it.
    """

    name: str
    license: str
    n_seeds: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a dataset came from.

    Attributes:
        engine: fingerprint of the engine, as in the tables.
        model: the model's name as a reader would look for it.
        settings: settings of search and labelling, in the order in which to show them.
        code_version: version and commit of the code that ran, see :func:`code_version`.
        sources: the seeds, see :func:`seed_sources`.
        created: when the data was made; leave it out where equal data must give equal bytes.
        notes: what a reader must know before using the data, each a paragraph of Markdown at the
            top of the card. That the embedded reasoner is a toy model belongs here.
        taxonomy: version of the thought factors in force, if the data has any.
        prompts: fingerprint of the dialect in which the model was asked, which changes with every
            word of every prompt.
    """

    engine: str
    model: str
    settings: Mapping[str, str | int | float]
    code_version: str
    sources: tuple[SeedSource, ...] = ()
    created: str | None = None
    notes: tuple[str, ...] = ()
    taxonomy: str | None = None
    prompts: str | None = None

    @property
    def licenses(self) -> dict[str, int]:
        """The seeds of each licence, in alphabetical order of the licences."""
        names = sorted({source.license for source in self.sources})
        return {
            name: sum(source.n_seeds for source in self.sources if source.license == name)
            for name in names
        }


def seed_sources(*tables: pl.DataFrame) -> tuple[SeedSource, ...]:
    """Count the seeds of each source and licence.

    Args:
        tables: ``seeds``, ``code_seeds``, or both.
    """
    seeds = pl.concat([table.select("source", "license") for table in tables])
    counts = seeds.group_by("source", "license").len().sort("source", "license")
    return tuple(SeedSource(*row) for row in counts.iter_rows())


def code_version() -> str:
    """Version of the package and, in a checkout, its commit, as ``datagen 0.1.0 (1a2b3c4d5e6f)``.

    The commit ends with ``-dirty`` if files differ from it.
    """
    return f"datagen {version('datagen')}" + (f" ({commit})" if (commit := _commit()) else "")


def _commit() -> str | None:
    package = Path(__file__).parents[1]
    # A package installed into another project's tree would be told that project's commit.
    if not (package.parent / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=package,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
