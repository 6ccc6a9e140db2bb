"""Contract of the ``raw_rollouts`` table."""

import dataframely as dy

from schemas.rollouts import Rollout


class RawRollout(Rollout):
    """Every completion that was drawn and verified, with its question.

    ``rollouts`` and ``probes`` together, for whoever wants to label, filter or weigh them anew.
    One row = one completion with its outcome. Primary key: ``rollout_id``.
    """

    table = "raw_rollouts"

    question = dy.String(min_length=1, description="The question that it answers.")
