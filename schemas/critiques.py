"""Contract of the ``critiques`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract

JudgeName = Literal["checker", "native_critique", "instruct_critique"]
"""Who judges: exact arithmetic, or a model asked in its own markup or in plain words."""

StepVerdict = Literal["holds", "repaired", "wrong"]
"""What a judge says of one step; *repaired* is wrong, but put right by a later step."""

JUDGES: Final[tuple[JudgeName, ...]] = get_args(JudgeName)
STEP_VERDICTS: Final[tuple[StepVerdict, ...]] = get_args(StepVerdict)


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
    text = dy.String(description="All that a model wrote; empty where none was asked.")
    remarks = dy.List(
        dy.Struct(
            {
                "step_idx": dy.Int32(min=0, description="0-based index of the step."),
                "analysis": dy.String(min_length=1, description="What the judge says of it."),
                "verdict": Choice(STEP_VERDICTS, description="Whether the step stands."),
            }
        ),
        description="The critique step by step; empty where it cannot be read so.",
    )
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

    @dy.rule()
    def remarks_in_the_order_of_steps(cls) -> pl.Expr:
        """The step_idx of remarks must count 0, 1, 2, … up to first_error, where that is a step."""
        idx = cls.remarks.col.list.eval(pl.element().struct.field("step_idx"))
        n_remarks = cls.remarks.col.list.len().cast(pl.Int32)
        counts = idx == pl.int_ranges(0, n_remarks, dtype=pl.Int32)
        to_the_error = n_remarks == cls.first_error.col.fill_null(-1) + 1
        ends = to_the_error | (cls.first_error.col.fill_null(-1) < 0)
        return (n_remarks == 0) | (counts & ends)
