"""One OpenAI-compatible server: what it serves, what it can do, and requests that are checked.

Servers do not say what they can do, so at opening a few one-token requests try it out, the richest
first. Every answer must name the model that was asked for: behind an address there may be another
one tomorrow, and its words would go into the journal under the wrong name.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel

from datagen.engines.openai.http_client import HttpClient, RefusedError
from datagen.engines.openai.remembered import Remembered
from datagen.engines.openai.replies import Reply
from datagen.engines.protocol import Chat, Usage
from datagen.errors import EngineError

Mode = Literal["ids", "text", "chat"]
"""How the server takes a text to continue: as token ids too (vLLM), as text, or not at all."""

_PROBE: Final = "1 + 1 ="
_PATIENCE: Final = 3
"""Retries while opening: a wrong address should not take a minute to notice."""
_MOST_REMEMBERED: Final = 4096
_ABSENT: Final = frozenset({404, 405, 501})
_BARRED: Final = frozenset({401, 403})

NEUTRAL: Final[dict[str, dict[str, float]]] = {
    "vllm": {
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    },
    "sglang": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "typical_p": 1.0, "repeat_penalty": 1.0},
}
"""By ``owned_by``: what turns off the server's or model's own sampling defaults.

These would make samples differ from the policy whose log-probabilities are reported."""


class Card(BaseModel):
    """An entry of ``/models``."""

    id: str
    owned_by: str | None = None
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None


class _Cards(BaseModel):
    data: list[Card]


class _Ids(BaseModel):
    tokens: list[int]


class ChatOptions(NamedTuple):
    """How ``/chat/completions`` wants to be asked.

    Attributes:
        limit: name of its token limit.
        n_top: most likely tokens that it reports; 0 if it tells no log-probabilities.
    """

    limit: str
    n_top: int


class OpenAIServer:
    """Asks one model on one server. It is used from one event loop; :meth:`open` comes first.

    Args:
        url: base address, with ``/v1``.
        model: name by which the server knows it.
        http: carries the requests.
        usage: where tokens are counted.

    Attributes:
        card: what the server tells of the model.
        mode: how it takes a text to continue.
        echo: whether it reports log-probabilities of the prompt (modes other than ``"ids"``).
        n_top: most likely tokens that ``/completions`` reports; 0 if it tells no log-probabilities.
        revision: what tells apart models of one name, as far as the server lets on.
    """

    def __init__(self, url: str, model: str, *, http: HttpClient, usage: Usage) -> None:
        self.url = url.rstrip("/")
        self._root = self.url.removesuffix("/v1")
        self._model, self._http, self._usage = model, http, usage
        self._names = {model}
        self._snapshot = re.compile(re.escape(model) + r"[-@:]\d[\d-]{3,}")
        self._remembered_ids = Remembered(self._tokenised, most=_MOST_REMEMBERED)
        self._remembered_chat = Remembered(self._try_chat, most=1)
        self.card = Card(id=model)
        self.mode: Mode = "text"
        self.echo, self.n_top = False, 0

    @property
    def vllm(self) -> bool:
        """Whether it takes vLLM's extensions."""
        return self.card.owned_by == "vllm"

    @property
    def revision(self) -> str:
        """Where the weights come from, or the dated name behind an alias."""
        return self.card.root or min(self._names)

    async def open(self, endpoint: Literal["auto", "completions", "chat"]) -> None:
        """Find out what the server serves and can do.

        Raises:
            EngineError: if it does not serve the model, or not in the way that is asked for.
        """
        await self._look_up_model()
        if endpoint != "chat" and await self._takes_text(required=endpoint == "completions"):
            self.mode = "ids" if self.vllm and await self._takes_ids() else "text"
            return
        self.mode = "chat"
        await self.chat_options()

    # --- requests ----------------------------------------------------------------------------

    async def generate(
        self, path: str, body: dict[str, Any], *, max_retries: int | None = None
    ) -> Reply:
        """Put a request that generates, and count its tokens.

        Raises:
            RefusedError: if the server refuses it.
            EngineError: if the server fails, or another model answers.
        """
        reply = await self._http.ask(
            Reply.model_validate,
            "POST",
            f"{self.url}{path}",
            {"model": self._model, **body},
            max_retries=max_retries,
        )
        self._check_model(reply.model)
        if reply.usage:
            self._usage.n_prompt_tokens += reply.usage.prompt_tokens
            self._usage.n_cached_tokens += reply.usage.n_cached
            self._usage.n_generated_tokens += reply.usage.completion_tokens
        return reply

    async def ids(self, text: str | Chat, *, special: bool = False) -> list[int]:
        """Token ids of a text or conversation, the prefill included; remembered.

        Args:
            text: what to tokenise.
            special: whether a text gets the token that opens texts; conversations get what their
                template writes.
        """
        return await self._remembered_ids((text, special))

    async def chat_options(self) -> ChatOptions:
        """How ``/chat/completions`` wants to be asked, tried out once."""
        return await self._remembered_chat("")

    # --- opening -----------------------------------------------------------------------------

    async def _look_up_model(self) -> None:
        try:
            cards = await self._http.ask(
                _Cards.model_validate,
                "GET",
                f"{self.url}/models",
                max_retries=_PATIENCE,
            )
        except RefusedError as error:
            if error.status not in _ABSENT:
                raise
            return  # some gateways keep no list; the first request will tell
        by_id = {card.id: card for card in cards.data}
        if self._model not in by_id:
            served = ", ".join(map(repr, list(by_id)[:10])) or "nothing"
            raise EngineError(
                f"{self.url} does not serve engine.model={self._model!r} but {served}; set "
                "engine.model to a name that it serves, or engine.url to another server"
            )
        self.card = by_id[self._model]
        if self.card.max_model_len is None and self.card.parent in by_id:  # an adapter
            self.card.max_model_len = by_id[self.card.parent].max_model_len
        # vLLM answers in the first of a model's names, whichever was used.
        self._names |= {c.id for c in cards.data if c.root and c.root == self.card.root}

    async def _takes_text(self, *, required: bool) -> bool:
        """Whether ``/completions`` answers; notes what it can do besides."""
        rungs = [{"logprobs": 1, "echo": True}, {"logprobs": 20}, {"logprobs": 5}, {}]
        for rung in rungs:
            try:
                reply = await self.generate(
                    "/completions",
                    {"prompt": _PROBE, "max_tokens": 1, **rung},
                    max_retries=_PATIENCE,
                )
            except EngineError as error:
                refused = isinstance(error, RefusedError)
                if refused and error.status in _BARRED:
                    raise
                if (refused and error.status in _ABSENT) or rung == rungs[-1]:
                    if required or not refused:
                        raise
                    return False
                continue
            choice = reply.choices[0]
            told = choice.tokens()
            self.n_top = rung.get("logprobs", 0) if told else 0
            if "echo" in rung:
                # Some servers accept the word and do not echo.
                self.echo = choice.said.startswith(_PROBE) and told is not None and len(told) > 1
                if not self.echo:
                    continue
            return True
        return True

    async def _takes_ids(self) -> bool:
        """Whether vLLM's tokenizer can be reached, and next tokens can be asked for by id."""
        try:
            ids = sorted(set(await self.ids(_PROBE, special=True)))
            reply = await self.generate("/completions", next_token(ids, ids), max_retries=_PATIENCE)
        except RefusedError:
            return False
        return set(ids) <= set(by_id(reply))

    async def _try_chat(self, _: str) -> ChatOptions:
        refusal: RefusedError | None = None
        for limit in ("max_tokens", "max_completion_tokens"):
            for n_top in (20, 5, 0):
                asked = {"logprobs": True, "top_logprobs": n_top} if n_top else {}
                message = {"role": "user", "content": _PROBE}
                try:
                    reply = await self.generate(
                        "/chat/completions",
                        {"messages": [message], limit: 1, **asked},
                        max_retries=_PATIENCE,
                    )
                except RefusedError as error:
                    if error.status in _BARRED | _ABSENT:
                        raise
                    refusal = error
                    continue
                told = reply.choices[0].tokens() is not None
                return ChatOptions(limit, n_top if told else 0)
        assert refusal is not None
        raise refusal

    # --- the rest ----------------------------------------------------------------------------

    async def _tokenised(self, key: tuple[str | Chat, bool]) -> list[int]:
        text, special = key
        if isinstance(text, str):
            return await self._tokenise({"prompt": text, "add_special_tokens": special})
        messages = [{"role": turn.role, "content": turn.content} for turn in text.messages]
        # Not vLLM's `continue_final_message`: templates of reasoning models rewrite a reply that
        # has begun (Qwen's sets an empty thought before it). What stands behind the opened reply
        # is what the model will go on from.
        opened = await self._tokenise({"messages": messages, "add_generation_prompt": True})
        return opened + (await self.ids(text.prefill) if text.prefill else [])

    async def _tokenise(self, body: dict[str, Any]) -> list[int]:
        answer = await self._http.ask(
            _Ids.model_validate, "POST", f"{self._root}/tokenize", {"model": self._model, **body}
        )
        return answer.tokens

    def _check_model(self, name: str | None) -> None:
        if name is None or name in self._names:
            return
        if self._names == {self._model} and self._snapshot.fullmatch(name):
            self._names = {name}  # an alias of a dated model, and of no other from now on
            return
        raise EngineError(
            f"{self.url} answers as model {name!r}, but engine.model={self._model!r} was asked. "
            "Its answers are not used; point engine.url at a server of that model"
        )


def next_token(prompt: str | list[int], ids: Sequence[int]) -> dict[str, Any]:
    """Body that asks vLLM for the probabilities of given tokens behind a prompt."""
    return {
        "prompt": prompt,
        "max_tokens": 1,
        "temperature": 1.0,
        "logprobs": len(ids),
        "logprob_token_ids": list(ids),
        "return_tokens_as_token_ids": True,
    }


def by_id(reply: Reply) -> dict[int, float]:
    """Token id -> log-probability, from the answer to :func:`next_token`."""
    return {
        int(token.removeprefix("token_id:")): value
        for token, value in reply.choices[0].likely().items()
        if token.startswith("token_id:")
    }
