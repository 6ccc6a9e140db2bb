"""The engine ``openai`` on the embedded reasoner behind a real vLLM server.

The reference is the transformers engine on the same weights in the same arithmetic.
"""

import asyncio
import contextlib
import importlib.util
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datagen.engines.openai.engine import OpenAIEngine
from datagen.engines.protocol import (
    Chat,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.engines.registry import WEIGHTS
from datagen.engines.transformers import TransformersEngine
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.native import prior_request, prompt_of
from datagen.reasoner.evaluate import unseen_problems
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig
from datagen.search.run import search_prefixes
from datagen.seeds import read_seeds
from datagen.traces.markup import end_tag, start_tag
from datagen.traces.model import Trace
from datagen.traces.prefixes import make_prefixes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None,
        reason="needs vLLM: python -m datagen.engines.vllm.install",
    ),
]

TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<Think_Start>\nquite\n<Think_End>\n"
    "{{ message['content'] | trim }}"
    "{% else %}Question: {{ message['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<Think_Start>\n{% endif %}"
)
"""As reasoning models' templates do, it writes a thought before a reply and trims it."""

QUESTIONS = [problem.question for problem in unseen_problems(6)][:24]
PROMPTS = [prompt_of(Trace(question)) for question in QUESTIONS]
SEEDS = WEIGHTS.parent / "seeds.jsonl"
GREEDY = Sampling(temperature=0.0, max_tokens=120)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server, killed with its children in the end."""
    folder = tmp_path_factory.mktemp("server")
    template, log = folder / "template.jinja", folder / "log"
    template.write_text(TEMPLATE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not the command `vllm`, which does not start from the build for CPUs.
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(WEIGHTS)),
        *("--host", "127.0.0.1", "--port", str(port), "--served-model-name", "reasoner"),
        *("--dtype", "float32", "--enforce-eager", "--chat-template", str(template)),
        *("--max-num-seqs", "64", "--enable-prompt-tokens-details"),
        # On a CPU a seeded request whose prompt is read in pieces kills vLLM 0.32 ("CPU Generator
        # does not use offset").
        "--no-enable-chunked-prefill",
    ]
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | quiet,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health", process, log)
        yield f"{address}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 300
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server did not start: {log.read_text()[-3000:]}")
        time.sleep(0.5)


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[OpenAIEngine]:
    opened = OpenAIEngine("reasoner", url=url, timeout_s=120)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("weights") / "weights"
    shutil.copytree(WEIGHTS, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return TransformersEngine(str(folder))


Either = OpenAIEngine | TransformersEngine


def complete(engine: Either, requests: list[CompletionRequest]) -> list[Completion]:
    return asyncio.run(engine.complete(requests))


def choose(engine: Either, requests: list[ChoiceRequest]) -> list[tuple[float, ...]]:
    return [choice.probabilities for choice in asyncio.run(engine.choose(requests))]


def score(engine: Either, requests: list[ScoreRequest]) -> list[Score]:
    return asyncio.run(engine.score(requests))


def same(told: Completion, expected: Completion) -> None:
    assert (told.text, told.finish, told.ends) == (expected.text, expected.finish, expected.ends)
    assert told.logprobs == pytest.approx(expected.logprobs, abs=1e-3)


def chat(question: str, prefill: str = "") -> Chat:
    return Chat((Message("user", question),), prefill)


def test_the_fingerprint_names_model_and_weights_and_not_the_address(
    engine: OpenAIEngine,
) -> None:
    assert engine.fingerprint == f"openai:reasoner:{WEIGHTS}:ids:v1"


def test_greedy_completions_agree(engine: OpenAIEngine, reference: TransformersEngine) -> None:
    requests = [CompletionRequest(prompt, GREEDY, 0) for prompt in PROMPTS]
    assert len(requests) >= 20
    for told, expected in zip(
        complete(engine, requests), complete(reference, requests), strict=True
    ):
        same(told, expected)
        assert told.finish != "stop" or told.ends[-1] == told.ends[-2]  # the end-of-text token


@pytest.mark.parametrize("stop", [end_tag(Factor.COMPUTE), "=", " <ACT", "never"])
def test_stop_strings_agree(engine: OpenAIEngine, reference: TransformersEngine, stop: str) -> None:
    sampling = Sampling(temperature=0.0, max_tokens=120, stop=(stop, "Think_End>"))
    requests = [CompletionRequest(prompt, sampling, 0) for prompt in PROMPTS[:8]]
    for told, expected in zip(
        complete(engine, requests), complete(reference, requests), strict=True
    ):
        # vLLM cuts within the token that completes the stop string; transformers keeps it whole.
        assert expected.text.startswith(told.text)
        assert told.text.endswith((stop, "Think_End>"))
        assert told.finish == expected.finish == "stop"
        assert told.logprobs == pytest.approx(expected.logprobs, abs=1e-3)
        assert told.ends == (*expected.ends[:-1], len(told.text))


def test_a_seed_draws_the_same_again_and_samples_differ(engine: OpenAIEngine) -> None:
    requests = [
        CompletionRequest(PROMPTS[0], Sampling(temperature=1.0, max_tokens=60), idx)
        for idx in range(8)
    ]
    first, second = complete(engine, requests), complete(engine, requests)
    assert [told.text for told in first] == [told.text for told in second]
    assert len({told.text for told in first}) > 4


def test_log_probabilities_are_untempered(
    engine: OpenAIEngine, reference: TransformersEngine
) -> None:
    sampling = Sampling(temperature=1.7, top_p=0.9, max_tokens=30)
    (told,) = complete(engine, [CompletionRequest(PROMPTS[1], sampling, 0)])
    n = told.n_tokens if told.finish == "length" else told.n_tokens - 1
    (expected,) = score(reference, [ScoreRequest(PROMPTS[1], told.text)])
    assert told.logprobs[:n] == pytest.approx(expected.logprobs, abs=1e-3)


@pytest.mark.parametrize("n_prompt", [900, 1023, 1024, 1500])
def test_a_context_that_fills_up_ends_a_completion(
    engine: OpenAIEngine, reference: TransformersEngine, n_prompt: int
) -> None:
    prompt = ("7 " * 2000)[:n_prompt]  # a token per character
    request = CompletionRequest(prompt, Sampling(temperature=0.0, max_tokens=5000), 0)
    (told,), (expected,) = complete(engine, [request]), complete(reference, [request])
    assert told.finish == "context"
    assert told.n_tokens == max(1024 - n_prompt, 0)
    same(told, expected)


@pytest.mark.parametrize("prefill", ["", "<ACT_Compute-Start> 3", "\n quite so: \n"])
def test_conversations_are_continued_to_the_letter(
    engine: OpenAIEngine, reference: TransformersEngine, prefill: str
) -> None:
    requests = [CompletionRequest(chat(question, prefill), GREEDY, 0) for question in QUESTIONS[:6]]
    for told, expected in zip(
        complete(engine, requests), complete(reference, requests), strict=True
    ):
        same(told, expected)


def test_priors_agree(engine: OpenAIEngine, reference: TransformersEngine) -> None:
    requests = [prior_request(Trace(question)) for question in QUESTIONS[:8]]
    told, expected = choose(engine, requests), choose(reference, requests)
    assert told == [pytest.approx(row, abs=1e-3) for row in expected]
    assert all(0.9 < sum(row) <= 1.001 for row in told)


@pytest.mark.parametrize("prompt", [PROMPTS[0], chat(QUESTIONS[0], "<ACT_Compute-Start> ")])
def test_choices_of_several_tokens_agree(
    engine: OpenAIEngine, reference: TransformersEngine, prompt: Any
) -> None:
    steps = [start_tag(Factor.COMPUTE) + text for text in ("3+4=7", "3+4=8", "3", "5*")]
    request = ChoiceRequest(prompt, (*steps, "so", "日本", ""))
    (told,), (expected,) = choose(engine, [request]), choose(reference, [request])
    assert [math.log(p) for p in told] == pytest.approx([math.log(p) for p in expected], abs=1e-3)


@pytest.mark.parametrize("of_chat", [False, True])
def test_scores_agree(engine: OpenAIEngine, reference: TransformersEngine, of_chat: bool) -> None:
    texts = [told.text for told in complete(reference, [ask(prompt) for prompt in PROMPTS[:5]])]
    texts += ["The cat sat.", "7", ""]
    requests = [
        ScoreRequest(chat(question, "so") if of_chat else prompt_of(Trace(question)), text)
        for question, text in zip(QUESTIONS, texts, strict=False)
    ]
    for told, expected in zip(score(engine, requests), score(reference, requests), strict=True):
        assert told.ends == expected.ends
        assert told.logprobs == pytest.approx(expected.logprobs, abs=1e-3)


def ask(prompt: str) -> CompletionRequest:
    return CompletionRequest(prompt, Sampling(temperature=1.0, max_tokens=60), 0)


def test_characters_of_several_tokens_end_with_their_last(
    engine: OpenAIEngine, reference: TransformersEngine
) -> None:
    request = ScoreRequest(PROMPTS[0], "a 日本 b")
    (told,), (expected,) = score(engine, [request]), score(reference, [request])
    assert told.logprobs == pytest.approx(expected.logprobs, abs=1e-3)
    assert told.ends[-2:] == expected.ends[-2:]


def test_a_text_is_scored_as_far_as_it_fits(
    engine: OpenAIEngine, reference: TransformersEngine
) -> None:
    request = ScoreRequest("7 " * 500, "8 " * 100)
    (told,), (expected,) = score(engine, [request]), score(reference, [request])
    assert len(told.logprobs) == 23  # 1024 less 1000, and the server keeps one place
    assert told.logprobs == pytest.approx(expected.logprobs[:23], abs=1e-3)
    assert told.ends == expected.ends[:23]
    assert score(engine, [ScoreRequest("7 " * 600, "8")]) == [Score((), ())]


def test_a_model_that_is_not_served_is_an_error(url: str) -> None:
    with pytest.raises(EngineError, match=r"engine\.model='gpt' but 'reasoner'"):
        OpenAIEngine("gpt", url=url)


def test_a_cancelled_call_stops_generating(engine: OpenAIEngine, url: str) -> None:
    def running() -> float:
        with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        (line,) = [line for line in lines if line.startswith("vllm:num_requests_running{")]
        return float(line.split()[-1])

    async def work() -> None:
        sampling = Sampling(temperature=1.5, max_tokens=900)
        requests = [CompletionRequest(PROMPTS[0], sampling, idx) for idx in range(64)]
        call = asyncio.create_task(engine.complete(requests))
        await asyncio.sleep(0.7)
        assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(work())
    end = time.monotonic() + 5
    while running():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_search_runs_over_the_server_and_is_replayed(
    engine: OpenAIEngine, tmp_path: Path
) -> None:
    prefixes = make_prefixes(read_seeds(SEEDS).seeds.head(6), n_prefixes=1)
    config = GenerateConfig(
        puct=PuctConfig(
            n_simulations=2,
            n_root_rollouts=3,
            max_step_tokens=48,
            rollout=Sampling(max_tokens=160),
        )
    )

    def run() -> Any:
        with Journal(tmp_path / "journal") as journal:
            return search_prefixes(prefixes, engine, journal, config=config)

    before = engine.usage.n_generated_tokens
    first = run()
    outcomes = first.rollouts["outcome"].to_list()
    assert "correct" in outcomes
    assert first.progress.n_generated > 30
    # Choices cost a token each, which the scheduler does not count.
    assert engine.usage.n_generated_tokens - before >= first.progress.n_tokens
    assert engine.usage.n_cached_tokens > 0

    again = run()
    assert again.progress.n_generated == 0
    assert again.rollouts.equals(first.rollouts)
    assert again.nodes.equals(first.nodes)
