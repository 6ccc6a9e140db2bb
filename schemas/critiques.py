"""Contract of the ``critiques`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract

JudgeName = Literal["checker", "native_critique", "instruct_critique"]
"""Who judges: exact arithmetic, or a model asked in its own markup or in plain words."""

JUDGES: Final[tuple[JudgeName, ...]] = get_args(JudgeName)


class Critique(Contract):
    """Opinions on where traces first go wrong.

    One row = one vote of one judge on one trace. Primary key: ``trace_id``, ``judge``,
    ``vote_idx``.
    """

    table = "critiques"

    trace_id = dy.String(primary_key=True, min_length=1, description="The trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question the trace answers.")
    judge = Choice(JUDGES, primary_key=True, description="Who judges.")
    vote_idx = dy.Int32(
        primary_key=True, min=0, description="0-based index among this judge's votes on the trace."
    )
    first_error = dy.Int32(
        nullable=True,
        min=-1,
        description="Index of the first wrong step; -1: none; null: the judge cannot say.",
    )
    quote = dy.String(description="Text of that step as the judge quotes it; else empty.")
    reason = dy.String(description="Why, in the judge's words.")
    n_tokens = dy.Int64(min=0, description="Tokens generated.")
    completion_key = dy.String(
        nullable=True, description="Journal key of the critique; null where no model was asked."
    )
    engine = dy.String(
        nullable=True, description="Fingerprint of the engine; null where no model was asked."
    )

    @dy.rule()
    def quote_is_of_a_step(cls) -> pl.Expr:
        """A quote must be empty unless first_error names a step."""
        return (cls.quote.col == "") | (cls.first_error.col.fill_null(-1) >= 0)

    @dy.rule()
    def engine_and_completion_go_together(cls) -> pl.Expr:
        """Both engine and completion_key must be null, or neither."""
        return cls.engine.col.is_null() == cls.completion_key.col.is_null()
