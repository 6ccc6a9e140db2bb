"""What a search may ask of a language model, and what comes back.

The unit is one sample, not one prompt: each has its own key, seed and journal entry, so samples of
one prompt are independent and can be topped up later. An engine is handed batches and answers each
request of a batch in order. The order and make-up of batches is the scheduler's business; a
request's seed depends on its key alone.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

from datagen.errors import EngineError
from datagen.traces.model import Trace

Finish = Literal["stop", "length", "context"]
"""Why a completion ended: by itself, at ``max_tokens``, or for want of room in the context."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: 0 decodes greedily.
        top_p: nucleus mass, in (0, 1].
        max_tokens: most tokens to generate.
        stop: strings after which the completion ends; they stay part of its text.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The fields by name; what ``asdict`` gives, without its copying."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": self.stop,
        }


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation whose next turn the model has begun to write.

    An engine that can lays the model's own chat template over ``messages`` and lets the reply go on
    from ``prefill``, to the letter. A server that only takes whole turns is asked to continue it.

    Attributes:
        messages: the turns so far; the last one is the user's.
        prefill: how the reply begins.
    """

    messages: tuple[Message, ...]
    prefill: str = ""


Prompt = str | Chat
"""Text to continue as it stands, or a conversation."""


def flat_text(prompt: Prompt) -> str:
    """A prompt as one text, for whatever does not tell turns apart."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join([*(message.content for message in prompt.messages), prompt.prefill])


def _plain(prompt: Prompt) -> Any:
    return prompt if isinstance(prompt, str) else asdict(prompt)


@dataclass(frozen=True)
class CompletionRequest:
    """One sample of a continuation of ``prompt``; ``sample_idx`` tells its siblings apart.

    ``model`` is the fingerprint of the one that is asked, where an engine is made of several
    (:mod:`datagen.engines.team`); empty for the policy itself.
    """

    prompt: Prompt
    sampling: Sampling
    sample_idx: int
    model: str = ""

    @cached_property
    def identity(self) -> str:
        """Canonical text of the request, to which the journal adds the engine's fingerprint."""
        fields = [_plain(self.prompt), self.sampling.plain(), self.sample_idx]
        if self.model:
            fields.append(self.model)
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))

    @cached_property
    def seed(self) -> int:
        """Seed of this sample's randomness, 64 bits drawn from its identity."""
        return int.from_bytes(
            hashlib.sha256(self.identity.encode("utf-8", "surrogatepass")).digest()[:8], "big"
        )


def samples(
    prompt: Prompt, n: int, *, sampling: Sampling, first: int = 0
) -> list[CompletionRequest]:
    """Ask for samples ``first`` to ``first + n - 1`` of one prompt."""
    return [CompletionRequest(prompt, sampling, first + idx) for idx in range(n)]


@dataclass(frozen=True)
class ChoiceRequest:
    """The probability with which each of ``choices`` would follow ``prompt``."""

    prompt: Prompt
    choices: tuple[str, ...]

    @cached_property
    def identity(self) -> str:
        """Canonical text of the request, to which the journal adds the engine's fingerprint."""
        fields = [_plain(self.prompt), self.choices]
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class ScoreRequest:
    """How improbable each token of ``text`` is where it stands, after ``prompt``."""

    prompt: Prompt
    text: str

    @cached_property
    def identity(self) -> str:
        """Canonical text of the request, to which the journal adds the engine's fingerprint."""
        fields = [_plain(self.prompt), self.text]
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class EvaluationRequest:
    """What a value model thinks of a state; ``model`` is its fingerprint."""

    state: Trace
    model: str

    @cached_property
    def identity(self) -> str:
        """Canonical text of the request, to which the journal adds the engine's fingerprint."""
        steps = [[step.factor.value, step.text] for step in self.state.steps]
        fields = ["evaluate", self.model, self.state.question, steps, self.state.answer]
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


Request = CompletionRequest | ChoiceRequest | ScoreRequest | EvaluationRequest


@dataclass(frozen=True, slots=True)
class Completion:
    """Generated text.

    Attributes:
        text: what follows the prompt, stop string included, end-of-text token not.
        finish: why it ended.
        logprobs: natural log-probability of each token, untempered, ``(n_tokens,)``; NaN where a
            server does not tell.
        ends: offset in ``text`` at which each token ends, in characters, ``(n_tokens,)``. A closing
            end-of-text token has an entry as well, at the end of the text. Where a server does not
            tell, the tokens are taken to be equally long.
    """

    text: str
    finish: Finish
    logprobs: tuple[float, ...]
    ends: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        """Tokens generated, the end-of-text token included."""
        return len(self.logprobs)


@dataclass(frozen=True, slots=True)
class Choice:
    """Answer to a :class:`ChoiceRequest`.

    Attributes:
        probabilities: in the order of the choices; they need not sum to one, since the model could
            have written something else.
    """

    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Answer to a :class:`ScoreRequest`: the text, read by the model and not written.

    A text that does not fit in the context behind its prompt is scored as far as it fits; tokens
    beyond have no entries.

    Attributes:
        logprobs: natural log-probability of each token, untempered, ``(n_tokens,)``; what a
            :class:`Completion` of the same tokens reports.
        ends: offset in the text at which each token ends, in characters, ``(n_tokens,)``.
    """

    logprobs: tuple[float, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answer to an :class:`EvaluationRequest`.

    Attributes:
        value: probability that the state ends right, in [0, 1].
        policy: probability of each thought factor to come next, in the order of
            :data:`~datagen.factors.taxonomy.ACTIONS`; ``None`` if the model has no such head.
    """

    value: float
    policy: tuple[float, ...] | None = None


Answer = Completion | Choice | Score | Evaluation


@dataclass(slots=True)
class Usage:
    """What an engine has done since it was opened; one object, updated in place.

    Attributes:
        n_prompt_tokens: tokens of all prompts and scored texts, read or found in a cache.
        n_cached_tokens: those among them that did not have to be read again.
        n_generated_tokens: tokens generated, those of cancelled requests included.
        n_retries: requests put to a server again after it failed.
    """

    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    n_generated_tokens: int = 0
    n_retries: int = 0


class Engine(Protocol):
    """A language model that can be asked.

    A call that is cancelled stops generating, as far as the engine can.

    Attributes:
        fingerprint: identifies whatever shapes the output: model, revision, dtype, sampler version.
            It is part of every journal key.
        batch_size: most requests handed over in one call. An engine that forms its own batches
            takes 1, and many calls at once.
        concurrency: most calls under way at once; an engine may change it as it goes.
        usage: what it has done so far.
    """

    fingerprint: str
    batch_size: int
    concurrency: int
    usage: Usage

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Sample one completion per request, in order.

        A bad completion is data. Only a broken engine raises :class:`~datagen.errors.EngineError`.
        """
        ...

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Weigh the choices of each request, in order."""
        ...

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score the text of each request, in order; nothing is generated."""
        ...

    def close(self) -> None:
        """Free what the engine holds: processes, memory, connections. May be called twice."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """What an :class:`Engine` with a value model can do besides; most have none."""

    async def evaluate(self, requests: Sequence[EvaluationRequest]) -> list[Evaluation]:
        """Judge the state of each request, in order."""
        ...


def no_value_model(fingerprint: str) -> EngineError:
    """The error for an evaluation that is asked of an engine without a value model."""
    return EngineError(
        f"engine {fingerprint!r} has no value model to evaluate states with; set "
        "search.value_model to the folder of one"
    )
