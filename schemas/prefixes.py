"""Contract of the ``prefixes`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import verifier_column
from schemas.contract import Contract


class Prefix(Contract):
    """Truncated human thoughts: the states that searches start from.

    One row = the first ``n_steps`` steps of a seed. Primary key: ``prefix_id``.
    """

    table = "prefixes"

    prefix_id = dy.String(primary_key=True, min_length=1, description="Identifies the prefix.")
    seed_id = dy.String(min_length=1, description="The seed that was truncated.")
    n_steps = dy.Int32(min=0, description="Human steps kept; 0 is the bare question.")
    n_seed_steps = dy.Int32(min=0, description="Steps of the whole human thought.")
    question = dy.String(min_length=1, description="The seed's question.")
    steps = dy.List(dy.String(), description="The human steps kept.")
    factors = dy.List(dy.String(), description="Thought factor that each kept step performs.")
    answer = dy.String(min_length=1, description="The seed's answer, taken as gold.")
    verifier = verifier_column("How answers are compared with the gold answer.")

    @dy.rule()
    def n_steps_counts_steps(cls) -> pl.Expr:
        """The list steps must have n_steps items."""
        return cls.steps.col.list.len() == cls.n_steps.col

    @dy.rule()
    def one_factor_per_step(cls) -> pl.Expr:
        """The lists factors and steps must have the same length."""
        return cls.factors.col.list.len() == cls.steps.col.list.len()

    @dy.rule()
    def leaves_a_step_to_write(cls) -> pl.Expr:
        """A prefix must be shorter than its seed's thought, or be the bare question."""
        return (cls.n_steps.col < cls.n_seed_steps.col) | (cls.n_steps.col == 0)
