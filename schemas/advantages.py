"""Contract of the ``advantages`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice, seed_column
from schemas.contract import Contract
from schemas.vocabulary import LABEL_SOURCES, OUTCOMES


class Advantage(Contract):
    """What each step of a trace was worth: per-step rewards for reinforcement learning.

    One row = one trace whose steps are labelled by more than its outcome. Primary key: ``id``.
    """

    table = "advantages"

    id = dy.String(primary_key=True, min_length=1, description="The trace.")
    seed_id = seed_column()
    prompt = dy.String(regex=r"\n$", description="The question; ends with a newline.")
    completions = dy.List(dy.String(), min_length=1, description="The steps, in order.")
    factors = dy.List(dy.String(), description="Thought factor of each step: the action.")
    values = dy.List(
        dy.Float32(nullable=True),
        description="Expected share of right endings after each step; null: not measured.",
    )
    advantages = dy.List(
        dy.Float32(nullable=True),
        description="Value after the step less value before it; null where either is unknown.",
    )
    prover_advantages = dy.List(
        dy.Float32(nullable=True),
        description="The same for the prover, the best of k rollouts; null: not measured.",
    )
    pit = dy.Int32(min=-1, description="0-based index of the first pit; -1: none, or not known.")
    outcome = Choice(OUTCOMES, description="How the trace ended.")
    label_source = Choice(LABEL_SOURCES, description="What the labels of its steps rest on.")

    @dy.rule()
    def one_entry_per_step(cls) -> pl.Expr:
        """Lists must have one length: completions, factors, values and both advantages."""
        n_steps = cls.completions.col.list.len()
        others = (cls.factors, cls.values, cls.advantages, cls.prover_advantages)
        return pl.all_horizontal(other.col.list.len() == n_steps for other in others)

    @dy.rule()
    def pit_within_steps(cls) -> pl.Expr:
        """The pit must be below the number of steps."""
        return cls.pit.col < cls.completions.col.list.len().cast(pl.Int64)

    @dy.rule()
    def only_wrong_traces_have_a_pit(cls) -> pl.Expr:
        """The pit must be -1 unless outcome is wrong."""
        return (cls.pit.col == -1) | (cls.outcome.col == "wrong")
