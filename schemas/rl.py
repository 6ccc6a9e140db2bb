"""Contract of the ``rl`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import Choice, conversation, verifier_column
from schemas.contract import Contract
from schemas.questions import DIFFICULTIES, SPLITS


class Rl(Contract):
    """Questions with verifiable answers for reinforcement learning.

    The columns are the union of what TRL, verl and OpenRLHF read. One row = one question. No
    primary key: trainers address rows by ``extra_info.index``, which starts anew in each split.
    """

    table = "rl"

    prompt = conversation("The conversation to continue.")
    solution = dy.String(
        min_length=1,
        description="Gold answer: $…$, which math-verify parses; of questions about code as it is.",
    )
    answer = dy.String(min_length=1, description="Gold answer, bare.")
    data_source = dy.String(min_length=1, description="Dataset name by which verl picks a reward.")
    ability = dy.String(description="What the question exercises, e.g. math.")
    reward_model = dy.Struct(
        {
            "style": dy.String(description="How the reward is found, e.g. rule."),
            "ground_truth": dy.String(description="What the reward compares with."),
            "verifier": verifier_column("How it compares, as in extra_info."),
        },
        description="How verl rewards an answer.",
    )
    extra_info = dy.Struct(
        {
            "index": dy.Int64(min=0, description="0-based position of the row in its split."),
            "split": Choice(SPLITS, description="The split that the row belongs to."),
            "seed_id": dy.String(description="The seed or code task whose question it is."),
            "verifier": verifier_column("How answers are judged."),
            "pass_rate": dy.Float64(
                nullable=True,
                min=0,
                max=1,
                description="Share of rollouts from the bare question that were correct.",
            ),
            "n_rollouts": dy.Int64(min=0, description="Rollouts behind pass_rate."),
            "difficulty": Choice(DIFFICULTIES, description="The bin of pass_rate."),
        },
        description="Where the row came from and how hard it is.",
    )

    @dy.rule()
    def formulas_in_dollars(cls) -> pl.Expr:
        """Solution must be $…$ unless ability is code."""
        return (cls.ability.col == "code") | cls.solution.col.str.contains(r"^\$(?s:.+)\$$")
