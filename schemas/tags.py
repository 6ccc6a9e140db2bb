"""Contract of the ``tags`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract

Tagger = Literal["native", "classifier", "model", "human", "none"]
"""Who named a step's thought factor: whoever wrote the step, a classifier, a language model, people
who reviewed it, or nobody."""

TAGGERS: Final[tuple[Tagger, ...]] = get_args(Tagger)


class Tag(Contract):
    """Which thought factor each step performs, who says so and how surely, and what it builds on.

    One row = one step of one trace. Primary key: ``trace_id``, ``step_idx``.
    """

    table = "tags"

    trace_id = dy.String(primary_key=True, min_length=1, description="The trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question the trace answers.")
    step_idx = dy.Int32(primary_key=True, min=0, description="0-based index of the step.")
    text = dy.String(description="Text of the step.")
    factor = dy.String(description="The most probable thought factor.")
    probability = dy.Float64(
        min=0,
        max=1,
        description="Its probability; 1 where a person or whoever wrote the step says so.",
    )
    runner_up = dy.String(nullable=True, description="The next most probable one, if there is.")
    tagger = Choice(TAGGERS, description="Who says so.")
    needs_review = dy.Bool(description="Whether it is too unsure to be used unseen.")
    depends_on = dy.List(
        dy.Int32(min=-1),
        description="Earlier steps whose values or names it uses, rising; -1 is the question.",
    )
    taxonomy = dy.String(description="Version of the taxonomy.")

    @dy.rule()
    def depends_on_what_came_before(cls) -> pl.Expr:
        """Entries of depends_on must be below step_idx."""
        return (cls.depends_on.col.list.max() < cls.step_idx.col).fill_null(True)
