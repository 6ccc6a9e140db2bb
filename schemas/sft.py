"""Contract of the ``sft`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import conversation, seed_column
from schemas.contract import Contract


class Sft(Contract):
    """Conversations for supervised fine-tuning, with no column that a trainer could trip over.

    Published twice: with thought-factor markup (``sft``) and plain (``sft_plain``). One row = one
    conversation. Primary key: ``id``.
    """

    table = "sft"

    messages = conversation("The conversation; its last message is the one to learn.")
    id = dy.String(primary_key=True, min_length=1, description="Identifies the row.")
    seed_id = seed_column()
    masked_spans = dy.List(
        dy.Struct(
            {
                "start": dy.Int32(min=0, description="Its first character, from 0."),
                "end": dy.Int32(min=1, description="The first one behind it."),
            }
        ),
        description="Steps of the reply that it takes back: mask the loss on these characters.",
    )
    summary = dy.String(
        nullable=True,
        min_length=1,
        description="What a reader may be shown of the thought; null: none was made. Not trained.",
    )

    @dy.rule()
    def spans_are_of_the_reply(cls) -> pl.Expr:
        """Spans in masked_spans must be in order, not overlap, and end before the reply does."""
        start, end = pl.element().struct.field("start"), pl.element().struct.field("end")
        spans = cls.masked_spans.col.list
        in_order = spans.eval((start < end) & (start >= end.shift(1, fill_value=0))).list.all()
        n_chars = cls.messages.col.list.last().struct.field("content").str.len_chars()
        return in_order & (spans.eval(end).list.max().fill_null(0) < n_chars)
