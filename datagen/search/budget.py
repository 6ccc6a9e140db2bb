"""What a run has done so far, and when it must stop."""

from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Final

from datagen.engines.protocol import Usage

_MILLION: Final = 1_000_000
_NO_LIMIT: Final = 1 << 62
_GUESSED_TOKENS: Final = 256
"""Length of a completion for as long as none has come."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop asking; ``None`` is no limit.

    A limit on tokens or cost lets what is under way come to its end, and counts it in beforehand: a
    call may begin as long as the limit is not reached by those before it, each taken to be of mean
    length. A limit on time cancels what is under way, except a batch, which comes to its end.

    Attributes:
        max_tokens: generated tokens; those replayed from the journal cost nothing.
        max_seconds: wall time. What a run under a time limit yields depends on the machine.
        max_cost: cost by the prices below, in their currency.
        price_prompt: of a million prompt tokens.
        price_generated: of a million generated tokens.
    """

    max_tokens: int | None = None
    max_seconds: float | None = None
    max_cost: float | None = None
    price_prompt: float = 0.0
    price_generated: float = 0.0

    def cost(self, usage: Usage) -> float:
        """What an engine's work costs."""
        spent = usage.n_prompt_tokens * self.price_prompt
        return (spent + usage.n_generated_tokens * self.price_generated) / _MILLION


@dataclass(slots=True)
class Progress:
    """Where a run stands; one object, updated in place.

    Attributes:
        n_searches: searches to run; ``n_finished`` of them have returned.
        n_live: searches that have begun and not returned.
        n_in_flight: requests put to the engine and not answered.
        n_generated: completions drawn from the engine in this run.
        n_replayed: completions found in the journal.
        n_cancelled: requests withdrawn from the engine since nobody waited for them any more.
        n_tokens: tokens of the completions drawn in this run.
        n_prompt_tokens: prompt tokens of this run; ``n_cached_tokens`` of them were not read anew.
        n_retries: requests that a server was asked again.
        cost: by the prices of the budget.
        seconds: wall time so far.
        budget_spent: whether the budget ended the run.
    """

    n_searches: int = 0
    n_finished: int = 0
    n_live: int = 0
    n_in_flight: int = 0
    n_generated: int = 0
    n_replayed: int = 0
    n_cancelled: int = 0
    n_tokens: int = 0
    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    n_retries: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    budget_spent: bool = False

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second of the whole run."""
        return self.n_tokens / self.seconds if self.seconds else 0.0

    @property
    def cached_share(self) -> float:
        """Share of the prompt tokens that did not have to be read anew."""
        return self.n_cached_tokens / self.n_prompt_tokens if self.n_prompt_tokens else 0.0


class Meter:
    """Holds a run's progress against its budget.

    Args:
        budget: the limits.
        usage: the engine's counters, which may stand above 0 already.
    """

    def __init__(self, budget: Budget, usage: Usage) -> None:
        self.budget, self.progress = budget, Progress()
        self._usage, self._before = usage, replace(usage)

    def read(self, seconds: float) -> None:
        """Bring the progress up to date."""
        now, before, progress = asdict(self._usage), asdict(self._before), self.progress
        used = Usage(**{name: n - before[name] for name, n in now.items()})
        progress.n_prompt_tokens = used.n_prompt_tokens
        progress.n_cached_tokens = used.n_cached_tokens
        progress.n_retries = used.n_retries
        progress.cost = self.budget.cost(used)
        progress.seconds = seconds

    @property
    def spent(self) -> bool:
        """Whether a limit is reached."""
        return self.room(0) <= 0 or self.seconds_left == 0

    def room(self, n_under_way: int) -> int:
        """How many more completions may be asked for, beside ``n_under_way`` others.

        Each is taken to be as long, or to cost as much, as those so far on average.
        """
        progress, budget = self.progress, self.budget
        n = progress.n_generated
        tokens = progress.n_tokens / n if n else _GUESSED_TOKENS
        cost = progress.cost / n if n else tokens * budget.price_generated / _MILLION
        most = [_NO_LIMIT]
        if budget.max_tokens is not None:
            most.append(_fitting(budget.max_tokens - progress.n_tokens, tokens))
        if budget.max_cost is not None:
            most.append(_fitting(budget.max_cost - progress.cost, cost))
        return min(most) - n_under_way

    @property
    def seconds_left(self) -> float | None:
        """Until the time is up; 0 if it is, ``None`` without a limit."""
        limit = self.budget.max_seconds
        return None if limit is None else max(limit - self.progress.seconds, 0)


def _fitting(left: float, each: float) -> int:
    """How many of a size have their beginning within what is left."""
    if left <= 0:
        return 0
    return ceil(left / each) if each else _NO_LIMIT
