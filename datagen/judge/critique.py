"""The judge that is a language model: it is asked for a critique of the whole trace, k times.

Votes are samples like rollouts: each has its own sample index, and so its own seed and journal
entry. More votes can be asked for later without drawing the first ones again.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from datagen.engines.protocol import Answer, Completion, CompletionRequest, Request, Sampling
from datagen.judge.vote import Judge, Vote
from datagen.prompts import critique, instruct_critique
from datagen.prompts.native import text_of
from datagen.traces.model import Trace
from schemas import JudgeName

Style = Literal["native", "instruct"]
"""How a model is asked: in the reasoner's own markup, or in plain words."""

CRITIQUE_SAMPLING: Final = Sampling(temperature=1.0, max_tokens=512)
"""As the embedded reasoner was trained, whose critiques take up to about 350 tokens."""


@dataclass(frozen=True, slots=True)
class _Opinion:
    first_error: int | None
    quote: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Style:
    name: JudgeName
    prompt: Callable[[Trace], str]
    read: Callable[[str, Trace], _Opinion]


def critique_judge(
    *, n_votes: int = 3, sampling: Sampling = CRITIQUE_SAMPLING, style: Style = "native"
) -> Judge:
    """A judge that asks a model for ``n_votes`` critiques of each trace.

    Args:
        n_votes: critiques per trace. One at temperature 0 is the greedy critique; several at
            temperature 0 are all the same.
        sampling: how they are drawn.
        style: how the model is asked.

    Raises:
        ValueError: if ``n_votes`` is not positive.
    """
    if n_votes < 1:
        raise ValueError(f"n_votes={n_votes!r} must be at least 1")
    form = _STYLES[style]

    def judge(trace: Trace, /) -> Generator[Sequence[Request], Sequence[Answer], list[Vote]]:
        prompt = form.prompt(trace)
        requests = [CompletionRequest(prompt, sampling, vote_idx) for vote_idx in range(n_votes)]
        answers = yield requests
        return [
            _vote(form, trace, request, cast(Completion, answer))
            for request, answer in zip(requests, answers, strict=True)
        ]

    return judge


def _vote(form: _Style, trace: Trace, request: CompletionRequest, completion: Completion) -> Vote:
    text = text_of(completion)
    # A critique that was cut off has not come to its verdict, whatever it says on the way.
    opinion = form.read(text, trace) if completion.finish == "stop" else _Opinion(None, "", text)
    return Vote(
        form.name,
        request.sample_idx,
        opinion.first_error,
        opinion.quote,
        opinion.reason,
        completion.n_tokens,
        request,
    )


def _read_native(text: str, trace: Trace) -> _Opinion:
    reading = critique.read_critique(text, trace)
    if reading.first_error is None:
        return _Opinion(None, "", text)
    quote = trace.steps[reading.first_error].text if reading.first_error >= 0 else ""
    return _Opinion(reading.first_error, quote, reading.reason)


def _read_instruct(text: str, trace: Trace) -> _Opinion:
    reading = instruct_critique.read_critique(text, trace)
    return _Opinion(reading.first_error, reading.quote, text)


_STYLES: Final[dict[Style, _Style]] = {
    "native": _Style("native_critique", critique.critique_prompt, _read_native),
    "instruct": _Style("instruct_critique", instruct_critique.critique_prompt, _read_instruct),
}
