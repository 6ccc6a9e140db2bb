"""Contract of the ``step_preference`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice, seed_column
from schemas.contract import Contract

StepPreferenceKind = Literal["replica", "factor"]
"""What differs: the words that two replicas found for one thought factor, or the factor."""

STEP_PREFERENCE_KINDS: Final[tuple[StepPreferenceKind, ...]] = get_args(StepPreferenceKind)


class StepPreference(Contract):
    """Pairs of steps that a search tried in one state, for step-wise DPO.

    One row = one pair. Primary key: ``id``.
    """

    table = "step_preference"

    id = dy.String(primary_key=True, min_length=1, description="Ids of both nodes, better first.")
    seed_id = seed_column()
    prompt = dy.String(min_length=1, description="The state: question and steps so far, in markup.")
    chosen = dy.String(min_length=1, description="The better step, in its tags.")
    rejected = dy.String(min_length=1, description="The worse step, in its tags.")
    delta_q = dy.Float64(max=1, description="How much more the better one is worth; above 0.")
    kind = Choice(
        STEP_PREFERENCE_KINDS,
        description="replica: two wordings of one factor; factor: best and worst factor.",
    )
    n_chosen = dy.Int64(min=0, description="Evidence: rollouts (replica) or visits (factor).")
    n_rejected = dy.Int64(min=0, description="The same for the worse step.")
    chosen_factor = dy.String(min_length=1, description="Thought factor of the better step.")
    rejected_factor = dy.String(min_length=1, description="Thought factor of the worse step.")

    @dy.rule()
    def delta_q_above_0(cls) -> pl.Expr:
        """delta_q must be above 0."""
        return cls.delta_q.col > 0

    @dy.rule()
    def steps_differ(cls) -> pl.Expr:
        """Chosen and rejected must differ."""
        return cls.chosen.col != cls.rejected.col

    @dy.rule()
    def kind_says_whether_factors_differ(cls) -> pl.Expr:
        """The factors must differ where kind is factor, and only there."""
        differ = cls.chosen_factor.col != cls.rejected_factor.col
        return differ == (cls.kind.col == "factor")
