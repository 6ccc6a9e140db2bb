"""Engine ``openai``: any server with OpenAI's interface, as exactly as it allows.

What is asked is always the same; how it is asked depends on the server. vLLM is spoken to in token
ids, so every continuation, choice and score is exact. Other servers continue text where they have
``/completions``, and only conversations where they have not. What a server does not tell is left
open (NaN, an empty score) rather than guessed, but for choices, which fall back to equal weights.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from datagen.engines.loop_thread import LoopThread
from datagen.engines.openai.chat import CONTINUE_VERSION, chat_turns
from datagen.engines.openai.choices import branches, matched, probability, walked
from datagen.engines.openai.http_client import HttpClient, RefusedError
from datagen.engines.openai.replies import (
    Reply,
    read_completion,
    read_echo,
    read_prompt_score,
)
from datagen.engines.openai.server import NEUTRAL, OpenAIServer, by_id, next_token
from datagen.engines.protocol import (
    Chat,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Prompt,
    Score,
    ScoreRequest,
    Usage,
)
from datagen.errors import EngineError

Q = TypeVar("Q")
A = TypeVar("A")

_VERSION: Final = 1
"""Part of the fingerprint; raise it with any change that alters what a request yields."""

_SEED_BITS: Final = 0x7FFF_FFFF
"""Some servers take no more than 31 bits."""

_MOST_BRANCHES: Final = 128
"""vLLM's limit on token ids in one request."""

_logger: Final = logging.getLogger(__name__)


class OpenAIEngine:
    """A model behind an OpenAI-compatible server.

    Args:
        model: name by which the server knows it.
        url: base address, with ``/v1``.
        endpoint: ``"completions"`` insists on exact continuation; ``"chat"`` asks for everything in
            conversations; ``"auto"`` prefers the former and puts up with the latter.
        key_variable: environment variable that holds the key; if it is unset, none is sent.
        timeout_s: longest wait for one answer.
        max_retries: attempts after the first.
        concurrency: most requests in flight.

    Attributes:
        n_unweighed: choices that the server told nothing about and that were weighed equally.

    Raises:
        EngineError: if the server cannot be reached or does not serve the model.
    """

    batch_size = 1

    def __init__(
        self,
        model: str,
        *,
        url: str,
        endpoint: Literal["auto", "completions", "chat"] = "auto",
        key_variable: str = "OPENAI_API_KEY",
        timeout_s: float = 600.0,
        max_retries: int = 8,
        concurrency: int = 2048,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            shown = f"{parts.scheme}://{parts.hostname}{parts.path}"
            raise EngineError(
                f'engine.url={shown!r} cannot be used; give it as "http://host:port/v1", and a key '
                "in the environment variable that engine.key_variable names"
            )
        self.concurrency = concurrency
        self.usage = Usage()
        self.n_unweighed = 0
        self._endpoint: Literal["auto", "completions", "chat"] = endpoint
        self._http = HttpClient(
            key_variable=key_variable,
            timeout_s=timeout_s,
            max_retries=max_retries,
            concurrency=concurrency,
            usage=self.usage,
        )
        self._server = OpenAIServer(url, model, http=self._http, usage=self.usage)
        self._thread = LoopThread("openai-engine")
        try:
            self._thread.run_and_wait(self._server.open(endpoint))
        except BaseException:
            self.close()
            raise
        worded = "" if self._server.mode == "ids" else f"-continue{CONTINUE_VERSION}"
        self.fingerprint = (
            f"openai:{model}:{self._server.revision}:{self._server.mode}{worded}:v{_VERSION}"
        )

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Sample one completion per request; a prompt that does not fit yields an empty one.

        Raises:
            EngineError: if the server fails, refuses, or answers as another model.
        """
        return await self._each(self._complete, requests)

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Weigh the choices of each request by their tokens or, failing that, by their beginnings.

        Raises:
            EngineError: as in :meth:`complete`.
        """
        return await self._each(self._choose, requests)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score the text of each request; without entries where the server cannot.

        Raises:
            EngineError: as in :meth:`complete`.
        """
        return await self._each(self._score, requests)

    def close(self) -> None:
        """Cancel what is under way and close all connections."""
        self._thread.close(self._http.close)

    async def _each(
        self, answer: Callable[[Q], Coroutine[Any, Any, A]], requests: Sequence[Q]
    ) -> list[A]:
        if self._thread.closed:
            raise EngineError("this engine is closed; open it again with open_engine")

        async def all_of_them() -> list[A]:
            tasks = [asyncio.create_task(answer(request)) for request in requests]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

        return await self._thread.run(all_of_them())

    # --- completions -------------------------------------------------------------------------

    async def _complete(self, request: CompletionRequest) -> Completion:
        sampling, vllm = request.sampling, self._server.vllm
        # vLLM refuses a limit that the context could never hold.
        most = min(sampling.max_tokens, self._server.card.max_model_len or sampling.max_tokens)
        body: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed & _SEED_BITS,
            "n": 1,
            **NEUTRAL.get(self._server.card.owned_by or "", {}),
        }
        if vllm:
            body |= {
                "stop": list(sampling.stop),
                "include_stop_str_in_output": bool(sampling.stop),
                "skip_special_tokens": False,
                "spaces_between_special_tokens": False,
                "return_tokens_as_token_ids": False,
            }
        # Other servers leave the stop string out and do not say whether there was one. They write
        # on to the limit, which for a segment is near, and the text is cut here.
        try:
            reply, given = await self._generate(request.prompt, body, most)
        except RefusedError as error:
            if not error.too_long:
                raise
            return Completion("", "context", (), ())
        return read_completion(reply, sampling, given=given, stops_told=vllm)

    async def _generate(
        self, prompt: Prompt, body: dict[str, Any], max_tokens: int, *, top: bool = False
    ) -> tuple[Reply, str]:
        """Have a prompt continued.

        Args:
            prompt: the prompt.
            body: what to ask besides.
            max_tokens: most tokens.
            top: whether to ask for the likeliest tokens, too.

        Returns:
            The reply, and the text that it may have repeated.
        """
        server = self._server
        if server.mode == "chat" or (server.mode == "text" and isinstance(prompt, Chat)):
            if self._endpoint == "completions":
                raise EngineError(
                    f"{server.url} takes no conversations on /completions; set engine.endpoint to "
                    '"auto", or engine.prompts to "native"'
                )
            options = await server.chat_options()
            turns, given = chat_turns(prompt, prefills=server.vllm)
            if options.n_top:
                turns |= {"logprobs": True} | ({"top_logprobs": options.n_top} if top else {})
            body = {**body, **turns, options.limit: max_tokens}
            return await server.generate("/chat/completions", body), given
        if server.vllm:
            logprobs = {"logprobs": server.n_top if top else 0}
        else:
            logprobs = {"logprobs": server.n_top if top else 1} if server.n_top else {}
        text = prompt if isinstance(prompt, str) else await server.ids(prompt)
        body = {**body, "prompt": text, "max_tokens": max_tokens, **logprobs}
        return await server.generate("/completions", body), ""

    # --- choices -----------------------------------------------------------------------------

    async def _choose(self, request: ChoiceRequest) -> Choice:
        try:
            if self._server.mode == "ids":
                return Choice(await self._walk(request))
            if self._server.echo and isinstance(request.prompt, str):
                scores = await asyncio.gather(
                    *(self._echoed(request.prompt, choice) for choice in request.choices)
                )
                return Choice(tuple(map(probability, scores)))
            reply, _ = await self._generate(request.prompt, {"temperature": 1.0}, 1, top=True)
        except RefusedError as error:
            if not error.too_long:
                raise
            return Choice((0.0,) * len(request.choices))
        told = matched(request.choices, reply.choices[0].likely())
        if told is None:
            if not self.n_unweighed:
                _logger.warning(
                    "%s tells nothing about the choices %.80r; they are weighed equally, here and "
                    "wherever that happens again",
                    self._server.url,
                    request.choices,
                )
            self.n_unweighed += 1
            told = (1 / len(request.choices),) * len(request.choices)
        return Choice(told)

    async def _walk(self, request: ChoiceRequest) -> tuple[float, ...]:
        """Exactly, through the tree of the choices' tokens."""
        choices = [tuple(await self._server.ids(choice)) for choice in request.choices]
        nodes = branches(choices)
        # Where nothing is appended, the server may as well tokenise the prompt.
        bare = request.prompt if set(nodes) == {()} and isinstance(request.prompt, str) else None
        prompt = await self._server.ids(request.prompt, special=True) if bare is None else []

        async def told(node: tuple[int, ...], ids: Sequence[int]) -> dict[int, float]:
            body = next_token([*prompt, *node] if bare is None else bare, ids)
            return by_id(await self._server.generate("/completions", body))

        asked = [
            (node, ids[begin : begin + _MOST_BRANCHES])
            for node, ids in nodes.items()
            for begin in range(0, len(ids), _MOST_BRANCHES)
        ]
        logprobs: dict[tuple[int, ...], dict[int, float]] = {node: {} for node in nodes}
        answers = await asyncio.gather(*(told(node, ids) for node, ids in asked))
        for (node, _), answer in zip(asked, answers, strict=True):
            logprobs[node] |= answer
        return walked(choices, logprobs)

    # --- scores ------------------------------------------------------------------------------

    async def _score(self, request: ScoreRequest) -> Score:
        try:
            if self._server.mode == "ids":
                return await self._read(request)
            if self._server.echo and isinstance(request.prompt, str):
                return await self._echoed(request.prompt, request.text)
        except RefusedError as error:
            if not error.too_long:
                raise
        return Score((), ())

    async def _read(self, request: ScoreRequest) -> Score:
        """Exactly, prompt and text tokenised apart as if the text had been generated."""
        prompt = await self._server.ids(request.prompt, special=True)
        text = await self._server.ids(request.text)
        # vLLM does not read without writing, so one place of the context stays free.
        context = self._server.card.max_model_len or len(prompt) + len(text) + 1
        text = text[: max(context - 1 - len(prompt), 0)]
        if not text:
            return Score((), ())
        body = {"prompt": [*prompt, *text], "max_tokens": 1, "prompt_logprobs": 0}
        reply = await self._server.generate("/completions", body)
        return read_prompt_score(reply, request.text, text)

    async def _echoed(self, prompt: str, text: str) -> Score:
        """By echo: the server tokenises both as one, so a token may lie across the seam."""
        body = {"prompt": prompt + text, "max_tokens": 1, "logprobs": 1, "echo": True}
        reply = await self._server.generate("/completions", body)
        return read_echo(reply, prompt, text)
