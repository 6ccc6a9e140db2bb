"""The Markov chain behind a simulated policy: when steps go wrong, and what states are worth.

A state is sound, or unsound at some distance from its error. Each step's whole fate is decided by
its own number, drawn for it alone, so a chain can be recomputed from its steps and nothing has to
be remembered about any of them.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from struct import Struct
from typing import Final, Literal, NamedTuple

Surprisal = Literal["informative", "uninformative", "misleading"]
"""Which steps are improbable: those that go wrong; any, by chance; or sound ones, by chance."""

_HURDLE_SHARE: Final = 0.9
"""Share of a question's difficulty that its hurdles have, if it has any."""
_SOLVE_RATE_RANGE: Final = (1e-3, 1 - 1e-3)
_FATES: Final = Struct("<5Q")
_UNIT: Final = 2.0**-64


@dataclass(frozen=True, slots=True)
class SimulatedConfig:
    """A world of questions and how the policy fares in it.

    Attributes:
        n_steps: fewest and most steps of a question's traces; each question has its own number.
        solve_rate: a and b of the Beta from which each question draws the probability that no step
            goes wrong. Recovery comes on top.
        n_hurdles: steps, the same for all traces of a question, that have nine tenths of its
            difficulty; 0 makes all steps equally hard.
        recovery: probability that a step puts the error right, by the distance of the state before
            it: 0 right behind the error, and so on; the last entry holds from there on.
        luck: probability that a trace ends right although its last state is unsound.
        jitter: most that a state's own factor can take away from its value. The factors are even
            in (1 - jitter, 1]; the bare question has none, so that solve rates stay what they are.
        surprisal: which steps the policy finds improbable.
        mean_surprisal: of probable and of improbable steps, in nats; exponentially distributed.
        step_tokens: tokens per step, both tags included; at least 5.

    Raises:
        ValueError: if a setting is out of range.
    """

    n_steps: tuple[int, int] = (5, 10)
    solve_rate: tuple[float, float] = (2.0, 2.0)
    n_hurdles: int = 0
    recovery: tuple[float, ...] = (0.3, 0.1, 0.02)
    luck: float = 0.01
    jitter: float = 0.0
    surprisal: Surprisal = "informative"
    mean_surprisal: tuple[float, float] = (0.5, 2.5)
    step_tokens: int = 8

    def __post_init__(self) -> None:
        """Refuse what would only fail later."""
        fewest, most = self.n_steps
        if not 1 <= fewest <= most:
            raise ValueError(f"n_steps={self.n_steps!r} must be a range that starts at 1 or later")
        if not 0 <= self.n_hurdles <= fewest:
            raise ValueError(f"n_hurdles={self.n_hurdles!r} must be between 0 and {fewest} steps")
        if not self.recovery:
            raise ValueError("recovery=() must have an entry; write (0.0,) for none at all")
        for rate in (*self.recovery, self.luck, self.jitter):
            if not 0 <= rate <= 1:
                raise ValueError(f"recovery, luck and jitter must be from 0 to 1, not {rate!r}")
        if self.step_tokens < 5:
            raise ValueError(f"step_tokens={self.step_tokens!r} must be at least 5")


class Fate(NamedTuple):
    """Numbers in [0, 1) that decide all that is random about a step and the state behind it.

    Attributes:
        event: whether the step goes wrong, or puts right what was wrong.
        amount: where in its distribution the step's surprisal lies.
        oddity: whether a step is improbable for no reason.
        luck: whether an unsound trace that ends here is right all the same.
        factor: the state's own disturbance.
    """

    event: float
    amount: float
    oddity: float
    luck: float
    factor: float

    @classmethod
    def of(cls, step_id: str, *, seed: int) -> "Fate":
        """The fate of a step in the world of ``seed``."""
        digest = blake2b(f"{seed}/{step_id}".encode(), digest_size=_FATES.size).digest()
        return cls(*[number * _UNIT for number in _FATES.unpack(digest)])


@dataclass(frozen=True, slots=True)
class Link:
    """The truth about one step.

    Attributes:
        step_idx: its place.
        error_idx: the error that the state behind it suffers from; -1 if that state is sound.
        surprisal: of its content, in nats.
        fate: what decided it.
    """

    step_idx: int
    error_idx: int
    surprisal: float
    fate: Fate

    @property
    def sound(self) -> bool:
        """Whether the state behind the step is sound."""
        return self.error_idx < 0

    @property
    def is_error(self) -> bool:
        """Whether this very step went wrong."""
        return self.error_idx == self.step_idx

    @property
    def distance(self) -> int:
        """Steps since the error; 0 at the error itself, and at sound steps."""
        return 0 if self.sound else self.step_idx - self.error_idx


@dataclass(frozen=True)
class Chain:
    """One question: its length, and how hard each of its steps is.

    Attributes:
        config: the world.
        n_steps: steps of every whole trace.
        hazards: probability that a step goes wrong from a sound state, ``(n_steps,)``.
    """

    config: SimulatedConfig
    n_steps: int
    hazards: tuple[float, ...] = field(repr=False)

    @classmethod
    def of(cls, question: str, config: SimulatedConfig, *, seed: int) -> "Chain":
        """Draw the chain of a question in the world of ``seed``."""
        rng = random.Random(f"{seed}/{question}")
        n_steps = rng.randint(*config.n_steps)
        least, most = _SOLVE_RATE_RANGE
        solve_rate = min(max(rng.betavariate(*config.solve_rate), least), most)
        hurdles = rng.sample(range(n_steps), config.n_hurdles)
        even = (1 - _HURDLE_SHARE if hurdles else 1.0) / n_steps
        shares = [even] * n_steps
        for idx in hurdles:
            shares[idx] += _HURDLE_SHARE / len(hurdles)
        return cls(config, n_steps, tuple(1 - solve_rate**share for share in shares))

    def follow(self, fates: Iterable[Fate], links: tuple[Link, ...] = ()) -> tuple[Link, ...]:
        """Steps of these fates, one after the other, behind ``links``.

        Raises:
            ValueError: if that is more than the question has.
        """
        chain = list(links)
        for fate in fates:
            if len(chain) == self.n_steps:
                raise ValueError(f"more than the {self.n_steps!r} steps of the question")
            chain.append(self._next(chain[-1] if chain else None, fate))
        return tuple(chain)

    def _next(self, last: Link | None, fate: Fate) -> Link:
        config, idx = self.config, last.step_idx + 1 if last else 0
        if last is None or last.sound:
            error_idx = idx if fate.event < self.hazards[idx] else -1
        else:
            rate = config.recovery[min(last.distance, len(config.recovery) - 1)]
            error_idx = -1 if fate.event < rate else last.error_idx
        # About one step per wrong trace, half of whose steps are sound on average.
        odd = fate.oddity < 2 / self.n_steps
        match config.surprisal:
            case "informative":
                improbable = error_idx == idx
            case "uninformative":
                improbable = odd
            case "misleading":
                improbable = odd and error_idx < 0
        surprisal = -config.mean_surprisal[improbable] * math.log1p(-fate.amount)
        return Link(idx, error_idx, surprisal, fate)

    def ends_right(self, links: tuple[Link, ...]) -> bool:
        """Whether the answer behind all steps is right, if nothing disturbs it."""
        last = links[-1]
        return last.sound or last.fate.luck < self.config.luck

    def factor(self, links: tuple[Link, ...]) -> float:
        """The state's own factor on the success of what is drawn from it."""
        whole_or_bare = len(links) in (0, self.n_steps)
        return 1.0 if whole_or_bare else 1 - self.config.jitter * links[-1].fate.factor

    def value(self, links: tuple[Link, ...]) -> float:
        """Probability that a rollout from the state behind ``links`` ends right; exact."""
        if len(links) == self.n_steps:
            return float(self.ends_right(links))
        sound, *unsound = self._values[len(links)]
        last = links[-1] if links else None
        if last is None or last.sound:
            return self.factor(links) * sound
        return self.factor(links) * unsound[min(last.distance, len(unsound) - 1)]

    @cached_property
    def _values(self) -> list[list[float]]:
        """Undisturbed values by steps taken: of a sound state, then of unsound ones by distance."""
        recovery = self.config.recovery
        values = [[1.0, *[self.config.luck] * len(recovery)]]
        for hazard in reversed(self.hazards):
            sound, *unsound = values[0]
            further = [*unsound[1:], unsound[-1]]
            values.insert(
                0,
                [
                    (1 - hazard) * sound + hazard * unsound[0],
                    *(r * sound + (1 - r) * v for r, v in zip(recovery, further, strict=True)),
                ],
            )
        return values
