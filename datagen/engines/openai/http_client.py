"""JSON over HTTP that survives a bad server: retries, backoff, and a key that is never shown.

Every request in flight has a client of its own, taken from a stack and put back. The pool inside
one client looks through all its connections whenever a request comes or goes, which at 2048 in
flight leaves a seventh of the throughput (measured: 142 against 1104 requests a second).
"""

import asyncio
import json
import os
import random
import re
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Literal, TypeVar

import httpx2

from datagen.engines.openai.congestion import CongestionWindow
from datagen.engines.protocol import Usage
from datagen.errors import EngineError

T = TypeVar("T")

_BASE_S: Final = 0.5
_CAP_S: Final = 60.0
_CONNECT_S: Final = 30.0
_KEEPALIVE_S: Final = 4.0
"""Idle connections are dropped before uvicorn drops them (5 s), which would look like a failure."""

_RETRIED: Final = frozenset({408, 409, 425, 429})
_OVERLOADED: Final = frozenset({429, 503})
_TOO_LONG: Final = re.compile(
    r"context[ _](?:length|window|size)|maximum context|too long|too many tokens|`inputs`"
    r"|max_tokens must be at least 1, got 0",
    re.IGNORECASE,
)
"""How servers say that a prompt does not fit; the last is vLLM's when it fits to the token."""


class RefusedError(EngineError):
    """The server understood the request and will not answer it; to ask again is no use.

    Attributes:
        status: HTTP status.
        too_long: whether the prompt does not fit in the model's context.
    """

    def __init__(self, message: str, *, status: int, too_long: bool) -> None:
        super().__init__(message)
        self.status, self.too_long = status, too_long


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a request has to be put again.

    Attributes:
        seen: what happened, in words.
        overloaded: whether the server has too much to do.
        wait_s: how long the server asks to wait.
    """

    seen: str
    overloaded: bool = False
    wait_s: float | None = None


class HttpClient:
    """Puts requests to one server. It is used from one event loop.

    Args:
        key_variable: environment variable that holds the key; unset: no key is sent.
        timeout_s: longest wait for one answer, from connecting to its last byte.
        max_retries: attempts after the first.
        concurrency: most requests in flight.
        usage: where retries are counted.

    Raises:
        EngineError: if the key cannot be sent as it stands.
    """

    def __init__(
        self,
        *,
        key_variable: str,
        timeout_s: float,
        max_retries: int,
        concurrency: int,
        usage: Usage,
    ) -> None:
        self._key_variable, self._key = key_variable, os.environ.get(key_variable, "").strip()
        if not re.fullmatch(r"[!-~]*", self._key):
            raise EngineError(
                f"the environment variable {key_variable!r} holds characters that no key has "
                "(spaces, line breaks or other than ASCII); set it again"
            )
        self._timeout_s, self._max_retries = timeout_s, max_retries
        self._usage = usage
        self.window = CongestionWindow(concurrency)
        self._idle: list[httpx2.AsyncClient] = []

    async def ask(
        self,
        read: Callable[[Any], T],
        method: Literal["GET", "POST"],
        url: str,
        body: dict[str, Any] | None = None,
        *,
        max_retries: int | None = None,
    ) -> T:
        """Put a request, again and again if need be.

        Args:
            read: makes an answer of the JSON; a ``ValueError`` means that it has the wrong shape.
            method: of HTTP.
            url: the whole address.
            body: sent as JSON.
            max_retries: instead of the client's own.

        Raises:
            RefusedError: if the server will not answer this request.
            EngineError: if the server fails at every attempt.
        """
        most = self._max_retries if max_retries is None else max_retries
        seen: Counter[str] = Counter()
        while True:
            async with self.window.turn() as began:
                result = await self._attempt(read, method, url, body)
                if not isinstance(result, _Failure):
                    self.window.answered()
                    return result
                backoff_s = random.uniform(0, min(_CAP_S, _BASE_S * 2 ** seen.total()))
                wait_s = backoff_s if result.wait_s is None else result.wait_s
                if result.overloaded:
                    self.window.overloaded(began)
                    # The backoff of a request that is out of luck is its own; the others wait for
                    # as long as the server says, or briefly.
                    self.window.hold(wait_s if result.wait_s is not None else min(wait_s, _BASE_S))
            seen[result.seen] += 1
            if seen.total() > most or wait_s > max(self._timeout_s, _CAP_S):
                raise EngineError(self._gave_up(url, seen, wait_s))
            self._usage.n_retries += 1
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """Close all connections."""
        while self._idle:
            await self._idle.pop().aclose()

    # --- one attempt -------------------------------------------------------------------------

    async def _attempt(
        self, read: Callable[[Any], T], method: str, url: str, body: dict[str, Any] | None
    ) -> T | _Failure:
        try:
            response = await self._exchange(method, url, body)
        except (TimeoutError, httpx2.TimeoutException):
            return _Failure(f"no answer within {self._timeout_s:g} s", overloaded=True)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return _Failure(self._shown(f"{type(error).__name__} {error}".strip()))
        status = response.status_code
        if status in _RETRIED or (status >= 500 and status != HTTPStatus.NOT_IMPLEMENTED):
            return _Failure(
                f"HTTP {status} ({self._message(response)})",
                overloaded=status in _OVERLOADED,
                wait_s=_retry_after(response.headers.get("retry-after", "")),
            )
        if not response.is_success:
            raise self._refusal(url, response)
        try:
            return read(json.loads(response.content))
        except (ValueError, RecursionError) as error:
            told = self._shown(" ".join(str(error).split()))[:100]
            return _Failure(f"HTTP {status} with an unreadable answer ({told})")

    async def _exchange(
        self, method: str, url: str, body: dict[str, Any] | None
    ) -> httpx2.Response:
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            async with asyncio.timeout(self._timeout_s):
                # Lone surrogates, which a broken model may have written, are no UTF-8.
                content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
                return await client.request(
                    method, url, content=content if body is not None else None
                )
        finally:
            self._idle.append(client)

    def _new_client(self) -> httpx2.AsyncClient:
        headers = {"content-type": "application/json"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        limits = httpx2.Limits(max_connections=1, keepalive_expiry=_KEEPALIVE_S)
        timeout = httpx2.Timeout(None, connect=_CONNECT_S)
        return httpx2.AsyncClient(headers=headers, limits=limits, timeout=timeout, verify=_tls())

    # --- messages ----------------------------------------------------------------------------

    def _refusal(self, url: str, response: httpx2.Response) -> RefusedError:
        status, message = response.status_code, self._message(response)
        match status:
            case 401 | 403:
                held = "holds a key that is not accepted" if self._key else "is not set"
                fix = f"The environment variable {self._key_variable} {held}; set it"
            case 404 | 405 | 501:
                fix = 'Check engine.url, which mostly ends in "/v1", and engine.model'
            case _:
                fix = "Check engine.model, engine.prompts and engine.endpoint against the server"
        return RefusedError(
            f"{url} refuses with HTTP {status}: {message}. {fix}",
            status=status,
            too_long=status in (400, 413, 422) and _TOO_LONG.search(message) is not None,
        )

    def _gave_up(self, url: str, seen: Counter[str], wait_s: float) -> str:
        times = "; ".join(f"{n} × {what}" for what, n in seen.most_common(5))
        if wait_s > max(self._timeout_s, _CAP_S):
            return (
                f"{url} asks to wait {wait_s:.0f} s, longer than engine.timeout_s="
                f"{self._timeout_s:g}: {times}. Run again then, or raise engine.timeout_s"
            )
        return (
            f"{url} gave no usable answer in {seen.total()} attempts: {times}. See that the "
            "server runs at engine.url, or raise engine.max_retries; what was answered is kept"
        )

    def _message(self, response: httpx2.Response) -> str:
        """What the server says, shortened."""
        text = response.text
        try:
            said = json.loads(text)
            said = said.get("error") or said.get("detail") or said.get("message") or said
            text = str(said.get("message") or said) if isinstance(said, dict) else str(said)
        except (ValueError, AttributeError, RecursionError):
            pass
        # Some servers repeat the key that they refuse.
        return self._shown(" ".join(text.split()))[:300] or "no message"

    def _shown(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


@cache
def _tls() -> ssl.SSLContext:
    """One for all clients: each takes a tenth of a second to make."""
    return httpx2.create_ssl_context()


def _retry_after(header: str) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date."""
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return float(header)
    try:
        then = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max((then.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
