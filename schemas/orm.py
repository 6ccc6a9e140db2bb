"""Contract of the ``orm`` table."""

import dataframely as dy

from schemas.columns import seed_column
from schemas.contract import Contract


class Orm(Contract):
    """Whole replies of the policy with their verified outcome, for outcome reward models; shuffled.

    A model for sequence classification reads prompt and completion as one text and takes the label
    as it stands. One row = one reply. Primary key: ``id``.
    """

    table = "orm"

    prompt = dy.String(regex=r"\n$", description="The question; ends with a newline.")
    completion = dy.String(
        min_length=1, description="The whole reply: the thought in <think>, then the answer."
    )
    label = dy.Int64(
        min=0, max=1, description="1 where the answer is verified right, 0 where wrong."
    )
    id = dy.String(primary_key=True, min_length=1, description="The trace_id.")
    seed_id = seed_column()
