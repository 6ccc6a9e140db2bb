"""Contract of the ``quarantine`` table."""

import dataframely as dy

from schemas.contract import Contract


class Quarantine(Contract):
    """Seed rows that were refused, each with the reason, so that a person can mend the source.

    One row = one field of a source row that could not be used. No primary key: a source row is
    listed once per reason.
    """

    table = "quarantine"

    source = dy.String(description="Where the row was read from.")
    row_idx = dy.Int64(min=0, description="0-based position of the row in its source.")
    seed_id = dy.String(
        nullable=True, description="The row's seed_id, where it has a readable one."
    )
    field = dy.String(description="The field at fault; empty where it is the row as a whole.")
    reason = dy.String(min_length=1, description="What is wrong with it, in a sentence.")
    preview = dy.String(description="The beginning of the offending value.")
