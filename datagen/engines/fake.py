"""The test engine: plain functions in place of a model, and a toy policy whose values are known.

An answer depends on its request alone, so batches, order and repetition change nothing. A token is
a word with the white space around it, and its log-probability minus a tenth of its length, whether
it is written or scored.

The toy policy (:func:`toy_engine`) walks on whole numbers: each step adds 1 or 2, and the answer is
right if the walk meets its target instead of stepping over it. The true value of every state is
known (:func:`toy_value`), so an estimate can be held against the truth. Its scores are true
log-probabilities too (:func:`toy_rate`); those in its completions are not.
"""

import asyncio
import math
import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Final

from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
    Request,
    Score,
    ScoreRequest,
    Usage,
    flat_text,
    no_value_model,
)
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.traces.markup import THINK_END, end_tag, parse_tail, start_tag
from datagen.traces.model import Step, Trace

_TOKEN: Final = re.compile(r"\s*\S+\s*|\s+")
_END_LOGPROB: Final = -0.5
_STEPS_OF_ONE: Final = {Factor.COMPUTE: 0.75, Factor.HYPOTHESISE: 0.25}
"""The toy's actions, equally likely, and how often a step of each adds 1 rather than 2."""
_NEVER: Final = 1e-9
"""Probability that stands for 0, whose logarithm no model reports."""


def uniform(request: ChoiceRequest) -> Sequence[float]:
    """Every choice is equally likely."""
    return [1 / len(request.choices)] * len(request.choices)


def by_length(request: ScoreRequest) -> Score:
    """Score a text as if this engine had written it."""
    logprobs, ends = _scored(_TOKEN.findall(request.text))
    return Score(tuple(logprobs), tuple(ends))


class FakeEngine:
    """An engine that answers from a few functions and keeps a record.

    Args:
        write: the text that follows a prompt, drawn by ``request.seed`` if there is anything to
            draw; stop strings and ``max_tokens`` are applied to it here.
        prefer: probabilities, in the order of the choices.
        rate: the score of a text after a prompt.
        fingerprint: as in :class:`~datagen.engines.protocol.Engine`, like the next two.
        batch_size: most requests handed over in one call.
        concurrency: most calls under way at once.
        delay_s: how long a call sleeps, in seconds.
        evaluate: what is thought of a state; without it, evaluations raise ``EngineError``.
        fail_after: calls that are answered; every further one raises ``EngineError``.

    Attributes:
        batches: the requests of each answered call, in the order of the answers.
        usage: generated tokens; a function reads no prompt.
    """

    def __init__(
        self,
        write: Callable[[CompletionRequest], str],
        prefer: Callable[[ChoiceRequest], Sequence[float]] = uniform,
        rate: Callable[[ScoreRequest], Score] = by_length,
        *,
        fingerprint: str = "fake",
        batch_size: int = 8,
        concurrency: int = 1,
        delay_s: float = 0.0,
        evaluate: Callable[[EvaluationRequest], Evaluation] | None = None,
        fail_after: int | None = None,
    ) -> None:
        self.fingerprint, self.batch_size, self.concurrency = fingerprint, batch_size, concurrency
        self.batches: list[list[Request]] = []
        self.usage = Usage()
        self._write, self._prefer, self._rate = write, prefer, rate
        self._evaluate = evaluate
        self._delay_s, self._n_left = delay_s, fail_after

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Write one completion per request, in order."""
        await self._call(requests)
        completions = [_completion(request, self._write(request)) for request in requests]
        self.usage.n_generated_tokens += sum(c.n_tokens for c in completions)
        return completions

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Weigh the choices of each request, in order."""
        await self._call(requests)
        return [Choice(tuple(self._prefer(request))) for request in requests]

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score the text of each request, in order."""
        await self._call(requests)
        return [self._rate(request) for request in requests]

    async def evaluate(self, requests: Sequence[EvaluationRequest]) -> list[Evaluation]:
        """Judge the state of each request, in order."""
        if self._evaluate is None:
            raise no_value_model(self.fingerprint)
        await self._call(requests)
        return [self._evaluate(request) for request in requests]

    def close(self) -> None:
        """Nothing to free."""

    async def _call(self, requests: Sequence[Request]) -> None:
        if self._n_left is not None:
            self._n_left -= 1
            if self._n_left < 0:
                raise EngineError(f"{self.fingerprint!r} was told to fail; raise fail_after")
        await asyncio.sleep(self._delay_s)
        self.batches.append(list(requests))


def _scored(tokens: list[str]) -> tuple[list[float], list[int]]:
    """Log-probability and end of each token."""
    return [-len(token) / 10 for token in tokens], list(accumulate(map(len, tokens)))


def _completion(request: CompletionRequest, text: str) -> Completion:
    """End ``text`` behind its first stop string or at ``max_tokens``, whichever comes first."""
    sampling = request.sampling
    cut = min((text.find(s) + len(s) for s in sampling.stop if s in text), default=None)
    tokens = _TOKEN.findall(text[:cut])
    logprobs, ends = _scored(tokens)
    if cut is None:
        tokens, logprobs, ends = [*tokens, ""], [*logprobs, _END_LOGPROB], [*ends, len(text)]
    n = min(len(tokens), sampling.max_tokens)
    finish = "stop" if n == len(tokens) else "length"
    return Completion("".join(tokens[:n]), finish, tuple(logprobs[:n]), tuple(ends[:n]))


def toy_engine(**options: Any) -> FakeEngine:
    """A :class:`FakeEngine` of the toy policy; ``options`` are its keyword arguments."""
    return FakeEngine(toy_write, toy_prefer, toy_rate, **options)


def toy_question(target: int, walk: int = 0) -> str:
    """The toy's question, whose right answer is ``target``; ``walk`` makes it another sample."""
    return f"Reach {target} from 0 by adding 1 or 2. Walk {walk}."


def toy_value(state: Trace) -> float:
    """Probability that the toy policy ends right from ``state``."""
    return _value(_distance("\n".join([state.question, *(step.text for step in state.steps)])))


@cache
def _value(left: int) -> float:
    return (_value(left - 1) + _value(left - 2)) / 2 if left > 0 else float(left == 0)


def _distance(prompt: str) -> int:
    """What is left to the target; negative once the walk has stepped over it."""
    return _target(prompt) - int([0, *re.findall(r"\d\+\d=(\d+)", prompt)][-1])


def _target(prompt: str) -> int:
    return int(re.findall(r"Reach (\d+)", prompt)[0])


def toy_prefer(request: ChoiceRequest) -> Sequence[float]:
    """The toy policy's probability of each next action."""
    actions = list(_STEPS_OF_ONE) if _distance(flat_text(request.prompt)) > 0 else [Factor.ANSWER]
    likely = {start_tag(factor): 1 / len(actions) for factor in actions}
    return [likely.get(choice, 0.0) for choice in request.choices]


def toy_rate(request: ScoreRequest) -> Score:
    """The toy policy's true log-probabilities, three tokens a step: opening tag, words, end tag.

    The text begins at the start of a step and is scored as far as it holds whole steps.
    """
    tail = parse_tail(request.text)
    prompt, logprobs, ends = flat_text(request.prompt), list[float](), list[int]()
    for step, (begin, end) in zip(tail.steps, tail.offsets, strict=True):
        opening, closing = start_tag(step.factor), end_tag(step.factor)
        (action,) = toy_prefer(ChoiceRequest(prompt, (opening,)))
        words = _toy_words(prompt, step)
        logprobs += [math.log(max(action, _NEVER)), math.log(max(words, _NEVER)), 0.0]
        ends += [begin + len(opening), end - len(closing), end]
        prompt += request.text[begin:end]
    return Score(tuple(logprobs), tuple(ends))


def _toy_words(prompt: str, step: Step) -> float:
    """Probability of a step's words, given its factor."""
    total = _target(prompt) - _distance(prompt)
    if step.factor is Factor.ANSWER:
        return float(step.text == str(total))
    one = _STEPS_OF_ONE.get(step.factor, 0.5)
    likely = {f"{total}+1={total + 1}": one, f"{total}+2={total + 2}": 1 - one}
    return likely.get(step.text, 0.0)


def toy_write(request: CompletionRequest) -> str:
    """The toy policy's walk from the prompt to the answer."""
    rng = random.Random(request.seed)
    prompt = flat_text(request.prompt)
    distance = _distance(prompt)
    total = _target(prompt) - distance
    factor = next((f for f in Factor if prompt.endswith(start_tag(f))), None)
    text = ""
    while True:
        if factor is None:
            factor = rng.choice(list(_STEPS_OF_ONE)) if distance > 0 else Factor.ANSWER
            text += start_tag(factor)
        if factor is Factor.ANSWER:
            return f"{text}{total}{end_tag(factor)}{THINK_END}{total}"
        add = 1 if rng.random() < _STEPS_OF_ONE.get(factor, 0.5) else 2
        text += f"{total}+{add}={total + add}{end_tag(factor)}"
        total, distance, factor = total + add, distance - add, None
