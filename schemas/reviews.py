"""Contract of the ``reviews`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract

AnswerVerdict = Literal["right", "wrong", "unsure"]
"""What a person says of a trace's final answer."""

ReviewToolName = Literal["argilla", "jsonl"]
"""Where a person answered."""

ANSWER_VERDICTS: Final[tuple[AnswerVerdict, ...]] = get_args(AnswerVerdict)
REVIEW_TOOLS: Final[tuple[ReviewToolName, ...]] = get_args(ReviewToolName)

_UTC: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$"


def factor_choices() -> dy.List:
    """The column of thought factors that people name."""
    choice = dy.Struct(
        {
            "step_idx": dy.Int32(min=0, description="0-based index of the step."),
            "factor": dy.String(min_length=1, description="The thought factor that it performs."),
        }
    )
    return dy.List(choice, description="Thought factors as people name them; others stand.")


class Review(Contract):
    """What one person has submitted about one trace.

    One row = one submitted response. Primary key: ``review_id``.
    """

    table = "reviews"

    review_id = dy.String(
        primary_key=True, min_length=1, description="Of tool, record and user; it never changes."
    )
    item_id = dy.String(min_length=1, description="The item of the queue.")
    trace_id = dy.String(min_length=1, description="The trace.")
    annotator = dy.String(min_length=1, description="Who answered.")
    submitted_at = dy.String(regex=_UTC, description="When, ISO 8601 in UTC.")
    first_error = dy.Int32(
        nullable=True, min=-1, description="First wrong step; -1: none; null: not answered."
    )
    answer_verdict = Choice(
        ANSWER_VERDICTS, nullable=True, description="Of the final answer; null: not answered."
    )
    rating = dy.Int32(
        nullable=True, min=1, max=5, description="Quality of the trace, 5 best; null: not answered."
    )
    factors = factor_choices()
    corrected_step_idx = dy.Int32(
        nullable=True, min=0, description="0-based index of the step that is put right; null: none."
    )
    corrected_step = dy.String(nullable=True, min_length=1, description="What it should say.")
    comment = dy.String(description="Anything else; may be empty.")
    tool = Choice(REVIEW_TOOLS, description="Where it was answered.")

    @dy.rule()
    def corrected_step_has_a_place(cls) -> pl.Expr:
        """Both corrected_step and corrected_step_idx must be null, or neither."""
        return cls.corrected_step.col.is_null() == cls.corrected_step_idx.col.is_null()
