"""A loopback server with OpenAI's interface that fails on purpose, in raw HTTP/1.1.

What it writes depends on prompt and seed alone, so a lost or doubled answer shows. Faults are laid
over its answers one request at a time, down to the bytes of the connection, which no HTTP library's
test double reaches.
"""

import asyncio
import hashlib
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

WORDS = ("so", "we", "add", "3", "and", "4", "then", "日本", "it", "is", "7.", "Done!\n")


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of its answer.

    ``status`` answers with an error; ``hang`` never answers; ``cut`` ends the connection within the
    body and ``drop`` before the first byte; ``truncate`` sends half of the JSON as if it were all;
    ``shape`` sends JSON that means nothing; ``model`` answers as another model.
    """

    kind: Literal["status", "hang", "cut", "drop", "truncate", "shape", "model"]
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    message: str = "on purpose"


def written(prompt: Any, seed: int, max_tokens: int) -> tuple[list[str], bool]:
    """The tokens of the server's answer, and whether it ended by itself."""
    rng = random.Random(hashlib.sha256(f"{prompt!r}|{seed}".encode()).digest())
    tokens = [f" {rng.choice(WORDS)}" for _ in range(rng.randint(3, 12))]
    return tokens[:max_tokens], len(tokens) < max_tokens


def logprob(token: str) -> float:
    return -len(token) / 8


@dataclass
class OpenAIServer:
    """The server; use it as a context manager.

    Args:
        model: the name that it serves.
        owned_by: as ``/models`` tells.
        abilities: of ``completions``, ``chat``, ``logprobs``, ``echo``, ``usage``, ``end``
            (an entry for the end-of-text token).
        fault: what happens to a generating request; called with its body, ``None`` for nothing.
        script: faults of the next generating requests, before ``fault`` is asked.
        delay_s: how long it takes to answer.
        capacity: requests at once; more are answered with 429.
        answer: the text of chat replies; ``None`` for written tokens.
    """

    model: str = "m"
    owned_by: str = "somebody"
    abilities: frozenset[str] = frozenset({"completions", "chat", "logprobs", "echo", "usage"})
    fault: Callable[[dict[str, Any]], Fault | None] = lambda _: None
    script: deque[Fault | None] = field(default_factory=deque[Fault | None])
    delay_s: float = 0.0
    capacity: int = 1_000_000
    reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    card: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight: list[tuple[float, int]] = []
        self.n_in_flight = self.n_served = self.n_hung_up = 0
        self.open_connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def generating(self, prompt: str | None = None) -> list[dict[str, Any]]:
        """Bodies of the generating requests, those of the engine's trials left out."""
        bodies = [body for body in self.asked if "1 + 1 =" not in json.dumps(body)]
        return [body for body in bodies if prompt is None or body.get("prompt") == prompt]

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=4096)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        self.headers.append(headers)
        if method == "GET" and path == "/v1/models":
            card = {"id": self.model, "owned_by": self.owned_by, **self.card}
            return await self._send(writer, 200, {"object": "list", "data": [card]})
        body = json.loads(raw)
        needed = {"/v1/completions": "completions", "/v1/chat/completions": "chat"}.get(path)
        if needed not in self.abilities:
            return await self._send(writer, 404, {"detail": "Not Found"})
        self.asked.append(body)
        fault = self.script.popleft() if self.script else self.fault(body)
        self.n_in_flight += 1
        self.in_flight.append((time.monotonic(), self.n_in_flight))
        try:
            if fault and fault.kind == "hang":
                await reader.read(1)  # returns once the client hangs up
                self.n_hung_up += 1
                return False
            if self.n_in_flight > self.capacity:
                await asyncio.sleep(self.delay_s)
                return await self._send(writer, 429, {"error": {"message": "too many requests"}})
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            return await self._answer(writer, body, fault, chat=needed == "chat")
        finally:
            self.n_in_flight -= 1

    async def _answer(
        self, writer: asyncio.StreamWriter, body: dict[str, Any], fault: Fault | None, *, chat: bool
    ) -> bool:
        refusal = self._refusal(body)
        if refusal:
            return await self._send(writer, 400, {"error": {"message": refusal}})
        answer = self.reply(body) if self.reply else self._reply(body, chat=chat)
        match fault:
            case None:
                self.n_served += 1
                return await self._send(writer, 200, answer)
            case Fault("status"):
                error = {"error": {"message": fault.message, "type": "x"}}
                return await self._send(writer, fault.status, error, headers=fault.headers)
            case Fault("cut"):
                return await self._send(writer, 200, answer, cut=True)
            case Fault("truncate"):
                text = json.dumps(answer)
                return await self._send(writer, 200, text[: len(text) // 2])
            case Fault("shape"):
                return await self._send(writer, 200, {"choices": [{"text": 5}]})
            case Fault("model"):
                return await self._send(writer, 200, {**answer, "model": "another"})
            case _:
                return False

    def _refusal(self, body: dict[str, Any]) -> str | None:
        if body.get("echo") and "echo" not in self.abilities:
            return "echo is not supported"
        if body.get("logprobs") and "logprobs" not in self.abilities:
            return "logprobs are not supported"
        text = json.dumps(body.get("prompt") or body.get("messages"))
        if len(text) > 20_000:
            return "This model's maximum context length is 4096 tokens. You asked for more."
        return None

    def _reply(self, body: dict[str, Any], *, chat: bool) -> dict[str, Any]:
        prompt = body["messages"] if chat else body["prompt"]
        tokens, ended = written(prompt, body.get("seed", 0), body["max_tokens"])
        text = "".join(tokens)
        told = [*tokens, "<|end|>"] if ended and "end" in self.abilities else list(tokens)
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if ended else "length"}
        n_prompt = len(str(prompt)) // 4
        usage = {"prompt_tokens": n_prompt, "completion_tokens": len(told)}
        if chat:
            choice["message"] = {"role": "assistant", "content": text}
            content = [
                {"token": t, "logprob": logprob(t), "top_logprobs": [{"token": t, "logprob": -0.1}]}
                for t in told
            ]
            choice["logprobs"] = {"content": content} if body.get("logprobs") else None
        else:
            before: list[str] = []
            if body.get("echo"):
                before = [body["prompt"][i : i + 3] for i in range(0, len(body["prompt"]), 3)]
            values = [None if not i and before else logprob(t) for i, t in enumerate(before + told)]
            choice["text"] = "".join(before) + text
            choice["logprobs"] = (
                {"tokens": before + told, "token_logprobs": values, "top_logprobs": None}
                if body.get("logprobs")
                else None
            )
        answer: dict[str, Any] = {"model": self.model, "choices": [choice]}
        return {**answer, "usage": usage} if "usage" in self.abilities else answer

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        body: Any,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        cut: bool = False,
    ) -> bool:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (data[:-10] if cut else data))
        await writer.drain()
        return not cut
