"""Contract of the ``processbench`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import seed_column
from schemas.contract import Contract


class ProcessBench(Contract):
    """Traces whose first wrong step is known, for measuring process reward models.

    The columns are those of ProcessBench (Zheng et al. 2024, arXiv 2412.06559), and ``seed_id``.
    One row = one trace. Primary key: ``id``.
    """

    table = "processbench"

    id = dy.String(primary_key=True, min_length=1, description="The trace_id.")
    generator = dy.String(
        min_length=1, description="Fingerprint of the engine that wrote it; else human or code."
    )
    problem = dy.String(min_length=1, description="The question.")
    steps = dy.List(dy.String(min_length=1), min_length=1, description="The steps, in order.")
    final_answer_correct = dy.Bool(description="Whether it ended right.")
    label = dy.Int64(min=-1, description="0-based index of the first wrong step; -1: none.")
    seed_id = seed_column()

    @dy.rule()
    def label_within_steps(cls) -> pl.Expr:
        """The label must be below the number of steps."""
        return cls.label.col < cls.steps.col.list.len().cast(pl.Int64)

    @dy.rule()
    def wrong_answer_has_a_wrong_step(cls) -> pl.Expr:
        """The label must be that of a step where final_answer_correct is false."""
        return cls.final_answer_correct.col | (cls.label.col >= 0)
