"""What servers answer, read into completions; pure functions over checked JSON.

Servers agree on the text and on little else. Tokens may come with or without the prompt's offset,
as two formats of log-probabilities, with an end-of-text token that has no place in the text, or not
at all. So a token's end is found by laying the tokens along the text, never by a server's offsets.
"""

import math
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, Field

from datagen.engines.openai.token_layout import behind_stop, repeated, since, token_ends
from datagen.engines.protocol import Completion, Finish, Sampling, Score
from datagen.errors import EngineError

_CHARACTERS_PER_TOKEN: Final = 4
"""For servers that do not even count."""


class _Likely(BaseModel):
    token: str
    logprob: float | None = None


class _Token(_Likely):
    top_logprobs: list[_Likely] = []


class _Logprobs(BaseModel):
    """Either ``content`` (chat endpoints, llama.cpp) or the three lists."""

    content: list[_Token] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None


class _PromptToken(BaseModel):
    logprob: float
    decoded_token: str | None = None


class _Message(BaseModel):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _CachedTokens(BaseModel):
    cached_tokens: int | None = None


class ReplyUsage(BaseModel):
    """Tokens that the server has counted."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    prompt_tokens_details: _CachedTokens | None = None

    @property
    def n_cached(self) -> int:
        """Prompt tokens found in a cache, if the server tells."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0


class ReplyChoice(BaseModel):
    """One generated text."""

    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    logprobs: _Logprobs | None = None
    prompt_logprobs: list[dict[str, _PromptToken] | None] | None = None

    @property
    def thought(self) -> str:
        """What a reasoning parser on the server has taken out of the text."""
        message = self.message or _Message()
        return message.reasoning or message.reasoning_content or ""

    @property
    def said(self) -> str:
        """The text, without the thought."""
        return self.text or (self.message and self.message.content) or ""

    def tokens(self) -> list[tuple[str, float]] | None:
        """Each token and its log-probability (NaN if unknown); ``None`` if there is no telling."""
        told = self.logprobs
        if told is None:
            return None
        if told.content is not None:
            pairs = [(token.token, token.logprob) for token in told.content]
        elif told.tokens is not None and told.token_logprobs is not None:
            pairs = list(zip(told.tokens, told.token_logprobs, strict=True))
        else:
            return None
        return [(token, math.nan if value is None else value) for token, value in pairs]

    def likely(self) -> dict[str, float]:
        """The likeliest first tokens that are told, and their log-probabilities."""
        told = self.logprobs or _Logprobs()
        if told.content:
            top = {like.token: like.logprob for like in told.content[0].top_logprobs}
        else:
            top = (told.top_logprobs or [None])[0] or {}
        return {token: value for token, value in top.items() if value is not None}


class Reply(BaseModel):
    """The answer of ``/completions`` or ``/chat/completions``."""

    model: str | None = None
    choices: list[ReplyChoice] = Field(min_length=1)
    usage: ReplyUsage | None = None


def read_completion(
    reply: Reply, sampling: Sampling, *, given: str = "", stops_told: bool = False
) -> Completion:
    """Read the first choice of a reply.

    A text that was cut off by something other than the model (a content filter, an abort) has ended
    before its end, and is taken as one that reached its limit.

    Args:
        reply: the server's answer.
        sampling: what was asked for.
        given: text that the reply was asked to continue and may have repeated instead.
        stops_told: whether the server has applied the stop strings and says which, as vLLM does.
            Otherwise the text is cut here.
    """
    choice = reply.choices[0]
    text, told = choice.said, choice.tokens()
    n_generated = (reply.usage and reply.usage.completion_tokens) or len(told or ())
    by_itself, stopped_by = choice.finish_reason == "stop", choice.stop_reason
    if stops_told and by_itself and sampling.stop and told and not isinstance(stopped_by, str):
        # To keep the stop string is, for vLLM, to keep the end-of-text token as well.
        text = text.removesuffix(told[-1][0])
    finish: Finish = "stop" if by_itself else "length"
    if choice.finish_reason == "length" and n_generated < sampling.max_tokens:
        finish = "context"
    if choice.thought:
        # Its tokens are counted but not told.
        text = f"<think>{choice.thought}</think>{text[repeated(given, text) :]}"
        given, told = "", None
    if told is None:
        n = n_generated or math.ceil(len(text) / _CHARACTERS_PER_TOKEN)
        logprobs, ends = [math.nan] * n, [len(text) * (idx + 1) // n for idx in range(n)]
    else:
        logprobs = [logprob for _, logprob in told]
        ends = token_ends(text, [token for token, _ in told])
    if ends:
        ends[-1] = len(text)
    completion = Completion(text, finish, tuple(logprobs), tuple(ends))
    completion = since(completion, repeated(given, text))
    return completion if stops_told else behind_stop(completion, sampling.stop)


def read_prompt_score(reply: Reply, text: str, ids: Sequence[int]) -> Score:
    """Read vLLM's log-probabilities of a prompt that ends with the tokens ``ids`` of ``text``.

    Args:
        reply: answer to a request with ``prompt_logprobs``.
        text: what was scored.
        ids: its tokens, or the first of them if it did not fit.

    Raises:
        EngineError: if the server left the log-probabilities out.
    """
    told = reply.choices[0].prompt_logprobs
    if told is None or len(told) < len(ids):
        raise EngineError(
            "the server was asked for prompt_logprobs and told none; serve the model with a vLLM "
            "that has them (0.32 has)"
        )
    rows = [(row or {}).get(str(id_)) for id_, row in zip(ids, told[-len(ids) :], strict=True)]
    ends = token_ends(text, [(row and row.decoded_token) or "" for row in rows])
    return Score(tuple(row.logprob if row else math.nan for row in rows), tuple(ends))


def read_echo(reply: Reply, prompt: str, text: str) -> Score:
    """Read the score of ``text`` behind ``prompt`` from a reply that repeats both.

    A token that lies across the seam counts for the text. Without entries if the server changed
    what it was given.
    """
    choice = reply.choices[0]
    told, begin, end = choice.tokens(), len(prompt), len(prompt) + len(text)
    if told is None or not choice.said.startswith(prompt + text):
        return Score((), ())
    ends = token_ends(choice.said, [token for token, _ in told])
    kept = [
        (logprob, min(here, end) - begin)
        for (_, logprob), before, here in zip(told, [0, *ends], ends, strict=False)
        if here > begin and before < end
    ]
    return Score(tuple(logprob for logprob, _ in kept), tuple(offset for _, offset in kept))
