"""Contract of the ``decisions`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.reviews import ANSWER_VERDICTS, factor_choices

DecisionStatus = Literal["decided", "disputed"]
"""Whether the reviewers of a trace have come to one first error."""

DecidedBy = Literal["majority", "senior", "single"]
"""Whose word it was: that of more than half, a senior's in a tie, or that of the only reviewer."""

DECISION_STATUSES: Final[tuple[DecisionStatus, ...]] = get_args(DecisionStatus)
DECIDERS: Final[tuple[DecidedBy, ...]] = get_args(DecidedBy)


class Decision(Contract):
    """What people say of a trace together, and what was believed before they did.

    One row = one trace with enough reviews. Primary key: ``trace_id``. A trap has a row as well,
    which changes no label.
    """

    table = "decisions"

    trace_id = dy.String(primary_key=True, min_length=1, description="The trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question it answers.")
    first_error = dy.Int32(
        nullable=True, min=-1, description="First wrong step; -1: none; null: disputed."
    )
    answer_verdict = Choice(
        ANSWER_VERDICTS, nullable=True, description="Of the final answer; null: none or disputed."
    )
    status = Choice(DECISION_STATUSES, description="Whether there is one first error.")
    decided_by = Choice(DECIDERS, nullable=True, description="Whose word it is; null: disputed.")
    n_reviews = dy.Int32(min=1, description="People who named a first error, or none.")
    n_agreeing = dy.Int32(min=0, description="How many of them named this one; disputed: 0.")
    annotators = dy.List(dy.String(min_length=1), description="Who they are, by time.")
    answers = dy.List(dy.Int32(min=-1), description="The first error that each of them named.")
    factors = factor_choices()
    corrected_step_idx = dy.Int32(
        nullable=True, min=0, description="0-based index of the step that is put right; null: none."
    )
    corrected_step = dy.String(
        nullable=True, min_length=1, description="What it should say, by one who agrees."
    )
    believed_first_error = dy.Int32(
        min=-1, description="The pipeline's first wrong step when the trace was put in the queue."
    )
    is_random = dy.Bool(description="Whether it is of the random sample of all traces.")
    trap_first_error = dy.Int32(
        nullable=True, min=-1, description="Of a trap: its true first error; null: no trap."
    )

    @dy.rule()
    def decided_unless_disputed(cls) -> pl.Expr:
        """first_error and decided_by must be null while disputed, and only then."""
        is_open = cls.status.col == "disputed"
        given = (cls.first_error.col, cls.decided_by.col)
        return pl.all_horizontal(column.is_null() == is_open for column in given)

    @dy.rule()
    def one_answer_per_annotator(cls) -> pl.Expr:
        """Annotators must be n_reviews different people, with one answer each."""
        names, n = cls.annotators.col.list, cls.n_reviews.col
        counts = (names.len(), names.n_unique(), cls.answers.col.list.len())
        return pl.all_horizontal(count.cast(pl.Int32) == n for count in counts)

    @dy.rule()
    def n_agreeing_counts_the_answers(cls) -> pl.Expr:
        """n_agreeing must be the number of answers that are first_error."""
        same = (cls.answers.col - cls.first_error.col).list.count_matches(0).cast(pl.Int32)
        return cls.n_agreeing.col == pl.when(cls.status.col == "decided").then(same).otherwise(0)

    @dy.rule()
    def corrected_step_has_a_place(cls) -> pl.Expr:
        """Both corrected_step and corrected_step_idx must be null, or neither."""
        return cls.corrected_step.col.is_null() == cls.corrected_step_idx.col.is_null()
