"""Contract of the ``prm`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import seed_column
from schemas.contract import Contract


class Prm(Contract):
    """Step-labelled traces for process reward models.

    Labels are booleans because trainers truncate soft ones; the soft ones are in ``step_scores``.
    One row = one trace. Primary key: ``id``.
    """

    table = "prm"

    prompt = dy.String(regex=r"\n$", description="The question; ends with a newline.")
    completions = dy.List(dy.String(), min_length=1, description="The steps, in order.")
    labels = dy.List(dy.Bool(), description="Whether each step is good.")
    id = dy.String(primary_key=True, min_length=1, description="Identifies the row.")
    seed_id = seed_column()
    step_scores = dy.List(dy.Float32(), description="Soft label of each step.")

    @dy.rule()
    def one_label_and_score_per_step(cls) -> pl.Expr:
        """Lists must have one length: completions, labels and step_scores."""
        n_steps = cls.completions.col.list.len()
        return (cls.labels.col.list.len() == n_steps) & (cls.step_scores.col.list.len() == n_steps)
