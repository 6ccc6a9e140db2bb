"""The engine ``openai``, before a server that does not know vLLM's extensions and often fails."""

import asyncio
import json
import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from openai_server import Fault, OpenAIServer, logprob, written

from datagen.config import EngineSettings
from datagen.engines.openai import http_client
from datagen.engines.openai.chat import CONTINUE_REPLY, CONTINUE_TEXT
from datagen.engines.openai.choices import branches, matched, walked
from datagen.engines.openai.engine import OpenAIEngine
from datagen.engines.openai.token_layout import repeated, token_ends
from datagen.engines.protocol import (
    Chat,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.engines.registry import open_engine
from datagen.errors import EngineError
from datagen.journal import Journal, journal_key
from datagen.search.budget import Progress
from datagen.search.scheduler import Scheduler
from datagen.search.waves import Search

ALL = frozenset({"completions", "chat", "logprobs", "echo", "usage"})
KEY = "sk-a-very-secret-key"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff of milliseconds; how it grows is tested with a clock of its own."""
    monkeypatch.setattr(http_client, "_BASE_S", 0.001)
    monkeypatch.setattr(http_client, "_CAP_S", 0.02)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


Opened = Callable[..., OpenAIEngine]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens engines on a server and closes them."""
    engines = list[OpenAIEngine]()

    def one(server: OpenAIServer, **options: Any) -> OpenAIEngine:
        engines.append(OpenAIEngine("m", url=server.url, **({"timeout_s": 5.0} | options)))
        return engines[-1]

    yield one
    for engine in engines:
        engine.close()


def ask(prompt: Any = "Once", idx: int = 0, **sampling: Any) -> CompletionRequest:
    return CompletionRequest(prompt, Sampling(**({"max_tokens": 8} | sampling)), idx)


def complete(engine: OpenAIEngine, request: CompletionRequest) -> Completion:
    return asyncio.run(engine.complete([request]))[0]


def choose(engine: OpenAIEngine, *choices: str, prompt: Any = "Once") -> tuple[float, ...]:
    return asyncio.run(engine.choose([ChoiceRequest(prompt, choices)]))[0].probabilities


def score(engine: OpenAIEngine, text: str, prompt: Any = "Once") -> Score:
    return asyncio.run(engine.score([ScoreRequest(prompt, text)]))[0]


def expected(request: CompletionRequest) -> Completion:
    """What the server writes, as a completion."""
    tokens, ended = written(request.prompt, request.seed & 0x7FFFFFFF, request.sampling.max_tokens)
    return Completion(
        "".join(tokens),
        "stop" if ended else "length",
        tuple(map(logprob, tokens)),
        tuple(accumulate(map(len, tokens))),
    )


def says(
    text: str, *, finish: str | None = "stop", n: int = 5, logprobs: Any = None, **message: Any
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A server's reply that is always the same."""

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        choice: dict[str, Any] = {"finish_reason": finish, "logprobs": logprobs}
        if "messages" in body:
            choice["message"] = {"content": text, **message}
        else:
            choice |= {"text": text, **message}
        return {"model": "m", "choices": [choice], "usage": {"completion_tokens": n}}

    return reply


def chat(prefill: str = "") -> Chat:
    return Chat((Message("system", "Be brief."), Message("user", "2 + 2?")), prefill)


# ---- opening


def test_settings_open_it() -> None:
    with OpenAIServer() as server:
        settings = EngineSettings(kind="openai", model="m", url=server.url + "/", concurrency=7)
        engine = open_engine(settings)
        try:
            assert (engine.batch_size, engine.concurrency) == (1, 7)
            assert asyncio.run(engine.complete([ask()])) == [expected(ask())]
        finally:
            engine.close()


def test_a_model_that_is_not_served_is_an_error_that_names_what_is(opened: Opened) -> None:
    with (
        OpenAIServer(model="other") as server,
        pytest.raises(EngineError, match=rf"{server.url} .*engine\.model='m' but 'other'"),
    ):
        opened(server)


def test_a_server_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(EngineError, match=r"http://127.0.0.1:9/v1/models .*4 × ConnectError"):
        OpenAIEngine("m", url="http://127.0.0.1:9/v1")


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://x/v1", "http://me:pw@x/v1", ""])
def test_an_address_that_cannot_be_used_is_an_error_that_shows_no_password(url: str) -> None:
    with pytest.raises(EngineError, match=r"engine\.url=") as got:
        OpenAIEngine("m", url=url)
    assert "pw" not in str(got.value)


def test_an_engine_that_cannot_be_opened_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(EngineError):
        OpenAIEngine("m", url="http://127.0.0.1:9/v1")
    assert threading.active_count() == before


def test_a_server_without_a_list_of_models_is_taken_at_its_word(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenAIServer() as server:
        send = server._send

        async def listless(writer: Any, status: int, body: Any, **options: Any) -> bool:
            gone = "data" in body
            return await send(writer, 404 if gone else status, body, **options)

        monkeypatch.setattr(server, "_send", listless)
        assert complete(opened(server), ask()) == expected(ask())


def test_replicas_of_a_model_share_a_journal_and_models_do_not(opened: Opened) -> None:
    def fingerprint(server: OpenAIServer, **options: Any) -> str:
        with server:
            return opened(server, **options).fingerprint

    one = fingerprint(OpenAIServer(card={"root": "org/a"}))
    assert fingerprint(OpenAIServer(card={"root": "org/a", "created": 5})) == one
    assert one == "openai:m:org/a:text-continue1:v1"
    others = {
        fingerprint(OpenAIServer(card={"root": "org/b"})),
        fingerprint(OpenAIServer()),
        fingerprint(OpenAIServer(card={"root": "org/a"}), endpoint="chat"),
        fingerprint(OpenAIServer(card={"root": "org/a"}, abilities=ALL - {"completions"})),
    }
    assert one not in others
    assert len(others) == 3  # chat is chat, whether asked for or all there is


def test_completions_that_are_insisted_on_must_be_there(opened: Opened) -> None:
    with (
        OpenAIServer(abilities=ALL - {"completions"}) as server,
        pytest.raises(EngineError, match="/completions refuses with HTTP 404"),
    ):
        opened(server, endpoint="completions")


def test_a_server_with_neither_endpoint_is_an_error(opened: Opened) -> None:
    with (
        OpenAIServer(abilities=frozenset()) as server,
        pytest.raises(EngineError, match=r'/chat/completions refuses with HTTP 404.*"/v1"'),
    ):
        opened(server)


# ---- completions


@pytest.mark.parametrize("abilities", [ALL, ALL - {"echo"}, ALL - {"chat"}])
def test_a_completion_is_what_the_server_wrote(opened: Opened, abilities: frozenset[str]) -> None:
    with OpenAIServer(abilities=abilities) as server:
        engine = opened(server)
        for idx in range(20):
            assert complete(engine, ask(idx=idx)) == expected(ask(idx=idx))


def test_requests_of_one_call_are_answered_in_order(opened: Opened) -> None:
    requests = [ask(idx=idx) for idx in range(50)]
    with OpenAIServer() as server:
        answers = asyncio.run(opened(server).complete(requests))
    assert answers == [expected(request) for request in requests]


def test_sampling_is_passed_on_and_the_seed_has_31_bits(opened: Opened) -> None:
    request = ask("p", temperature=0.7, top_p=0.9, max_tokens=5)
    with OpenAIServer() as server:
        complete(opened(server), request)
    (body,) = server.generating()
    assert body == {
        "model": "m",
        "prompt": "p",
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 5,
        "seed": request.seed % 2**31,
        "n": 1,
        "logprobs": 1,
    }


@pytest.mark.parametrize("owner", ["llamacpp", "sglang", "vllm"])
def test_sampling_defaults_of_known_servers_are_turned_off(opened: Opened, owner: str) -> None:
    with OpenAIServer(owned_by=owner) as server:
        complete(opened(server), ask())
    (body,) = server.generating()
    assert body["min_p"] == 0
    assert body["top_k"] <= 0


def test_an_end_of_text_token_that_is_told_has_an_entry_at_the_end(opened: Opened) -> None:
    request = ask(max_tokens=50)
    with OpenAIServer(abilities=ALL | {"end"}) as server:
        told = complete(opened(server), request)
    plain = expected(request)
    assert (told.text, told.finish) == (plain.text, "stop")
    assert told.logprobs == (*plain.logprobs, logprob("<|end|>"))
    assert told.ends == (*plain.ends, len(plain.text))


def test_without_log_probabilities_they_are_nan_and_the_tokens_equally_long(
    opened: Opened, tmp_path: Path
) -> None:
    request = ask()
    with OpenAIServer(abilities=ALL - {"logprobs", "echo"}) as server:
        told = complete(opened(server), request)
    assert told.text == expected(request).text
    assert told.n_tokens == expected(request).n_tokens
    assert all(map(math.isnan, told.logprobs))
    assert told.ends[-1] == len(told.text)
    assert max(b - a for a, b in zip((0, *told.ends), told.ends, strict=False)) <= (
        math.ceil(len(told.text) / told.n_tokens)
    )
    with Journal(tmp_path / "journal") as journal:
        journal.append("f", [(request, told)])
        (kept,) = journal.look_up([journal_key("f", request)]).values()
    assert isinstance(kept, Completion)
    assert repr(kept) == repr(told)


def test_a_server_that_does_not_count_is_taken_to_write_four_characters_a_token(
    opened: Opened,
) -> None:
    with OpenAIServer(abilities=frozenset({"completions"})) as server:
        told = complete(opened(server), ask())
    assert told.n_tokens == math.ceil(len(told.text) / 4)


def test_a_text_is_cut_behind_its_first_stop_string_and_what_follows_is_paid_for(
    opened: Opened,
) -> None:
    request = ask(max_tokens=50, stop=("zzz", "n4", " and", "7"))
    whole = expected(request)
    with OpenAIServer(reply=None) as server:
        engine = opened(server)
        before = engine.usage.n_generated_tokens
        for idx in range(200):
            request = ask(idx=idx, max_tokens=50, stop=("zzz", "n 4", " a"))
            whole = expected(request)
            if " and" in whole.text and "n 4" not in whole.text:
                break
        told = complete(engine, request)
    end = whole.text.index(" a") + 2
    n = sum(offset < end for offset in whole.ends) + 1
    assert told == Completion(
        whole.text[:end], "stop", whole.logprobs[:n], (*whole.ends[: n - 1], end)
    )
    assert n < whole.n_tokens
    assert engine.usage.n_generated_tokens - before == whole.n_tokens
    assert all("stop" not in body for body in server.asked)


@pytest.mark.parametrize(
    ("reason", "n", "finish"),
    [
        ("stop", 3, "stop"),
        ("length", 8, "length"),
        ("length", 3, "context"),
        ("content_filter", 3, "length"),
        ("abort", 3, "length"),
        (None, 3, "length"),
    ],
)
def test_how_a_completion_ended(opened: Opened, reason: str | None, n: int, finish: str) -> None:
    with OpenAIServer(reply=says("a b c", finish=reason, n=n)) as server:
        assert complete(opened(server), ask(max_tokens=8)).finish == finish


def test_a_prompt_that_does_not_fit_is_an_answer_of_its_own(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server)
        long = "word " * 5000
        assert complete(engine, ask(long)) == Completion("", "context", (), ())
        assert choose(engine, "a", "b", prompt=long) == (0.0, 0.0)
        assert score(engine, "a", prompt=long) == Score((), ())
        assert engine.usage.n_retries == 0


def test_a_refusal_for_another_reason_is_an_error(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server)
        server.script.append(Fault("status", 400, message="temperature must be 1"))
        with pytest.raises(EngineError, match="HTTP 400: temperature must be 1"):
            complete(engine, ask())


@pytest.mark.parametrize("text", ["", "\ud83d half a pair", "\x00\r\n", "日本" * 2000])
def test_any_text_at_all_is_data(opened: Opened, text: str) -> None:
    with OpenAIServer(reply=says(text)) as server:
        assert complete(opened(server), ask()).text == text


def test_an_answer_of_another_model_is_not_used(opened: Opened, tmp_path: Path) -> None:
    with OpenAIServer() as server, Journal(tmp_path / "journal") as journal:
        engine = opened(server)
        server.script.append(Fault("model"))
        with pytest.raises(EngineError, match=r"answers as model 'another', but .*'m' was asked"):
            Scheduler[None](engine, journal).run([("a", waves([ask()]))])
        assert len(journal) == 0


def test_an_alias_stands_for_one_dated_model(opened: Opened) -> None:
    def dated(day: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda body: {**says("x")(body), "model": f"m-2026-08-{day}"}

    with OpenAIServer(reply=dated("01")) as server:
        engine = opened(server)
        assert "m-2026-08-01" in engine.fingerprint
        assert complete(engine, ask()).text == "x"
        server.reply = dated("02")
        with pytest.raises(EngineError, match="answers as model 'm-2026-08-02'"):
            complete(engine, ask())


def test_what_was_asked_and_answered_is_counted(opened: Opened) -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        told = {"prompt_tokens": 10, "completion_tokens": 3}
        return says("x")(body) | {"usage": {**told, "prompt_tokens_details": {"cached_tokens": 4}}}

    with OpenAIServer(reply=reply) as server:
        engine = opened(server)
        before = (engine.usage.n_prompt_tokens, engine.usage.n_generated_tokens)
        server.script.append(Fault("status", 500))
        complete(engine, ask())
        usage = engine.usage
        assert (usage.n_prompt_tokens - before[0], usage.n_generated_tokens - before[1]) == (10, 3)
        assert usage.n_cached_tokens > 0
        assert usage.n_retries == 1


# ---- vLLM whose tokenizer cannot be reached


def told_of(*tokens: str) -> dict[str, Any]:
    return {"tokens": list(tokens), "token_logprobs": [-0.5] * len(tokens)}


def test_vllm_applies_the_stop_strings(opened: Opened) -> None:
    reply = says("a b.", logprobs=told_of("a", " b", ".\n"), stop_reason=".", n=3)
    with OpenAIServer(owned_by="vllm", reply=reply, card={"max_model_len": 100}) as server:
        told = complete(opened(server), ask(stop=(".",), max_tokens=500))
    (body,) = server.generating()
    assert body["stop"] == ["."]
    assert body["include_stop_str_in_output"] is True
    assert body["skip_special_tokens"] is False
    assert body["max_tokens"] == 100
    assert told == Completion("a b.", "stop", (-0.5,) * 3, (1, 3, 4))


@pytest.mark.parametrize("stop_reason", [None, 128009])
def test_vllm_keeps_the_end_of_text_token_with_the_stop_string(
    opened: Opened, stop_reason: int | None
) -> None:
    reply = says("a b<|end|>", logprobs=told_of("a", " b", "<|end|>"), stop_reason=stop_reason)
    with OpenAIServer(owned_by="vllm", reply=reply) as server:
        told = complete(opened(server), ask(stop=(".",)))
    assert told == Completion("a b", "stop", (-0.5,) * 3, (1, 3, 3))


def test_vllm_continues_a_reply_that_has_begun(opened: Opened) -> None:
    with OpenAIServer(owned_by="vllm") as server:
        engine = opened(server)
        complete(engine, ask(chat("It is")))
        complete(engine, ask(chat()))
    begun, fresh = server.generating()
    assert begun["messages"][-1] == {"role": "assistant", "content": "It is"}
    assert (begun["continue_final_message"], begun["add_generation_prompt"]) == (True, False)
    assert fresh["messages"][-1]["role"] == "user"
    assert "continue_final_message" not in fresh


# ---- conversations


def test_a_reply_that_has_begun_is_continued_by_asking(opened: Opened) -> None:
    with OpenAIServer() as server:
        told = complete(opened(server), ask(chat("It is")))
    (body,) = server.generating()
    assert [turn["role"] for turn in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][2:] == [
        {"role": "assistant", "content": "It is"},
        {"role": "user", "content": CONTINUE_REPLY},
    ]
    assert "stop" not in body
    tokens, _ = written(body["messages"], body["seed"], 8)
    assert told.text == "".join(tokens)
    assert told.logprobs == tuple(map(logprob, tokens))


@pytest.mark.parametrize("endpoint", ["auto", "chat"])
def test_a_server_that_takes_only_conversations_is_shown_the_text(
    opened: Opened, endpoint: str
) -> None:
    abilities = ALL if endpoint == "chat" else ALL - {"completions"}
    with OpenAIServer(abilities=abilities) as server:
        told = complete(opened(server, endpoint=endpoint), ask("Question: {text} 2?\n"))
    (body,) = server.generating()
    asked = CONTINUE_TEXT.replace("{text}", "Question: {text} 2?\n")
    assert body["messages"] == [{"role": "user", "content": asked}]
    assert told.text == "".join(written(body["messages"], body["seed"], 8)[0])


def test_what_a_reply_repeats_of_its_beginning_is_cut_off(opened: Opened) -> None:
    tokens = ["First", " we", " add", " 3 and", " 4.", " That", " is 7."]
    told = {"content": [{"token": token, "logprob": -1.0} for token in tokens]}
    with OpenAIServer(reply=says("".join(tokens), logprobs=told, n=7)) as server:
        completion = complete(opened(server), ask(chat("Let me see. First we add 3 and 4.")))
    assert completion == Completion(" That is 7.", "stop", (-1.0, -1.0), (5, 11))


@pytest.mark.parametrize(
    ("given", "reply", "rest"),
    [
        ("It is", "It is 4.", " 4."),
        ("\n  It is", "It is 4.", " 4."),
        ("It is ", " It is 4.", " 4."),
        ("First we add 3 and 4.", "we add 3 and 4. So 7.", " So 7."),
        ("First we add 3 and 4.", "First we add 3 and 4.", ""),
        ("First we add 3 and 4.", "and 4. So 7.", "and 4. So 7."),  # too short to be sure
        ("First we add 3 and 4.", " So 7.", " So 7."),
        ("x" * 9000 + " and so on", "x" * 9000 + " and so on!", "!"),
        ("", "anything", "anything"),
        ("   ", " anything", " anything"),
    ],
)
def test_what_counts_as_repetition(given: str, reply: str, rest: str) -> None:
    assert reply[repeated(given, reply) :] == rest


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thoughts_that_a_server_took_out_are_put_back(opened: Opened, name: str) -> None:
    reply = says("It is 4.", n=8, **{name: "2 and 2"})
    with OpenAIServer(reply=reply) as server:
        told = complete(opened(server), ask(chat("It is")))
    assert told.text == "<think>2 and 2</think> 4."
    assert told.n_tokens == 8
    assert all(map(math.isnan, told.logprobs))


def test_models_with_another_name_for_the_limit_are_asked_by_that(opened: Opened) -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        return says("x")(body)

    with OpenAIServer(abilities=ALL - {"completions"}, reply=reply) as server:
        refusal = "Unsupported parameter: 'max_tokens'"

        def refused(body: dict[str, Any]) -> str | None:
            return refusal if "max_tokens" in body or body.get("logprobs") else None

        server._refusal = refused  # type: ignore[method-assign]
        complete(opened(server), ask(chat(), max_tokens=9))
    (body,) = [body for body in server.generating() if body.get("max_completion_tokens") == 9]
    assert "logprobs" not in body


def test_completions_that_are_insisted_on_take_no_conversations(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server, endpoint="completions")
        with pytest.raises(EngineError, match=r'set engine\.endpoint to "auto"'):
            complete(engine, ask(chat()))


# ---- choices and scores


def test_choices_are_weighed_by_echo(opened: Opened) -> None:
    with OpenAIServer() as server:
        probabilities = choose(opened(server), " yes", " no", prompt="abcdef")
    # The server's tokens are three characters long.
    assert probabilities == pytest.approx(
        [math.exp(logprob(" ye") + logprob("s")), math.exp(logprob(" no"))]
    )


def test_a_score_by_echo_has_the_tokens_of_the_text_only(opened: Opened) -> None:
    with OpenAIServer() as server:
        told = score(opened(server), "DEFGH", prompt="abc")
    assert told == Score((logprob("DEF"), logprob("GH")), (3, 5))


def test_a_token_across_the_seam_counts_for_the_text(opened: Opened) -> None:
    with OpenAIServer() as server:
        told = score(opened(server), "DEFGH", prompt="abcab")
    assert told == Score((logprob("abD"), logprob("EFG"), logprob("H")), (1, 4, 5))


@pytest.mark.parametrize("abilities", [ALL - {"echo"}, ALL - {"completions"}])
def test_a_server_that_cannot_score_gives_no_entries(
    opened: Opened, abilities: frozenset[str]
) -> None:
    with OpenAIServer(abilities=abilities) as server:
        assert score(opened(server), "text") == Score((), ())
    assert server.generating() == []


def top(**likely: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A server's reply with the likeliest first tokens; `_` stands for a space."""
    pairs = {name.replace("_", " "): math.log(p) for name, p in likely.items()}

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        if "messages" in body:
            listed = [{"token": token, "logprob": value} for token, value in pairs.items()]
            told = {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": listed}]}
        else:
            told = {"tokens": ["x"], "token_logprobs": [-1.0], "top_logprobs": [pairs]}
        return says("x", logprobs=told)(body)

    return reply


@pytest.mark.parametrize("prompt", ["Once", chat("It is")])
def test_choices_are_weighed_by_the_likeliest_first_tokens(opened: Opened, prompt: Any) -> None:
    with OpenAIServer(reply=top(A=0.5, _A=0.25, B=0.1, Z=0.1)) as server:
        probabilities = choose(opened(server), "A", "B", "C", prompt=prompt)
    assert probabilities == pytest.approx([0.75, 0.1, 0.0])


def test_choices_of_which_nothing_is_told_weigh_the_same_and_that_is_counted(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with OpenAIServer(abilities=ALL - {"logprobs", "echo"}) as server:
        engine = opened(server)
        assert choose(engine, "A", "B") == (0.5, 0.5)
        assert choose(engine, "A", "B", "C", "D") == (0.25,) * 4
    assert engine.n_unweighed == 2
    assert [record.levelno for record in caplog.records if "equally" in record.message] == [
        logging.WARNING
    ]


def test_a_token_that_begins_several_choices_is_shared() -> None:
    likely = {"Re": math.log(0.6), " Check": math.log(0.3), "": math.log(0.1)}
    assert matched(["Recall", "Restate", "Check"], likely) == pytest.approx((0.3, 0.3, 0.3))
    assert matched(["yes", "no"], likely) is None


def test_choices_that_share_tokens_share_questions() -> None:
    choices = [(1, 2), (1, 3), (4,), (1,)]
    assert branches(choices) == {(): [1, 4], (1,): [2, 3]}
    logprobs = {
        (): {1: math.log(0.5), 4: math.log(0.2)},
        (1,): {2: math.log(0.1), 3: math.log(0.9)},
    }
    assert walked(choices, logprobs) == pytest.approx((0.05, 0.45, 0.2, 0.5))


@pytest.mark.parametrize(
    ("text", "tokens", "ends"),
    [
        ("ab c", ["a", "b", " c"], [1, 2, 4]),
        ("ab", ["a", "b", "</s>"], [1, 2, 2]),
        ("ab", ["<s>", "a", "b"], [0, 1, 2]),
        ("日a", ["", "", "日", "a"], [0, 0, 1, 2]),
        ("日a", ["�", "�", "bytes:\\xe6", "a"], [0, 0, 0, 2]),
        ("the cat sat", ["the", "cat", "sat"], [3, 7, 11]),  # tokens decoded one by one
        ("", ["</s>"], [0]),
    ],
)
def test_tokens_are_laid_along_the_text(text: str, tokens: list[str], ends: list[int]) -> None:
    assert token_ends(text, tokens) == ends


# ---- loops, connections, cancellation


def test_one_engine_serves_several_event_loops_over_the_same_connections(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server)
        for idx in range(5):
            assert complete(engine, ask(idx=idx)) == expected(ask(idx=idx))
        assert server.open_connections == 1


@pytest.mark.slow
def test_closing_leaves_no_connection_and_no_thread() -> None:
    before = threading.active_count()
    with OpenAIServer(delay_s=0.05) as server:
        engine = OpenAIEngine("m", url=server.url)
        asyncio.run(engine.complete([ask(idx=idx) for idx in range(30)]))
        assert server.open_connections > 1
        engine.close()
        engine.close()
        until(lambda: server.open_connections == 0)
        with pytest.raises(EngineError, match="closed"):
            complete(engine, ask())
    assert threading.active_count() == before


def until(reached: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def test_cancelling_a_call_closes_its_connection(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server)
        server.script.append(Fault("hang"))

        async def work() -> None:
            call = asyncio.create_task(engine.complete([ask()]))
            await asyncio.to_thread(until, lambda: not server.script)  # it has come
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(until, lambda: server.n_hung_up == 1)

        asyncio.run(work())
        assert complete(engine, ask()) == expected(ask())


def test_closing_ends_the_calls_that_are_under_way(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server)
        server.script.append(Fault("hang"))

        async def work() -> None:
            call = asyncio.create_task(engine.complete([ask()]))
            await asyncio.to_thread(until, lambda: not server.script)  # it has come
            await asyncio.to_thread(engine.close)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(call, 5)

        asyncio.run(work())
        until(lambda: server.n_hung_up == 1)


def test_when_one_request_of_a_call_fails_the_others_are_given_up(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server)
        server.fault = lambda body: (
            Fault("status", 400) if body["prompt"] == "bad" else Fault("hang")
        )
        with pytest.raises(EngineError, match="HTTP 400"):
            asyncio.run(engine.complete([ask("good"), ask("bad")]))
        until(lambda: server.n_in_flight == 0)


# ---- through scheduler and journal


def waves(*requests: list[CompletionRequest]) -> Search[list[Completion]]:
    answers = list[Completion]()
    for wave in requests:
        answers += [answer for answer in (yield wave) if isinstance(answer, Completion)]
    return answers


def searches(n: int) -> list[tuple[str, Search[list[Completion]]]]:
    """Each asks for two waves of five."""
    return [
        (f"s{i}", waves(*([ask(f"p{i}/{w}", idx) for idx in range(5)] for w in range(2))))
        for i in range(n)
    ]


def run(engine: OpenAIEngine, path: Path, n: int = 20) -> tuple[dict[str, Any], Progress]:
    with Journal(path) as journal:
        scheduler = Scheduler[list[Completion]](engine, journal)
        return scheduler.run(searches(n)), scheduler.progress


def random_faults(seed: int, share: float) -> Callable[[dict[str, Any]], Fault | None]:
    rng = random.Random(seed)
    quick = [
        Fault("status", 429, (("Retry-After", "0"),)),
        Fault("status", 429),
        Fault("status", 500),
        Fault("status", 503),
        Fault("cut"),
        Fault("drop"),
        Fault("truncate"),
        Fault("shape"),
    ]
    faults = [*quick, *quick, *quick, Fault("hang")]
    return lambda _: rng.choice(faults) if rng.random() < share else None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_with_random_faults_nothing_is_lost_doubled_or_changed(
    opened: Opened, tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "journal"
    with OpenAIServer() as server:
        engine = opened(server, timeout_s=0.3, max_retries=40, concurrency=32)
        usage = engine.usage
        before = usage.n_generated_tokens
        server.fault = random_faults(seed, share=0.4)
        results, progress = run(engine, path)

        requests = [ask(f"p{i}/{w}", idx) for i in range(20) for w in range(2) for idx in range(5)]
        keys = [journal_key(engine.fingerprint, request) for request in requests]
        with Journal(path) as journal:
            assert sorted(journal.keys()) == sorted(keys)
            found = journal.look_up(keys)
        assert [found[key] for key in keys] == [expected(request) for request in requests]
        assert [a for answers in results.values() for a in answers] == [found[key] for key in keys]
        assert (progress.n_generated, progress.n_replayed) == (200, 0)
        assert usage.n_generated_tokens - before == sum(expected(r).n_tokens for r in requests)
        # Each request was put with one seed only, however often, and retries are told apart.
        bodies = server.generating()
        assert len({(body["prompt"], body["seed"]) for body in bodies}) == 200
        assert 250 < len(bodies) <= 200 + usage.n_retries

        n_before = len(server.generating())
        again, replayed = run(opened(server), path)
        assert again == results
        assert (replayed.n_generated, replayed.n_replayed) == (0, 200)
        assert len(server.generating()) == n_before


@pytest.mark.slow
def test_a_server_that_dies_loses_nothing_that_was_answered(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with OpenAIServer() as server:
        engine = opened(server, max_retries=1, concurrency=4)
        server.fault = lambda _: Fault("drop") if server.n_served > 60 else None
        with pytest.raises(EngineError, match="in 2 attempts"):
            run(engine, path)
        with Journal(path) as journal:
            n_kept = len(journal)
        assert n_kept > 50
        server.fault = lambda _: None
        results, progress = run(opened(server), path)
        assert progress.n_generated == 200 - n_kept
    with OpenAIServer() as server:
        assert results == run(opened(server), tmp_path / "other")[0]


@pytest.mark.slow
def test_in_a_storm_of_429s_fewer_requests_are_in_flight_and_afterwards_more_again(
    opened: Opened, tmp_path: Path
) -> None:
    with OpenAIServer(delay_s=0.02) as server:
        engine = opened(server, concurrency=48, max_retries=40)
        server.in_flight.clear()

        def phase(begin: int, end: int) -> list[int]:
            return [n for _, n in server.in_flight[begin:end]]

        async def work() -> None:
            await engine.complete([ask("calm", idx) for idx in range(200)])
            marks.append(len(server.in_flight))
            server.capacity = 6
            await engine.complete([ask("storm", idx) for idx in range(200)])
            marks.append(len(server.in_flight))
            server.capacity = 1_000
            await engine.complete([ask("after", idx) for idx in range(600)])

        marks = list[int]()
        asyncio.run(work())
        calm, storm, after = (
            phase(0, marks[0]),
            phase(*marks),
            phase(marks[1], len(server.in_flight)),
        )
        assert max(calm) == 48
        late = storm[len(storm) // 2 :]
        assert max(late) <= 14
        assert len(storm) < 350  # most of the storm's requests went through at once
        assert max(after) > 2 * max(late)


def test_the_key_is_in_no_error_log_or_fingerprint(
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    shown = list[str]()
    with OpenAIServer() as server:
        engine = opened(server, key_variable="MY_KEY", max_retries=1)
        assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        shown += [engine.fingerprint, repr(engine), repr(engine.__dict__)]
        for fault in (
            Fault("status", 401, message=f"Incorrect API key provided: {KEY}"),
            Fault("status", 500, message=f"Authorization: Bearer {KEY}"),
            Fault("model"),
        ):
            server.script.clear()
            server.script.extend([fault, fault])
            with pytest.raises(EngineError) as got:
                complete(engine, ask())
            shown.append(repr(got.value))
    assert "MY_KEY" in shown[3]
    assert KEY not in " ".join([*shown, caplog.text])


def test_wrong_keys_are_noticed_at_opening(opened: Opened) -> None:
    with OpenAIServer(script=deque([Fault("status", 401)])) as server:
        with pytest.raises(EngineError, match="variable OPENAI_API_KEY is not set"):
            opened(server)
        assert len(json.dumps(server.asked)) > 2


def test_an_engine_without_requests_answers_nothing(opened: Opened) -> None:
    with OpenAIServer() as server:
        engine = opened(server)
        assert asyncio.run(engine.choose([])) == list[Choice]()
