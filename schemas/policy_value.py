"""Contract of the ``policy_value`` table."""

from typing import Any

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.vocabulary import OUTCOMES


class PolicyValue(Contract):
    """What a tree search found out about a state: targets for a policy and for a value.

    The policy is one over thought factors. One row = one state that the search went on from.
    Primary key: ``id``.
    """

    table = "policy_value"

    id = dy.String(primary_key=True, min_length=1, description="node_id of the state.")
    prefix_id = dy.String(min_length=1, description="The prefix that the search started from.")
    seed_id = dy.String(min_length=1, description="The seed of that prefix.")
    depth = dy.Int32(min=0, description="Steps below the root of the search.")
    question = dy.String(min_length=1, description="The question.")
    steps = dy.List(dy.String(), description="The steps so far, the prefix's own first.")
    factors = dy.List(dy.String(), description="Thought factor that each step performs.")
    prompt = dy.String(min_length=1, description="The state in thought-factor markup, unclosed.")
    legal_factors = dy.List(
        dy.String(), min_length=1, description="Factors that may follow, in taxonomy order."
    )
    prior = dy.List(
        dy.Float64(min=0, max=1), description="P(s,a) of each, before the search; sums to one."
    )
    visits = dy.List(dy.Int64(min=0), description="N(s,a) of each: how often the search took it.")
    pi = dy.List(dy.Float64(min=0, max=1), description="Policy target: each one's share of visits.")
    q = dy.List(
        dy.Float64(nullable=True, min=0, max=1),
        description="Q(s,a) of each: mean value backed up; null where it was never taken.",
    )
    n_visits = dy.Int64(min=2, description="N(s): the first look at the state and all visits.")
    value = dy.Float64(min=0, max=1, description="Value target V(s): mean value backed up here.")
    chosen_factor = dy.String(
        description="The factor taken most often; of equals the one of higher q, then prior."
    )
    segment = dy.String(description="The step that the search has for it.")
    outcome = Choice(
        OUTCOMES,
        nullable=True,
        description="How the trace ended that goes on by the factors taken most often; null if "
        "that could not be judged.",
    )
    taxonomy = dy.String(min_length=1, description="Version of the taxonomy of factors.")

    @dy.rule()
    def one_factor_per_step(cls) -> pl.Expr:
        """The lists factors and steps must have the same length."""
        return cls.factors.col.list.len() == cls.steps.col.list.len()

    @dy.rule()
    def one_entry_per_legal_factor(cls) -> pl.Expr:
        """Lists must have one length: legal_factors, prior, visits, pi and q."""
        n = cls.legal_factors.col.list.len()
        columns: tuple[Any, ...] = (cls.prior, cls.visits, cls.pi, cls.q)
        return pl.all_horizontal(column.col.list.len() == n for column in columns)

    @dy.rule()
    def prior_and_pi_sum_to_one(cls) -> pl.Expr:
        """The list prior must sum to one, and so must pi."""
        off = [(column.col.list.sum() - 1).abs() for column in (cls.prior, cls.pi)]
        return (off[0] < 1e-6) & (off[1] < 1e-9)

    @dy.rule()
    def visits_add_up(cls) -> pl.Expr:
        """The list visits must sum to n_visits less the first look."""
        return cls.visits.col.list.sum() + 1 == cls.n_visits.col

    @dy.rule()
    def chosen_factor_is_legal(cls) -> pl.Expr:
        """chosen_factor must be one of legal_factors."""
        return cls.legal_factors.col.list.contains(cls.chosen_factor.col)
