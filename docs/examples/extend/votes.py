"""A dataset of your own: what the model answers most often when it is asked again and again."""

import dataframely as dy
import polars as pl

from datagen.export import Export
from schemas import Contract
from schemas.columns import seed_column


class Vote(Contract):
    """The answer that most rollouts of a question gave. One row = one question."""

    table = "votes"

    id = dy.String(primary_key=True, description="The seed_id.")
    seed_id = seed_column()  # by which rows are split; every dataset has it
    question = dy.String(min_length=1, description="The question.")
    answer = dy.String(description="The answer of most rollouts.")
    share = dy.Float64(min_exclusive=0, max=1, description="Share of rollouts that gave it.")
    is_right = dy.Bool(description="Whether it was verified right.")


def count_votes(seeds: pl.DataFrame, rollouts: pl.DataFrame) -> pl.DataFrame:
    """Make the rows; the parameters name the tables that are wanted."""
    votes = (
        rollouts.filter(pl.col("answer").is_not_null(), n_given_steps=0)
        .group_by("seed_id", "answer")
        .agg(pl.len(), is_right=(pl.col("outcome") == "correct").any())
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("seed_id"))
        .sort(["share", "answer"], descending=[True, False])
        .unique("seed_id", keep="first", maintain_order=True)
    )
    rows = seeds.select("seed_id", "question").join(votes, on="seed_id").sort("seed_id")
    return rows.with_columns(id="seed_id").select(Vote.column_names())


VOTES = Export(count_votes, Vote, purpose="calibration; the answer of most, and how many gave it")
