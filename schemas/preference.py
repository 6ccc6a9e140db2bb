"""Contract of the ``preference`` table."""

import dataframely as dy
import polars as pl

from schemas.columns import conversation, seed_column
from schemas.contract import Contract


class Preference(Contract):
    """Pairs of a right and a wrong reply to one question, for DPO and its kin.

    Both replies begin at the start of the thought, also where their first steps are the same. A
    wrong one may end at the step that spoilt it. One row = one pair. Primary key: ``id``.
    """

    table = "preference"

    prompt = conversation("The question.")
    chosen = conversation("The right reply.")
    rejected = conversation("The wrong reply, or its beginning up to the step that spoilt it.")
    id = dy.String(
        primary_key=True,
        min_length=1,
        description="Right trace_id (a probe's rollout_id), colon, wrong trace_id.",
    )
    seed_id = seed_column()

    @dy.rule()
    def each_is_one_message(cls) -> pl.Expr:
        """Prompt, chosen and rejected must be one message each: of the user, then the assistant."""
        return (
            _is_one(cls.prompt.col, "user")
            & _is_one(cls.chosen.col, "assistant")
            & _is_one(cls.rejected.col, "assistant")
        )

    @dy.rule()
    def chosen_goes_another_way(cls) -> pl.Expr:
        """The text of chosen must not begin with that of rejected."""
        chosen, rejected = (
            reply.col.list.get(0, null_on_oob=True).struct.field("content")
            for reply in (cls.chosen, cls.rejected)
        )
        return ~chosen.str.starts_with(rejected)


def _is_one(messages: pl.Expr, role: str) -> pl.Expr:
    first = messages.list.get(0, null_on_oob=True)
    return (messages.list.len() == 1) & (first.struct.field("role") == role)
