"""What the search for first errors costs beside the engine that it asks.

A search that thinks for longer than its engine writes is slow, however few rollouts it needs. So
one whole wave is timed (reading the answers, choosing the next questions) over many traces that
have some evidence already. The simulated policy that answers is no part of the time; what a real
engine would take for the same answers follows from its measured rate.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from datagen.bench.chains import SimulatedConfig
from datagen.bench.simulated import SimulatedPolicy
from datagen.engines.protocol import (
    Answer,
    CompletionRequest,
    Engine,
    Request,
    Sampling,
    ScoreRequest,
)
from datagen.prompts.native import prompt_of, rollout_requests
from datagen.reasoner.world import draw_problem
from datagen.search.evidence import Rollout
from datagen.search.first_error import Attempt, FirstErrorConfig, Suspect, first_errors
from datagen.traces.model import Trace
from datagen.verify import Outcome

_WORLD: Final = SimulatedConfig(n_steps=(5, 12), step_tokens=12)
_CONFIG: Final = FirstErrorConfig(
    # Every trace is asked about in every wave, and none of the timed ones is followed by a fit.
    confidence=1.1,
    min_information=-1.0,
    refit_after=(1,),
)
_N_WAVES_BEFORE: Final = 3


@dataclass(frozen=True, slots=True)
class ChoosingShare:
    """One wave of the search, timed.

    Attributes:
        n_traces: traces, each of which gets one rollout.
        search_s: seconds that the search took to read the answers and to choose the next questions.
        engine_s: seconds that the engine takes to write the answers.
    """

    n_traces: int
    search_s: float
    engine_s: float

    @property
    def share(self) -> float:
        """Seconds of the search per second of the engine."""
        return self.search_s / self.engine_s


def tokens_per_second(engine: Engine, n: int = 512) -> float:
    """What the embedded reasoner's engine writes, in one batch of rollouts from bare questions."""
    rng = random.Random(1)
    prompts = [prompt_of(Trace(draw_problem(rng).question)) for _ in range(n // 8)]
    requests = [CompletionRequest(prompt, Sampling(), i) for prompt in prompts for i in range(8)]
    began = time.perf_counter()
    written = asyncio.run(engine.complete(requests))
    return sum(answer.n_tokens for answer in written) / (time.perf_counter() - began)


def choosing_share(engine_tokens_per_s: float, n_traces: int = 10_000) -> ChoosingShare:
    """Time one wave over ``n_traces`` traces of 5 to 12 steps, a dozen tokens each.

    Args:
        engine_tokens_per_s: tokens that an engine was measured to generate per second.
        n_traces: how many.

    Raises:
        ValueError: if the rate or the number is not positive.
    """
    if engine_tokens_per_s <= 0 or n_traces <= 0:
        raise ValueError(
            f"engine_tokens_per_s={engine_tokens_per_s!r} and n_traces={n_traces!r} must be above 0"
        )
    policy = SimulatedPolicy(_WORLD, seed=1)
    attempts = _attempts(policy, n_traces)
    suspects = [
        Suspect(a.trace, a.correct, a.question, policy.verify(a.question)) for a in attempts
    ]
    search = first_errors(suspects, attempts, _CONFIG)
    requests = next(search)
    for _ in range(1 + _N_WAVES_BEFORE):  # the first is the scoring pass
        requests = search.send(_answers(policy, requests))
    answers = _answers(policy, requests)
    began = time.perf_counter()
    search.send(answers)
    search_s = time.perf_counter() - began
    search.close()
    n_tokens = sum(len(answer.logprobs) for answer in cast(Sequence[Any], answers))
    return ChoosingShare(n_traces, search_s, n_tokens / engine_tokens_per_s)


def _attempts(policy: SimulatedPolicy, n: int) -> list[Attempt]:
    """One whole trace of each of ``n`` questions."""
    states = [Trace(question) for question in policy.questions(n)]
    requests = [rollout_requests(state, 1, sampling=Sampling())[0] for state in states]
    completions = asyncio.run(policy.engine().complete(requests))
    verify = policy.verify("")
    rollouts = [
        Rollout.read("best_of_n", state, request, completion, verify)
        for state, request, completion in zip(states, requests, completions, strict=True)
    ]
    return [
        Attempt(r.trace, r.verdict.outcome is Outcome.CORRECT, r.state.question) for r in rollouts
    ]


def _answers(policy: SimulatedPolicy, requests: Sequence[Request]) -> Sequence[Answer]:
    engine = policy.engine()
    if isinstance(requests[0], ScoreRequest):
        return asyncio.run(engine.score(cast(Sequence[ScoreRequest], requests)))
    return asyncio.run(engine.complete(cast(Sequence[CompletionRequest], requests)))
