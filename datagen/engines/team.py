"""An engine made of several models: the policy, replicas that propose, a guide that judges.

The surprising fact: a team has the fingerprint of its policy. What the policy said stays valid in a
journal whoever else joins or leaves; a request to another member carries that member's fingerprint
in ``model``, which is part of the request's own identity.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import NamedTuple

from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Engine,
    Evaluation,
    EvaluationRequest,
    Score,
    ScoreRequest,
    Usage,
    no_value_model,
)
from datagen.errors import ConfigError, EngineError
from datagen.guides import Guide


class Members(NamedTuple):
    """Whom a search can name in ``model``, besides the policy itself.

    Attributes:
        replicas: fingerprints of further models that write, in the order of the settings.
        guide: fingerprint of the value model; ``None`` if there is none.
        has_policy: whether the value model's evaluations come with a policy.
    """

    replicas: tuple[str, ...] = ()
    guide: str | None = None
    has_policy: bool = False


class EngineTeam:
    """Routes each request to the member that it names.

    Batches are those of the policy; a replica that takes smaller ones gets a batch in pieces.

    Args:
        policy: is asked for all that names no other model.
        replicas: further models that complete prompts, asked in the policy's dialect.
        guide: evaluates states.

    Attributes:
        fingerprint: the policy's.
        batch_size: the policy's.
        concurrency: the policy's, as of its last answer.
        usage: of all members that write, added up after each call.
        members: the others.

    Raises:
        ConfigError: if two members that write are the same model.
    """

    def __init__(
        self, policy: Engine, replicas: Sequence[Engine] = (), guide: Guide | None = None
    ) -> None:
        self._policy, self._guide = policy, guide
        self._writers = {"": policy, **{replica.fingerprint: replica for replica in replicas}}
        everyone = [policy.fingerprint, *(replica.fingerprint for replica in replicas)]
        if twice := [name for name in everyone if everyone.count(name) > 1]:
            raise ConfigError(
                f"the model {twice[0]!r} is in the team more than once; name each of "
                "engine.model and search.replica_models once, and give one model several "
                "search.replica_temperatures instead"
            )
        self.fingerprint, self.batch_size = policy.fingerprint, policy.batch_size
        self.concurrency = policy.concurrency
        self.usage = Usage()
        self._add_up()
        self.members = Members(
            tuple(everyone[1:]),
            guide.fingerprint if guide else None,
            guide.has_policy if guide else False,
        )

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Sample one completion per request, in order, each from the model that it names."""
        by_model: dict[str, list[int]] = {}
        for idx, request in enumerate(requests):
            by_model.setdefault(request.model, []).append(idx)
        answers: dict[int, Completion] = {}
        with self._counted():
            for model, places in by_model.items():
                writer = self._writer(model)
                for start in range(0, len(places), writer.batch_size):
                    some = places[start : start + writer.batch_size]
                    completions = await writer.complete([requests[idx] for idx in some])
                    answers |= zip(some, completions, strict=True)
        return [answers[idx] for idx in range(len(requests))]

    def _writer(self, model: str) -> Engine:
        if model not in self._writers:
            raise EngineError(
                f"the team of {self.fingerprint!r} has no model {model!r} that writes; it has "
                f"{', '.join(map(repr, self.members.replicas)) or 'no replicas'}: name the model "
                "in search.replica_models"
            )
        return self._writers[model]

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Let the policy weigh the choices of each request, in order."""
        with self._counted():
            return await self._policy.choose(requests)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Let the policy score the text of each request, in order."""
        with self._counted():
            return await self._policy.score(requests)

    async def evaluate(self, requests: Sequence[EvaluationRequest]) -> list[Evaluation]:
        """Let the guide judge the state of each request, in order.

        Beside an engine that forms its own batches it runs in a thread, so that answers of the
        others are heard meanwhile.
        """
        if self._guide is None:
            raise no_value_model(self.fingerprint)
        for request in requests:
            if request.model != self._guide.fingerprint:
                raise EngineError(
                    f"the team of {self.fingerprint!r} has no value model {request.model!r}; its "
                    f"own is {self._guide.fingerprint!r}: set search.value_model to the other one"
                )
        states = [request.state for request in requests]
        answers: list[Evaluation] = []
        for start in range(0, len(states), self._guide.batch_size):
            some = states[start : start + self._guide.batch_size]
            if self.batch_size == 1:
                answers += await asyncio.to_thread(self._guide.evaluate, some)
            else:
                answers += self._guide.evaluate(some)
        return answers

    @contextmanager
    def _counted(self) -> Generator[None]:
        """Bring counters and concurrency up to date after a call, also after one that failed."""
        try:
            yield
        finally:
            self._add_up()
            self.concurrency = self._policy.concurrency

    def _add_up(self) -> None:
        counts = [asdict(writer.usage) for writer in self._writers.values()]
        for name in counts[0]:
            setattr(self.usage, name, sum(count[name] for count in counts))

    def close(self) -> None:
        """Close all members, even if one of them fails to."""
        errors: list[Exception] = []
        for writer in self._writers.values():
            try:
                writer.close()
            except Exception as error:  # the others hold memory and processes too
                errors.append(error)
        if errors:
            raise errors[0]


def members_of(engine: Engine) -> Members:
    """Whom a search over this engine can name; nobody, if it is no team."""
    return engine.members if isinstance(engine, EngineTeam) else Members()
