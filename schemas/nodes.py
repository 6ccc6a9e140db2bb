"""Contract of the ``nodes`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.vocabulary import OUTCOMES


class Node(Contract):
    """Search trees, with the siblings that were proposed and not taken.

    One row = one state of one search tree: the step that leads there and what the search found out
    about it. Primary key: ``node_id``.
    """

    table = "nodes"

    node_id = dy.String(primary_key=True, min_length=1, description="Identifies the node.")
    prefix_id = dy.String(min_length=1, description="The prefix that the search started from.")
    seed_id = dy.String(min_length=1, description="The seed of that prefix.")
    parent_id = dy.String(nullable=True, description="node_id of the parent; null at the root.")
    depth = dy.Int32(min=0, description="Steps below the root of the search.")
    step_idx = dy.Int32(
        min=-1,
        description="0-based index of this node's step in the whole trace; -1 if there is none.",
    )
    factor = dy.String(nullable=True, description="Thought factor of the step that leads here.")
    text = dy.String(
        nullable=True, description="Text of the step that leads here; null at the root."
    )
    prior = dy.Float64(
        nullable=True, min=0, max=1, description="P(factor) that the policy gave it at the parent."
    )
    legal_factors = dy.List(
        dy.String(),
        description="Factors that may follow, in taxonomy order; empty if nobody asked.",
    )
    priors = dy.List(
        dy.Float64(min=0, max=1), description="P of each of legal_factors, as the search took it."
    )
    evaluation = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="What it was worth when first looked at; null if nothing could tell.",
    )
    n_visits = dy.Int64(min=0, description="Times that the search went through this node.")
    value = dy.Float64(
        nullable=True, min=0, max=1, description="Mean value backed up here; null if never visited."
    )
    n_rollouts = dy.Int64(min=0, description="On-policy rollouts that count for this node.")
    n_correct = dy.Int64(min=0, description="How many of those ended correct.")
    chosen = dy.Bool(
        description="Became a child; false for a replica's proposal that was rejected."
    )
    replica_idx = dy.Int32(
        min=-1, description="0-based index of the replica that proposed it; -1 if none did."
    )
    outcome = Choice(
        OUTCOMES, nullable=True, description="How the trace ended here; null where it can go on."
    )
    answer = dy.String(
        nullable=True, description="The answer it ends with, as judged; null if there is none."
    )
    n_tokens = dy.Int64(min=0, description="Tokens generated for the step that leads here.")
    min_logprob = dy.Float64(
        nullable=True,
        max=0,
        description="Least log-probability among the step's tokens; null if unknown.",
    )
    completion_key = dy.String(
        nullable=True, description="Journal key of the completion that wrote the step."
    )

    @dy.rule()
    def n_correct_within_n_rollouts(cls) -> pl.Expr:
        """n_correct must not exceed n_rollouts."""
        return cls.n_correct.col <= cls.n_rollouts.col

    @dy.rule()
    def one_prior_per_legal_factor(cls) -> pl.Expr:
        """The lists legal_factors and priors must have the same length."""
        return cls.legal_factors.col.list.len() == cls.priors.col.list.len()

    @dy.rule()
    def priors_sum_to_one(cls) -> pl.Expr:
        """The list priors must sum to one, or be empty."""
        empty = cls.priors.col.list.len() == 0
        return empty | ((cls.priors.col.list.sum() - 1).abs() < 1e-6)

    @dy.rule()
    def decided_outcome_has_an_answer(cls) -> pl.Expr:
        """An outcome of correct or wrong needs an answer that is not null."""
        return ~cls.outcome.col.is_in(["correct", "wrong"]) | cls.answer.col.is_not_null()

    @dy.rule()
    def only_the_root_has_no_parent_and_no_text(cls) -> pl.Expr:
        """At depth 0 parent_id and text must both be null, below it neither."""
        root = cls.depth.col == 0
        return (cls.parent_id.col.is_null() == root) & (cls.text.col.is_null() == root)
