"""Contract of the ``critique`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import conversation, seed_column
from schemas.contract import Contract


class CritiqueSft(Contract):
    """Critiques for a generative reward model: each step analysed, judged and scored.

    Kept are those whose verdict is the label. One row = one critique of one trace, as a
    conversation of two turns. Primary key: ``id``.
    """

    table = "critique"

    messages = conversation("Question and numbered steps; then the critique, step by step.")
    id = dy.String(
        primary_key=True, min_length=1, description="trace_id/judge/vote_idx of the critique."
    )
    seed_id = seed_column()
    label = dy.Int32(min=-1, description="0-based index of the first wrong step; -1: none.")
    n_steps = dy.Int32(min=1, description="Steps of the trace; those after label are not judged.")

    @dy.rule()
    def label_within_steps(cls) -> pl.Expr:
        """The label must be below n_steps."""
        return cls.label.col < cls.n_steps.col

    @dy.rule()
    def reply_ends_with_the_label(cls) -> pl.Expr:
        r"""The last message must end with the label in a box, as in \boxed{-1}."""
        reply = cls.messages.col.list.last().struct.field("content")
        box = pl.concat_str(pl.lit("\n\\boxed{"), cls.label.col.cast(pl.String), pl.lit("}"))
        return reply.str.ends_with(box)
