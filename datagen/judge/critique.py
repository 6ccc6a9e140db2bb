"""The judge that is a language model: it is asked for a critique of the whole trace, k times.

Votes are samples like rollouts: each has its own sample index, and so its own seed and journal
entry. More votes can be asked for later without drawing the first ones again.
"""

from collections.abc import Generator, Sequence
from typing import Final, cast

from datagen.engines.protocol import (
    Answer,
    Completion,
    CompletionRequest,
    Request,
    Sampling,
    samples,
)
from datagen.judge.vote import Judge, Vote
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.prompts.reading import text_of
from datagen.traces.model import Trace

CRITIQUE_SAMPLING: Final = Sampling(temperature=1.0, max_tokens=512)
"""As the embedded reasoner was trained, whose critiques take up to about 350 tokens."""


def critique_judge(
    *, n_votes: int = 3, sampling: Sampling = CRITIQUE_SAMPLING, dialect: Dialect = NATIVE
) -> Judge:
    """A judge that asks a model for ``n_votes`` critiques of each trace.

    Args:
        n_votes: critiques per trace. One at temperature 0 is the greedy critique; several at
            temperature 0 are all the same.
        sampling: how they are drawn.
        dialect: how the model is asked.

    Raises:
        ValueError: if ``n_votes`` is not positive.
    """
    if n_votes < 1:
        raise ValueError(f"n_votes={n_votes!r} must be at least 1")

    def judge(trace: Trace, /) -> Generator[Sequence[Request], Sequence[Answer], list[Vote]]:
        requests = samples(dialect.critique_prompt(trace), n_votes, sampling=sampling)
        answers = yield requests
        return [
            _vote(dialect, trace, request, cast(Completion, answer))
            for request, answer in zip(requests, answers, strict=True)
        ]

    return judge


def _vote(
    dialect: Dialect, trace: Trace, request: CompletionRequest, completion: Completion
) -> Vote:
    opinion = dialect.read_critique(completion, trace)
    return Vote(
        dialect.critic,
        request.sample_idx,
        opinion.first_error,
        opinion.quote,
        opinion.reason,
        text_of(completion),
        opinion.remarks,
        completion.n_tokens,
        request,
    )
