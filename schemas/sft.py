"""Contract of the ``sft`` table."""

import dataframely as dy

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
    summary = dy.String(
        nullable=True,
        min_length=1,
        description="What a reader may be shown of the thought; null: none was made. Not trained.",
    )
