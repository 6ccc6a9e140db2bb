"""Simulated policies of known truth: to measure searches where their assumptions hold or break.

A policy is a Markov chain over steps (:mod:`datagen.bench.chains`), served as an engine in the real
markup, so that every search, the scheduler and the journal run over it unchanged. A step's id, as
in ``step 3 #8f2a41c09d77``, is the seed of all that happened in it. So any prefix is continued from
its true hidden state, and the truth about a trace can be read from its text alone: after a
replay from the journal, in another process, and with nothing remembered.
"""

import random
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from datagen.bench.chains import Chain, Fate, Link, SimulatedConfig
from datagen.engines.fake import FakeEngine, by_length
from datagen.engines.protocol import (
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Score,
    ScoreRequest,
    flat_text,
)
from datagen.factors.taxonomy import Factor
from datagen.prompts.native import QUESTION
from datagen.search.evidence import Verify
from datagen.search.run import verifier_of
from datagen.traces.markup import THINK_END, THINK_START, end_tag, start_tag
from datagen.traces.model import Trace

GOLD: Final = "1"
"""The right answer to every question; the wrong one is "0"."""

SCENARIOS: Final[dict[str, SimulatedConfig]] = {
    "assumptions hold": SimulatedConfig(),
    "surprisal uninformative": SimulatedConfig(surprisal="uninformative"),
    "surprisal misleading": SimulatedConfig(surprisal="misleading"),
    "never recovers": SimulatedConfig(recovery=(0.0,), luck=0.0),
    "nearly always recovers": SimulatedConfig(recovery=(0.8, 0.5, 0.3)),
    "strong self-correction": SimulatedConfig(
        n_steps=(8, 14), solve_rate=(1.0, 6.0), recovery=(0.45,)
    ),
    "non-monotone values": SimulatedConfig(jitter=0.7),
    "hard questions": SimulatedConfig(
        solve_rate=(1.0, 15.0), n_hurdles=2, recovery=(0.08, 0.02, 0.01)
    ),
}
"""Worlds to compare searches in, by name; the first is the one that the searches expect."""

_ID: Final = re.compile(r" #([0-9a-f]{12})\b")
_ID_BITS: Final = 48
_OPENING: Final = re.compile(r"<ACT_\w+-Start> $")
_START: Final = re.compile(r"<ACT_\w+-Start> ")
_OPENING_SURPRISAL: Final = 6.0
_CLOSING: Final = "-End>\n"
_FILLER: Final = " .."


class SimulatedPolicy:
    """One world: its questions, the engine that answers them, and the truth about every trace.

    How tokens are drawn (temperature, nucleus) makes no difference but another sample.

    Args:
        config: the world.
        seed: tells worlds of one config apart.
    """

    def __init__(self, config: SimulatedConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self._chains: dict[str, Chain] = {}
        # All rollouts from a state come with the same prompt.
        self._state = lru_cache(maxsize=4096)(self._read)

    def engine(self, **options: Any) -> FakeEngine:
        """The policy as an engine; ``options`` are keyword arguments of :class:`FakeEngine`."""
        return _SimulatedEngine(self, **options)

    def questions(self, n: int) -> list[str]:
        """``n`` questions; any other text is a question too."""
        return [f"Simulated question {idx} of world {self.seed}." for idx in range(n)]

    def verify(self, question: str) -> Verify:
        """The judge of completions of ``question``."""
        del question  # the answers of all are the same
        return verifier_of({"answer": GOLD, "verifier": "numeric"})

    def links(self, trace: Trace) -> tuple[Link, ...]:
        """The truth about each step, ``(n_steps,)``.

        Raises:
            ValueError: if a step is none of this policy's.
        """
        ids: list[str] = []
        for step in trace.steps:
            found = _ID.search(step.text)
            if found is None:
                raise _foreign(step.text)
            ids.append(found[1])
        return self._follow(trace.question, ids)

    def first_error(self, trace: Trace) -> int:
        """Where the unsound stretch begins in which ``trace`` ends; -1 if its last state is sound.

        If nothing but a disturbance made the answer wrong, the error is in the last step.
        """
        links = self.links(trace)
        if not links:
            return -1
        disturbed = links[-1].sound and trace.answer not in (None, GOLD)
        return links[-1].step_idx if disturbed else links[-1].error_idx

    def value(self, state: Trace) -> float:
        """Probability that a rollout from ``state`` ends right, exact, disturbance included."""
        if state.answer is not None:
            return float(state.answer == GOLD)
        return self._chain(state.question).value(self.links(state))

    def _chain(self, question: str) -> Chain:
        if question not in self._chains:
            self._chains[question] = Chain.of(question, self.config, seed=self.seed)
        return self._chains[question]

    def _follow(
        self, question: str, ids: Sequence[str], links: tuple[Link, ...] = ()
    ) -> tuple[Link, ...]:
        fates = (Fate.of(step_id, seed=self.seed) for step_id in ids)
        return self._chain(question).follow(fates, links)

    def _read(self, prompt: str) -> tuple[str, tuple[Link, ...]]:
        """Question and state of a prompt, which may end in the opening tag of the next step."""
        question, _, thought = prompt.removeprefix(QUESTION).partition(f"\n{THINK_START}")
        ids = _ID.findall(thought)
        if len(ids) != thought.count(_CLOSING):
            raise _foreign(thought)
        return question, self._follow(question, ids)

    # --- what the engine is made of ----------------------------------------------------------

    def write(self, request: CompletionRequest) -> str:
        """Go on from the prompt's state to the answer."""
        question, links = self._state(flat_text(request.prompt))
        chain, rng = self._chain(question), random.Random(request.seed)
        disturbed = rng.random() >= chain.factor(links)
        ids = [f"{rng.getrandbits(_ID_BITS):012x}" for _ in range(chain.n_steps - len(links))]
        steps = [
            self._step(idx, step_id, chain.n_steps)
            for idx, step_id in enumerate(ids, start=len(links))
        ]
        links = self._follow(question, ids, links)
        right = chain.ends_right(links) and not disturbed
        text = f"{''.join(steps)}{THINK_END}{GOLD if right else '0'}"
        opening = _OPENING.search(flat_text(request.prompt))
        if opening is None:
            return text
        if not text.startswith(opening[0]):
            raise ValueError(f"the policy never goes on with {opening[0]!r}; ask it for its prior")
        return text.removeprefix(opening[0])

    def _step(self, step_idx: int, step_id: str, n_steps: int) -> str:
        factor = _factor(step_idx, n_steps)
        words = f"step {step_idx + 1} #{step_id}{_FILLER * (self.config.step_tokens - 5)}"
        return f"{start_tag(factor)}{words}{end_tag(factor)}"

    def prefer(self, request: ChoiceRequest) -> Sequence[float]:
        """The only action there is: to compute, and at last to answer."""
        question, links = self._state(flat_text(request.prompt))
        action = start_tag(_factor(len(links), self._chain(question).n_steps))
        return [float(choice == action) for choice in request.choices]

    def rate(self, request: ScoreRequest) -> Score:
        """Score a text of this policy as it was scored when it was written."""
        ends = by_length(request).ends
        return Score(self.logprobs(flat_text(request.prompt), request.text, ends), ends)

    def logprobs(self, prompt: str, text: str, ends: Sequence[int]) -> tuple[float, ...]:
        """Of the tokens of ``text`` that end at ``ends``: a step's id bears its surprisal.

        The opening tag bears a constant, for all the other ways to begin: no step is written twice.
        """
        question, links = self._state(prompt)
        found = list(_ID.finditer(text))
        if len(found) < text.count(_CLOSING):
            raise _foreign(text)
        logprobs = [0.0] * len(ends)
        for tag in _START.finditer(text):
            logprobs[bisect_left(ends, tag.end())] = -_OPENING_SURPRISAL
        whole = self._follow(question, [match[1] for match in found], links)
        for match, link in zip(found, whole[len(links) :], strict=True):
            logprobs[bisect_left(ends, match.end())] = -link.surprisal
        return tuple(logprobs)


class _SimulatedEngine(FakeEngine):
    """The fake engine, but for the log-probabilities of what it writes."""

    def __init__(self, policy: SimulatedPolicy, **options: Any) -> None:
        world = f"{policy.config!r}/{policy.seed!r}"
        identity = blake2b(world.encode(), digest_size=8).hexdigest()
        options = {"fingerprint": f"simulated-{identity}", "batch_size": 256} | options
        super().__init__(policy.write, policy.prefer, policy.rate, **options)
        self._policy = policy

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Write one completion per request, in order."""
        completions = await super().complete(requests)
        prompts = [flat_text(request.prompt) for request in requests]
        return [
            replace(said, logprobs=self._policy.logprobs(prompt, said.text, said.ends))
            for prompt, said in zip(prompts, completions, strict=True)
        ]


def _factor(step_idx: int, n_steps: int) -> Factor:
    return Factor.ANSWER if step_idx == n_steps - 1 else Factor.COMPUTE


def _foreign(text: str) -> ValueError:
    return ValueError(f"{text[:60]!r} was not written by this policy; go on from its own steps")
