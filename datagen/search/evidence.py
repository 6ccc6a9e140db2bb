"""On-policy evidence: how often the policy itself, left alone in a state, ended right.

A rollout counts for the state that it was drawn from, and for every later state that it passes
through on its own. It does not count for earlier states: how the search came to this state (a
forced factor, another temperature, the better of two replicas) was not the policy's doing.
Unverifiable and truncated rollouts are no trials, since they say nothing about the steps.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from datagen.engines.protocol import Completion, CompletionRequest
from datagen.prompts import native
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.prompts.reading import Reading, states_along
from datagen.traces.model import Trace
from datagen.verify import Outcome, Verdict

Verify = Callable[[Completion], Verdict]
"""Judges a completion of one question; the gold answer is the function's own business."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion from ``state`` to the end, and what became of it.

    Attributes:
        algorithm: the search that asked for it.
        state: where it began.
        request: what was asked.
        reading: the completion, read as steps.
        verdict: its outcome.
        n_tokens: tokens generated.
    """

    algorithm: str
    state: Trace
    request: CompletionRequest
    reading: Reading
    verdict: Verdict
    n_tokens: int

    @classmethod
    def read(
        cls,
        algorithm: str,
        state: Trace,
        request: CompletionRequest,
        completion: Completion,
        verify: Verify,
        dialect: Dialect = NATIVE,
    ) -> "Rollout":
        """Read and judge what an engine answered."""
        reading, verdict = dialect.read_rollout(completion, state), verify(completion)
        return cls(algorithm, state, request, reading, verdict, completion.n_tokens)

    @property
    def trace(self) -> Trace:
        """The whole trace that it completes."""
        steps = (*self.state.steps, *self.reading.steps)
        return Trace(self.state.question, steps, self.reading.answer)

    @property
    def ended(self) -> bool:
        """Whether it is a whole trace: it came to an answer, and could be read throughout."""
        return self.verdict.is_trial and self.reading.answer is not None


@dataclass(frozen=True, slots=True)
class Tally:
    """Trials of a state, and how many of them ended right."""

    n_rollouts: int = 0
    n_correct: int = 0

    @property
    def mean(self) -> float | None:
        """Monte-Carlo estimate of the state's value; ``None`` without trials."""
        return self.n_correct / self.n_rollouts if self.n_rollouts else None


def state_key(state: Trace) -> str:
    """What makes two states the same: question and steps. It is a name, whatever the dialect."""
    return native.prompt_of(state)


def tally(rollouts: Iterable[Rollout]) -> dict[str, Tally]:
    """On-policy evidence by :func:`state_key`; a sample that two searches asked for counts once."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for rollout in {rollout.request.identity: rollout for rollout in rollouts}.values():
        if rollout.verdict.is_trial:
            correct = rollout.verdict.outcome is Outcome.CORRECT
            for state in (rollout.state, *states_along(rollout.state, rollout.reading.steps)):
                count = counts[state_key(state)]
                count[0] += 1
                count[1] += correct
    return {key: Tally(*count) for key, count in counts.items()}
