"""Contract of the ``review_queue`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.corrections import STEP_ROLES
from schemas.vocabulary import OUTCOMES, STEP_CHECKS

ReviewKind = Literal["trace", "code", "correction"]
"""What is looked at: a trace, a thought about code, or a trace that mends its own error."""

ReviewReason = Literal["dispute", "disagreement", "uncertain", "impact", "random", "trap"]
"""Why it is in the queue: reviewers could not settle it; judges and rollouts disagree; nobody is
sure; many labels would change; chance alone; its truth is known, and the reviewer is measured."""

REVIEW_KINDS: Final[tuple[ReviewKind, ...]] = get_args(ReviewKind)
REVIEW_REASONS: Final[tuple[ReviewReason, ...]] = get_args(ReviewReason)

_ROUNDING: Final = 1e-6
"""How far a sum of probabilities may be from 1."""


class ReviewItem(Contract):
    """Traces that people should look at, best first, with all that a reviewer is shown.

    One row = one trace. Primary key: ``item_id``. A step is named by its 0-based index, and -1 says
    that no step is wrong. Nobody who reviews may see ``reason``, ``value`` or ``trap_first_error``,
    or a trap would be known for one.
    """

    table = "review_queue"

    item_id = dy.String(
        primary_key=True, min_length=1, description="The trace_id: its name in any review tool."
    )
    trace_id = dy.String(min_length=1, description="The trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question it answers.")
    kind = Choice(REVIEW_KINDS, description="What is looked at.")
    rank = dy.Int32(min=0, description="Place in the queue, 0 first.")
    value = dy.Float64(
        min=0, description="Labels that a review is expected to change, per step to be read."
    )
    reason = Choice(REVIEW_REASONS, description="Why it is in the queue.")
    stratum = dy.String(min_length=1, description="kind/outcome/length/difficulty.")
    n_wanted = dy.Int32(min=1, description="Reviewers wanted.")
    question = dy.String(min_length=1, description="The question.")
    gold = dy.String(description="The right answer.")
    answer = dy.String(nullable=True, description="The answer it ends with; null: none.")
    outcome = Choice(OUTCOMES, description="How the trace ended, by the verifier.")
    steps = dy.List(dy.String(), min_length=1, description="The steps, in order.")
    factors = dy.List(dy.String(), description="Thought factor that each step performs.")
    factor_doubts = dy.List(
        dy.Int32(min=0), description="Steps whose thought factor is in doubt, rising."
    )
    n_trials = dy.List(dy.Int64(min=0), description="Rollouts that went on from each step.")
    n_successes = dy.List(dy.Int64(min=0), description="How many of those ended right.")
    p_first_error = dy.List(
        dy.Float64(min=0),
        description="Belief that each step is the first wrong one; last: that none is.",
    )
    first_error = dy.Int32(min=-1, description="The pipeline's first wrong step; -1: none.")
    first_error_mass = dy.Float64(min=0, description="Its entry of p_first_error.")
    judge_first_error = dy.Int32(
        nullable=True, min=-1, description="The judges' first wrong step; null: undecided."
    )
    judge_text = dy.String(
        description="What the judges say, in words, with steps counted from 1; empty: nothing."
    )
    step_roles = dy.List(
        Choice(STEP_ROLES), description="Of a correction: what each step is for; else empty."
    )
    step_checks = dy.List(
        Choice(STEP_CHECKS),
        description="Of a thought about code: what a run says of each step; else empty.",
    )
    trap_first_error = dy.Int32(
        nullable=True, min=-1, description="Of a trap: its true first error; null: no trap."
    )
    decisions_before = dy.List(
        dy.String(min_length=1),
        description="Of a dispute: who said what, in words, with steps counted from 1, for a "
        "senior's eyes; else empty.",
    )

    @dy.rule()
    def item_is_the_trace(cls) -> pl.Expr:
        """item_id must be trace_id."""
        return cls.item_id.col == cls.trace_id.col

    @dy.rule()
    def one_entry_per_step(cls) -> pl.Expr:
        """Lists must have one length: steps, factors, n_trials, n_successes."""
        n_steps = cls.steps.col.list.len()
        lists = (cls.factors.col, cls.n_trials.col, cls.n_successes.col)
        return pl.all_horizontal(column.list.len() == n_steps for column in lists)

    @dy.rule()
    def one_role_and_check_per_step_or_none(cls) -> pl.Expr:
        """step_roles of a correction, step_checks of code: one per step, else empty."""
        n_steps = cls.steps.col.list.len()
        wanted = {"correction": cls.step_roles.col, "code": cls.step_checks.col}
        return pl.all_horizontal(
            column.list.len() == pl.when(cls.kind.col == kind).then(n_steps).otherwise(0)
            for kind, column in wanted.items()
        )

    @dy.rule()
    def one_probability_per_step_and_one_for_none(cls) -> pl.Expr:
        """p_first_error must have one entry more than steps, and sum to 1 up to 1e-6."""
        p = cls.p_first_error.col.list
        return (p.len() == cls.steps.col.list.len() + 1) & ((p.sum() - 1).abs() <= _ROUNDING)

    @dy.rule()
    def first_error_mass_is_its_entry(cls) -> pl.Expr:
        """first_error_mass must be the entry of first_error in p_first_error, up to 1e-6."""
        # -1 is the last entry here as it is there.
        own = cls.p_first_error.col.list.get(cls.first_error.col, null_on_oob=True)
        return (own - cls.first_error_mass.col).abs().fill_null(1.0) <= _ROUNDING

    @dy.rule()
    def steps_exist(cls) -> pl.Expr:
        """Any step that is named must be below the number of steps."""
        named = (
            cls.first_error.col,
            cls.judge_first_error.col,
            cls.trap_first_error.col,
            cls.factor_doubts.col.list.max(),
        )
        n_steps = cls.steps.col.list.len().cast(pl.Int64)
        return pl.all_horizontal((idx < n_steps).fill_null(True) for idx in named)

    @dy.rule()
    def only_traps_have_a_known_truth(cls) -> pl.Expr:
        """trap_first_error must be given if reason is trap, and only then."""
        return cls.trap_first_error.col.is_not_null() == (cls.reason.col == "trap")

    @dy.rule()
    def only_disputes_were_decided_on_before(cls) -> pl.Expr:
        """decisions_before must be empty unless reason is dispute."""
        return (cls.decisions_before.col.list.len() == 0) | (cls.reason.col == "dispute")
