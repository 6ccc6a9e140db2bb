"""The HTTP client: what is tried again, after how long, and what is said when it is of no use."""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from virtual_time import run

from datagen.engines.openai import http_client
from datagen.engines.openai.http_client import HttpClient, RefusedError
from datagen.engines.protocol import Usage
from datagen.errors import EngineError

URL = "http://server.invalid/v1/things"
KEY = "sk-a-very-secret-key"
REAL_CLIENT = httpx2.AsyncClient

Handler = Callable[[int], httpx2.Response | Exception]


class Session:
    """A client before a handler that is told the number of the attempt."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, handler: Handler, *, latency_s: float = 0.0
    ) -> None:
        self.times: list[float] = []
        self.usage = Usage()
        self._handler, self._latency_s = handler, latency_s

        def faked(**options: Any) -> httpx2.AsyncClient:
            return REAL_CLIENT(**options, transport=httpx2.MockTransport(self._answer))

        monkeypatch.setattr(http_client.httpx2, "AsyncClient", faked)

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._latency_s)
        answer = self._handler(len(self.times) - 1)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, *, read: Callable[[Any], Any] = lambda json: json, **options: Any) -> Any:
        async def work() -> Any:
            given = {"key_variable": "KEY", "timeout_s": 5.0, "max_retries": 8, "concurrency": 64}
            client = HttpClient(usage=self.usage, **(given | options))
            try:
                return await client.ask(read, "POST", URL, {"a": 1})
            finally:
                await client.close()

        return run(work())


def ok() -> httpx2.Response:
    return httpx2.Response(200, json={"fine": True})


def failing(n: int, failure: Callable[[], httpx2.Response | Exception]) -> Handler:
    return lambda attempt: failure() if attempt < n else ok()


FAILURES: dict[str, Callable[[], httpx2.Response | Exception]] = {
    **{
        f"HTTP {status}": lambda status=status: httpx2.Response(status, text="later")
        for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)
    },
    "refused connection": lambda: httpx2.ConnectError("refused"),
    "cut connection": lambda: httpx2.RemoteProtocolError("peer closed connection"),
    "reset": lambda: httpx2.ReadError(""),
    "no JSON": lambda: httpx2.Response(200, text='{"fine": tr'),
    "no UTF-8": lambda: httpx2.Response(200, content=b'{"fine": "\xff"}'),
    "bottomless JSON": lambda: httpx2.Response(200, text="[" * 100_000),
    "timeout": lambda: httpx2.ConnectTimeout("slow"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_request_that_fails_is_put_again_and_counted_as_a_retry(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    session = Session(monkeypatch, failing(3, FAILURES[name]))
    assert session.ask() == {"fine": True}
    assert len(session.times) == 4
    assert session.usage.n_retries == 3


def test_json_of_the_wrong_shape_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(json: Any) -> Any:
        if "fine" not in json:
            raise ValueError("no field fine")
        return json

    session = Session(monkeypatch, failing(2, lambda: httpx2.Response(200, json={"x": 1})))
    assert session.ask(read=read) == {"fine": True}
    assert len(session.times) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 422, 501])
def test_a_refusal_is_not_put_again(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    refusal = httpx2.Response(status, json={"error": {"message": "this is\nwhy " + "x" * 999}})
    session = Session(monkeypatch, lambda _: refusal)
    with pytest.raises(RefusedError, match=f"{URL} refuses with HTTP {status}: this is why") as got:
        session.ask()
    assert got.value.status == status
    assert len(str(got.value)) < 600
    assert len(session.times) == 1


def test_backoff_is_drawn_below_a_ceiling_that_doubles_up_to_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ceilings = list[float]()

    def highest(low: float, high: float) -> float:
        ceilings.append(high)
        assert low == 0
        return high

    monkeypatch.setattr(random, "uniform", highest)
    session = Session(monkeypatch, failing(9, lambda: httpx2.Response(500)))
    session.ask(max_retries=9)
    assert ceilings == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    waits = [b - a for a, b in zip(session.times, session.times[1:], strict=False)]
    assert waits == pytest.approx(ceilings)


@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_how_long_to_wait_in_seconds(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    answer = httpx2.Response(status, headers={"Retry-After": "7"})
    session = Session(monkeypatch, failing(2, lambda: answer))
    session.ask()
    assert session.times == pytest.approx([0, 7, 14])


def test_the_server_says_how_long_to_wait_as_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    session = Session(
        monkeypatch, failing(1, lambda: httpx2.Response(429, headers={"Retry-After": then}))
    )
    session.ask()
    assert 38 < session.times[1] <= 40


@pytest.mark.parametrize("told", ["soon", "", "-3", "nan", "inf"])
def test_a_retry_after_that_means_nothing_is_ignored(
    monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    session = Session(
        monkeypatch, failing(1, lambda: httpx2.Response(429, headers={"Retry-After": told}))
    )
    session.ask()
    assert 0 < session.times[1] <= 0.5


def test_a_wait_of_hours_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(
        monkeypatch, lambda _: httpx2.Response(429, headers={"Retry-After": "7200"}, text="quota")
    )
    with pytest.raises(EngineError, match=r"asks to wait 7200 s.*quota"):
        session.ask()
    assert session.times == [0]


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(monkeypatch, lambda _: ok(), latency_s=6)
    with pytest.raises(EngineError, match="2 × no answer within 5 s"):
        session.ask(max_retries=1)
    assert session.times[1] >= 5


def test_after_the_last_attempt_the_error_says_what_was_seen_how_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handler(attempt: int) -> httpx2.Response | Exception:
        if attempt % 3 == 2:
            return httpx2.ConnectError("refused")
        return httpx2.Response(500, json={"message": "boom"})

    session = Session(monkeypatch, handler)
    expected = r"in 9 attempts: 6 × HTTP 500 \(boom\); 3 × ConnectError refused\. .*max_retries"
    with pytest.raises(EngineError, match=expected):
        session.ask()
    assert len(session.times) == 9


def test_a_429_delays_the_requests_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = httpx2.Response(429, headers={"Retry-After": "10"})
    session = Session(monkeypatch, lambda attempt: limited if attempt == 0 else ok(), latency_s=1)

    async def work() -> None:
        client = HttpClient(
            key_variable="KEY", timeout_s=5, max_retries=2, concurrency=1, usage=session.usage
        )
        await asyncio.gather(*(client.ask(lambda j: j, "POST", URL, {}) for _ in range(3)))
        await client.close()

    run(work())
    assert session.times[:2] == pytest.approx([0, 11])


def test_a_request_that_is_out_of_luck_does_not_hold_up_the_others_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    session = Session(monkeypatch, lambda attempt: httpx2.Response(429) if attempt < 6 else ok())

    async def work() -> None:
        client = HttpClient(
            key_variable="KEY", timeout_s=5, max_retries=9, concurrency=9, usage=session.usage
        )
        unlucky = asyncio.create_task(client.ask(lambda j: j, "POST", URL, {}))
        await asyncio.sleep(16)  # its sixth failure was at 15.5 s, and it waits for another 16
        await client.ask(lambda j: j, "POST", URL, {})
        assert asyncio.get_running_loop().time() == 16
        await unlucky

    run(work())
    assert session.times[-1] == 31.5


def test_lone_surrogates_of_a_broken_model_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = list[bytes]()

    async def work() -> None:
        client = HttpClient(
            key_variable="KEY", timeout_s=5, max_retries=0, concurrency=1, usage=Usage()
        )
        await client.ask(lambda j: j, "POST", URL, {"prompt": "日\ud800"})

    session = Session(monkeypatch, lambda _: ok())
    answer = session._answer

    async def noted(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.content)
        return await answer(request)

    session._answer = noted
    run(work())
    assert sent == ['{"prompt": "日?"}'.encode()]


# ---- the key


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KEY", f" {KEY}\n")
    return KEY


def test_the_key_is_sent_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = list[str]()

    def handler(attempt: int) -> httpx2.Response | Exception:
        match attempt:
            case 0:
                return httpx2.Response(500, text=f"bad key {key}")
            case 1:
                return httpx2.LocalProtocolError(f"Illegal header value b'Bearer {key}'")
            case 2:
                return httpx2.Response(200, text=f'"{key}')
            case _:
                return httpx2.Response(401, json={"error": f"Incorrect API key: {'x' * 290}{key}"})

    session = Session(monkeypatch, handler)
    answer = session._answer

    async def noted(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["authorization"])
        return await answer(request)

    session._answer = noted
    with pytest.raises(RefusedError, match="variable KEY holds a key that is not accepted") as got:
        session.ask()
    with pytest.raises(EngineError, match="3 attempts") as gave_up:
        Session(monkeypatch, handler).ask(max_retries=2)
    assert seen == [f"Bearer {key}"] * 4
    shown = f"{got.value!r} {gave_up.value!r} {caplog.text}"
    assert "sk-a" not in shown


def test_a_key_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY", raising=False)
    session = Session(monkeypatch, lambda _: httpx2.Response(401, json={"detail": "no"}))
    with pytest.raises(RefusedError, match="variable KEY is not set; set it"):
        session.ask()


def test_a_key_that_cannot_be_sent_is_an_error_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", "sk-abc\ndef")
    with pytest.raises(EngineError, match="'KEY' holds characters that no key has") as got:
        Session(monkeypatch, lambda _: ok()).ask()
    assert "abc" not in str(got.value)
