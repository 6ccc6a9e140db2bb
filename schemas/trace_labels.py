"""Contract of the ``trace_labels`` table."""

from typing import Final

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.vocabulary import OUTCOMES

_ROUNDING: Final = 1e-6
"""How far a sum of probabilities may be from 1."""


class TraceLabel(Contract):
    """Where each trace first goes wrong: what rollouts, judges and people say, and if they agree.

    One row = one trace. Primary key: ``trace_id``. A step is named by its 0-based index, and -1
    says that no step is wrong.
    """

    table = "trace_labels"

    trace_id = dy.String(primary_key=True, min_length=1, description="The trace.")
    seed_id = dy.String(min_length=1, description="The seed whose question it answers.")
    outcome = Choice(OUTCOMES, description="How the trace ended.")
    n_steps = dy.Int32(min=0, description="Steps of the trace.")
    n_rollouts = dy.Int64(min=0, description="Rollouts that are trials for this trace.")
    n_tokens = dy.Int64(min=0, description="Tokens generated for those rollouts.")
    first_error = dy.Int32(
        min=-1, description="First wrong step: people's, else the most probable; -1: none."
    )
    first_error_mass = dy.Float64(min=0, description="Its probability, given the rollouts alone.")
    no_error_mass = dy.Float64(min=0, description="Probability that no step is wrong.")
    p_first_error = dy.List(
        dy.Float64(min=0),
        description="Probability of each step to be the first wrong one; last: that none is.",
    )
    judge_first_error = dy.Int32(
        nullable=True,
        min=-1,
        description="First wrong step by the judges; -1: none; null: they are undecided.",
    )
    judge_share = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Share of the votes that say so; null without a verdict.",
    )
    n_votes = dy.Int64(min=0, description="Votes that were counted.")
    agrees = dy.Bool(
        nullable=True, description="Whether judges say first_error too; null without a verdict."
    )
    verified = dy.Bool(
        description="Whether people decided, or judges agree and the rollouts are sure enough."
    )
    review_rank = dy.Int32(
        nullable=True, min=0, description="Place in the queue for people, 0 first; null: verified."
    )
    human_first_error = dy.Int32(
        nullable=True, min=-1, description="What people decided; -1: none; null: they have not."
    )
    n_reviews = dy.Int32(
        nullable=True, min=1, description="How many of them looked at it; null: not decided."
    )

    @dy.rule()
    def one_probability_per_step_and_one_for_none(cls) -> pl.Expr:
        """p_first_error must have n_steps + 1 entries."""
        return cls.p_first_error.col.list.len().cast(pl.Int64) == cls.n_steps.col + 1

    @dy.rule()
    def p_first_error_sums_to_one(cls) -> pl.Expr:
        """The entries of p_first_error must sum to 1, up to 1e-6."""
        return (cls.p_first_error.col.list.sum() - 1).abs() <= _ROUNDING

    @dy.rule()
    def masses_are_entries_of_p_first_error(cls) -> pl.Expr:
        """first_error_mass and no_error_mass must be their entries of p_first_error, up to 1e-6."""
        p, first = cls.p_first_error.col, cls.first_error.col
        # -1 is the last entry here as it is there.
        own = p.list.get(first, null_on_oob=True) - cls.first_error_mass.col
        none = p.list.get(-1, null_on_oob=True) - cls.no_error_mass.col
        return (own.abs() <= _ROUNDING) & (none.abs() <= _ROUNDING)

    @dy.rule()
    def first_errors_within_steps(cls) -> pl.Expr:
        """first_error and judge_first_error must be below n_steps."""
        judged = (cls.judge_first_error.col < cls.n_steps.col).fill_null(True)
        return (cls.first_error.col < cls.n_steps.col) & judged

    @dy.rule()
    def judge_share_with_a_verdict(cls) -> pl.Expr:
        """judge_share must be null where judge_first_error is, and only there."""
        return cls.judge_share.col.is_null() == cls.judge_first_error.col.is_null()

    @dy.rule()
    def agrees_compares_the_two(cls) -> pl.Expr:
        """Agrees must say whether judge_first_error equals first_error, and be null without it."""
        equal = cls.judge_first_error.col == cls.first_error.col
        return cls.agrees.col.eq_missing(equal)

    @dy.rule()
    def verified_only_if_agreed_or_decided(cls) -> pl.Expr:
        """Verified needs agrees to be true, or a decision by people, which always verifies."""
        decided = cls.human_first_error.col.is_not_null()
        agreed = cls.agrees.col.fill_null(False)
        return pl.when(cls.verified.col).then(agreed | decided).otherwise(~decided)

    @dy.rule()
    def people_come_first(cls) -> pl.Expr:
        """first_error must be human_first_error where people decided; n_reviews is given there."""
        said = cls.human_first_error.col
        counted = said.is_null() == cls.n_reviews.col.is_null()
        return counted & (said == cls.first_error.col).fill_null(True)

    @dy.rule()
    def review_rank_unless_verified(cls) -> pl.Expr:
        """review_rank must be null where verified is true, and only there."""
        return cls.review_rank.col.is_null() == cls.verified.col
