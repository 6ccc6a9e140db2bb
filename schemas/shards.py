"""Contract of the ``shards`` table."""

from typing import Final, Literal, get_args

import dataframely as dy

from schemas.columns import Choice
from schemas.contract import Contract

SeedKind = Literal["seeds", "code"]
"""What a source holds: questions with human thoughts, or functions with tests."""

SEED_KINDS: Final[tuple[SeedKind, ...]] = get_args(SeedKind)


class Shard(Contract):
    """The parts in which seeds arrived; each is made into data by itself, and can fail by itself.

    One row = one shard. Primary key: ``shard``.
    """

    table = "shards"

    shard = dy.String(
        primary_key=True, min_length=1, description="Its name: partition of Dagster, and folder."
    )
    kind = Choice(SEED_KINDS, description="What its source holds.")
    source = dy.String(min_length=1, description="Where it was read from: a file or a Hub name.")
    revision = dy.String(
        description="Of the source: commit of the Hub, or size and time of a file."
    )
    first_row = dy.Int64(min=0, description="0-based row of the source that is its first.")
    n_rows = dy.Int64(
        nullable=True, min=1, description="Rows, readable or not; null: a folder of modules."
    )
    digest = dy.String(min_length=1, description="SHA-256 of its rows, as they were taken in.")
