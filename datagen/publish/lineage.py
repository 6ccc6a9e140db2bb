"""What a dataset card says of where the data came from: seeds, engine, settings, code.

The surprising fact: the seeds enter as counts and not as a table. The card needs no more, and a
table of seeds handed to the publisher would one day be published with the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
        code_version: version or commit of the code that ran.
        sources: the seeds, see :func:`seed_sources`.
        created: when the data was made; leave it out where equal data must give equal bytes.
        notes: what a reader must know before using the data, each a paragraph of Markdown at the
            top of the card. That the embedded reasoner is a toy model belongs here.
        taxonomy: version of the thought factors in force, if the data has any.
    """

    engine: str
    model: str
    settings: Mapping[str, str | int | float]
    code_version: str
    sources: tuple[SeedSource, ...] = ()
    created: str | None = None
    notes: tuple[str, ...] = ()
    taxonomy: str | None = None

    @property
    def licenses(self) -> tuple[str, ...]:
        """The licences of the seeds, each once, in alphabetical order."""
        return tuple(sorted({source.license for source in self.sources}))


def seed_sources(*tables: pl.DataFrame) -> tuple[SeedSource, ...]:
    """Count the seeds of each source and licence.

    Args:
        tables: ``seeds``, ``code_seeds``, or both.
    """
    seeds = pl.concat([table.select("source", "license") for table in tables])
    counts = seeds.group_by("source", "license").len().sort("source", "license")
    return tuple(SeedSource(*row) for row in counts.iter_rows())
