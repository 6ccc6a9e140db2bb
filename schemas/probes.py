"""Contract of the ``probes`` table."""

from schemas.rollouts import Rollout


class Probe(Rollout):
    """Completions drawn from the steps of finished traces, to find where those go wrong.

    The same columns as ``rollouts``, kept apart because they were drawn where they tell most about
    one trace: shares of right ones among them say nothing about a question.
    One row = one completion with its outcome. Primary key: ``rollout_id``.
    """

    table = "probes"
