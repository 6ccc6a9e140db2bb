"""Contract of the ``kto`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import conversation, seed_column
from schemas.contract import Contract


class Kto(Contract):
    """Single replies, marked desirable or not, for KTO; shuffled.

    One row = one reply. Primary key: ``id``.
    """

    table = "kto"

    prompt = conversation("The question.")
    completion = conversation("The reply, or its beginning up to the step that spoilt it.")
    label = dy.Bool(description="Whether the reply is desirable.")
    id = dy.String(
        primary_key=True, min_length=1, description="The trace_id; of a probe its rollout_id."
    )
    seed_id = seed_column()

    @dy.rule()
    def ends_with_one_reply(cls) -> pl.Expr:
        """Completion must be a single message of the assistant."""
        reply = cls.completion.col
        first = reply.list.get(0, null_on_oob=True)
        return (reply.list.len() == 1) & (first.struct.field("role") == "assistant")
