"""Contract of the ``questions`` table."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract
from schemas.vocabulary import DOMAINS

Split = Literal["train", "test"]
"""The splits of a published dataset."""

Difficulty = Literal["unknown", "unsolved", "hard", "medium", "easy", "solved"]
"""A question's pass rate in bins: not measured; 0; below 0.3; to 0.7; above; 1."""

SPLITS: Final[tuple[Split, ...]] = get_args(Split)
DIFFICULTIES: Final[tuple[Difficulty, ...]] = get_args(Difficulty)


class Question(Contract):
    """Every question that is asked of a model: its split, and how hard it turned out to be.

    One row = one question: a seed, or a task about a code seed's program. Primary key:
    ``question_id``.
    """

    table = "questions"

    question_id = dy.String(
        primary_key=True, min_length=1, description="seed_id of the seed, or task_id of the task."
    )
    seed_id = dy.String(min_length=1, description="The seed; its questions share their split.")
    domain = Choice(DOMAINS, description="What the question is about.")
    split = Choice(SPLITS, description="Where all rows of this seed are published.")
    n_words = dy.Int64(min=0, description="Words of the question.")
    language = dy.String(
        nullable=True, description="ISO 639-1 code of its language; null: too few words to tell."
    )
    pass_rate = dy.Float64(
        nullable=True, min=0, max=1, description="Share of right rollouts from the bare question."
    )
    n_rollouts = dy.Int64(min=0, description="Rollouts behind pass_rate.")
    difficulty = Choice(DIFFICULTIES, description="The bin of pass_rate.")

    @dy.rule()
    def one_split_per_seed(cls) -> pl.Expr:
        """Questions of one seed must be in one split."""
        return cls.split.col == cls.split.col.first().over(cls.seed_id.col)

    @dy.rule()
    def difficulty_unknown_without_a_rate(cls) -> pl.Expr:
        """Difficulty must be unknown where pass_rate is null, and only there."""
        return (cls.difficulty.col == "unknown") == cls.pass_rate.col.is_null()
