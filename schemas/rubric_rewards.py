"""Contract of the ``rubric_rewards`` table."""

from typing import Final

import dataframely as dy
import polars as pl

from schemas.columns import rubric
from schemas.contract import Contract

_ROUNDING: Final = 1e-6
"""How far a weighted mean may be from its reward."""


class RubricReward(Contract):
    """Rewards of answers that nobody can check: written criteria, each weighed by a model.

    They are opinions, kept apart from what was verified. One row = one rollout of a seed that
    carries a rubric. Primary key: ``rollout_id``.
    """

    table = "rubric_rewards"

    rollout_id = dy.String(primary_key=True, min_length=1, description="The rollout.")
    seed_id = dy.String(min_length=1, description="The seed whose question it answers.")
    prompt = dy.String(min_length=1, description="The question.")
    completion = dy.String(
        min_length=1, description="The answer alone, which is all that was scored."
    )
    criteria = rubric("What a good answer does.", nullable=False)
    scores = dy.List(
        dy.Float64(min=0, max=1),
        min_length=1,
        description="Probability that the answer meets each criterion, by the engine.",
    )
    reward = dy.Float64(min=0, max=1, description="Mean of scores, weighted by the criteria.")
    engine = dy.String(min_length=1, description="Fingerprint of the engine that scored.")

    @dy.rule()
    def one_score_per_criterion(cls) -> pl.Expr:
        """The lists scores and criteria must have the same length."""
        return cls.scores.col.list.len() == cls.criteria.col.list.len()

    @dy.rule()
    def reward_is_the_weighted_mean(cls) -> pl.Expr:
        """The reward must be the mean of scores, weighted by the criteria, up to 1e-6."""
        weights = cls.criteria.col.list.eval(pl.element().struct.field("weight"))
        same_length = cls.scores.col.list.len() == weights.list.len()
        paired = pl.when(same_length).then(cls.scores.col)
        mean = (paired * weights).list.sum() / weights.list.sum()
        return ((mean - cls.reward.col).abs() <= _ROUNDING).fill_null(True)
