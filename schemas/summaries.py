"""Contract of the ``summaries`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract

SummaryWriter = Literal["model", "extract"]
"""Who writes a summary: a model that is asked, or rules that pick words out of the steps."""

SUMMARY_WRITERS: Final[tuple[SummaryWriter, ...]] = get_args(SummaryWriter)


class Summary(Contract):
    """Short summaries of hidden thoughts, to be shown between the thought and the answer.

    One row = one correct trace, whether or not a summary of it passed the checks. Primary key:
    ``trace_id``.
    """

    table = "summaries"

    trace_id = dy.String(primary_key=True, min_length=1, description="The trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question the trace answers.")
    summary = dy.String(
        nullable=True, min_length=1, description="The summary; null if each attempt was refused."
    )
    writer = Choice(SUMMARY_WRITERS, description="A model, or extract: rules, no model.")
    n_attempts = dy.Int32(min=0, description="How often a model was asked; 0 for extracts.")
    reason = dy.String(
        nullable=True, description="Why the last attempt was refused; null with a summary."
    )
    completion_key = dy.String(
        nullable=True, description="Journal key of the summary; null where no model wrote it."
    )
    engine = dy.String(
        nullable=True, description="Fingerprint of the engine; null where no model was asked."
    )

    @dy.rule()
    def summary_or_reason(cls) -> pl.Expr:
        """Exactly one of summary and reason must be null."""
        return cls.summary.col.is_null() != cls.reason.col.is_null()

    @dy.rule()
    def only_a_model_is_asked(cls) -> pl.Expr:
        """An extract must have n_attempts of 0 and no engine, a model's summary must have both."""
        asked = cls.writer.col == "model"
        return ((cls.n_attempts.col > 0) == asked) & (cls.engine.col.is_not_null() == asked)

    @dy.rule()
    def completion_of_a_models_summary(cls) -> pl.Expr:
        """The completion_key must be there for a summary that a model wrote, and only then."""
        written = cls.summary.col.is_not_null() & (cls.writer.col == "model")
        return cls.completion_key.col.is_not_null() == written
