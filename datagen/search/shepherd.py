"""Math-Shepherd: a fixed number of completions after every step (Wang et al. 2024, section 3.3).

The search does not adapt, so it asks for everything in one wave, which fills any batch.
"""

from collections.abc import Generator, Sequence
from typing import cast

from datagen.engines.protocol import Answer, Completion, Request, Sampling
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.search.evidence import Rollout, Verify
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Trace


def shepherd(
    trace: Trace,
    *,
    first: int,
    n_rollouts: int,
    sampling: Sampling,
    verify: Verify,
    dialect: Dialect = NATIVE,
) -> Generator[Sequence[Request], Sequence[Answer], list[Rollout]]:
    """Draw ``n_rollouts`` completions from each proper prefix of ``trace``.

    Args:
        trace: whole trace of T steps, right or wrong.
        first: shortest prefix, in steps; the longest has T - 1, since the last step ends the trace.
        n_rollouts: N of the paper, per prefix.
        sampling: how completions are drawn.
        verify: judges a completion.
        dialect: how the policy is asked.

    Returns:
        The rollouts by prefix length, then sample; none if the budget was spent.
    """
    states = [trace.prefix(n_steps) for n_steps in range(first, len(trace.steps))]
    asked = [
        (state, request)
        for state in states
        for request in dialect.rollout_requests(state, n_rollouts, sampling=sampling)
    ]
    try:
        answers = yield [request for _, request in asked]
    except BudgetSpent:
        return []
    return [
        Rollout.read("shepherd", state, request, cast(Completion, answer), verify, dialect)
        for (state, request), answer in zip(asked, answers, strict=True)
    ]
