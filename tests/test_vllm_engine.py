"""The engine on the real embedded reasoner in a real vLLM, against the transformers engine."""

import asyncio
import contextlib
import importlib.util
import math
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from datagen.config import EngineSettings
from datagen.engines.protocol import (
    Answer,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Request,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.engines.registry import WEIGHTS, open_engine
from datagen.engines.transformers import TransformersEngine
from datagen.engines.vllm import arguments as vllm_arguments
from datagen.engines.vllm import core as vllm_core
from datagen.engines.vllm import engine as vllm_engine
from datagen.engines.vllm.engine import VllmEngine
from datagen.errors import ConfigError, EngineError
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.journal import Journal
from datagen.prompts import tagging
from datagen.prompts.dialect import INSTRUCT, NATIVE, Dialect
from datagen.prompts.native import prior_request, prompt_of
from datagen.reasoner.evaluate import unseen_problems
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig
from datagen.search.run import search_prefixes
from datagen.seeds import read_seeds
from datagen.traces.markup import THINK_START, end_tag, start_tag
from datagen.traces.model import Trace
from datagen.traces.prefixes import make_prefixes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None,
        reason="needs vLLM: python -m datagen.engines.vllm.install",
    ),
]

QUESTIONS = [problem.question for problem in unseen_problems(6)][:24]
PROMPTS = [prompt_of(Trace(question)) for question in QUESTIONS]
SEEDS = WEIGHTS.parent / "seeds.jsonl"
LONG = "Question: " + "7 " * 3000 + "\n" + THINK_START


@pytest.fixture(scope="module")
def engine() -> Iterator[VllmEngine]:
    opened = open_engine(EngineSettings(kind="vllm", dtype="float32"))
    assert isinstance(opened, VllmEngine)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference() -> TransformersEngine:
    return TransformersEngine(str(WEIGHTS), dtype="float32")


def complete(
    engine: VllmEngine | TransformersEngine,
    prompts: Sequence[str],
    sampling: Sampling,
    n: int = 1,
) -> list[Completion]:
    requests = [CompletionRequest(prompt, sampling, idx) for prompt in prompts for idx in range(n)]
    return asyncio.run(engine.complete(requests))


def assert_equal(ours: Completion, theirs: Completion) -> None:
    assert (ours.text, ours.finish, ours.ends) == (theirs.text, theirs.finish, theirs.ends)
    assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)


# ---- completions


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(temperature=0, max_tokens=7),
        Sampling(temperature=0, stop=(end_tag(Factor.COMPUTE), end_tag(Factor.EXTRACT_GIVENS))),
        Sampling(temperature=0, stop=("Compute-E", "never written")),
    ],
    ids=["to the end", "max_tokens", "stop tokens", "stop string of several tokens"],
)
def test_greedy_completions_equal_those_of_transformers(
    engine: VllmEngine, reference: TransformersEngine, sampling: Sampling
):
    ours, theirs = (complete(e, PROMPTS, sampling) for e in (engine, reference))
    assert len({completion.text for completion in theirs}) > 1
    for one, other in zip(ours, theirs, strict=True):
        assert_equal(one, other)


def test_a_full_context_is_data_not_a_crash(engine: VllmEngine, reference: TransformersEngine):
    almost = "Question: " + "7 " * 507
    (one,) = complete(engine, [almost], Sampling(temperature=0))
    (other,) = complete(reference, [almost], Sampling(temperature=0))
    assert 0 < other.n_tokens < 20
    assert_equal(one, other)
    assert complete(engine, [LONG], Sampling()) == [Completion("", "context", (), ())]


def test_logprobs_are_untempered(engine: VllmEngine, reference: TransformersEngine):
    completions = complete(engine, PROMPTS, Sampling(temperature=1.5, top_p=0.9, max_tokens=40))
    requests = [
        ScoreRequest(prompt, completion.text)
        for prompt, completion in zip(PROMPTS, completions, strict=True)
    ]
    n_compared = 0
    scores = asyncio.run(reference.score(requests))
    for completion, score in zip(completions, scores, strict=True):
        n_tokens = len(score.ends)
        # A sample may spell a word by other tokens than the tokenizer; it cannot be compared.
        if completion.ends[:n_tokens] == score.ends:
            n_compared += 1
            assert completion.logprobs[:n_tokens] == pytest.approx(score.logprobs, abs=1e-3)
    assert n_compared > len(completions) / 2


def test_sampling_follows_the_model_distribution(engine: VllmEngine):
    (prior,) = asyncio.run(engine.choose([prior_request(Trace(QUESTIONS[0]))]))
    n = 600
    first = complete(engine, PROMPTS[:1], Sampling(max_tokens=1), n=n)
    for factor, p in zip(Factor, prior.probabilities, strict=False):
        share = sum(completion.text == start_tag(factor) for completion in first) / n
        assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / n) + 1e-3


def test_samples_of_one_prompt_differ_and_each_has_its_seed(engine: VllmEngine):
    once, again = (complete(engine, PROMPTS[-1:], Sampling(), n=16) for _ in range(2))
    assert len({completion.text for completion in once}) > 8
    assert [c.text for c in once] == [c.text for c in again]


def test_foreign_text_survives(engine: VllmEngine):
    prompt = "Question: Ünïcode 数学 ∑ \u200b & \\frac{1}{2}?\n" + THINK_START
    stop = ("never written",)
    (one,) = complete(engine, [prompt], Sampling(temperature=1.5, max_tokens=60, stop=stop))
    assert one.ends[-1] == len(one.text)


def test_a_request_that_vllm_refuses_is_an_engine_error(engine: VllmEngine):
    with pytest.raises(EngineError, match=r"temperature must be in \[0, 2\], got 3"):
        complete(engine, PROMPTS[:1], Sampling(temperature=3.0))


# ---- choices and scores


def test_choices_weigh_what_they_do_in_transformers(
    engine: VllmEngine, reference: TransformersEngine
):
    opened = PROMPTS[0] + start_tag(Factor.COMPUTE)
    pieces = (reference._tokenizer.decode([token]) for token in range(1, 768))
    words = [p for p in pieces if len(reference._tokens.continuation(p)) == 1]
    assert len(words) > 300  # more than vLLM tells at one place
    requests = [
        *(prior_request(Trace(question)) for question in QUESTIONS),
        ChoiceRequest(opened, ("12+5=17", "12+5=18", "1", "", "99*9", "12")),
        ChoiceRequest(opened, tuple(words)),
        ChoiceRequest(opened, ()),
    ]
    ours, theirs = (asyncio.run(e.choose(requests)) for e in (engine, reference))
    for one, other in zip(ours, theirs, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4, rel=1e-3)
    several = ours[len(QUESTIONS)].probabilities
    assert several[3] == 1 and 1e-3 < several[2] < 1


def test_an_improbable_beginning_is_not_followed(engine: VllmEngine):
    prompt = PROMPTS[0] + start_tag(Factor.COMPUTE)
    before = engine.usage.n_prompt_tokens
    (answer,) = asyncio.run(engine.choose([ChoiceRequest(prompt, (THINK_START * 9,))]))
    assert answer.probabilities == (0.0,)
    (first,) = asyncio.run(engine.choose([ChoiceRequest(prompt, (THINK_START,))]))
    assert first.probabilities[0] < 1e-6
    assert engine.usage.n_prompt_tokens - before <= 2 * (len(prompt) + 1)


def test_a_choice_beyond_the_context_is_impossible(engine: VllmEngine):
    (answer,) = asyncio.run(engine.choose([ChoiceRequest(LONG, ("1", "12"))]))
    assert answer.probabilities == (0.0, 0.0)


def test_scores_equal_those_of_transformers(engine: VllmEngine, reference: TransformersEngine):
    texts = [completion.text for completion in complete(engine, PROMPTS, Sampling())]
    requests = [
        *(ScoreRequest(p, text) for p, text in zip(PROMPTS, texts, strict=True)),
        ScoreRequest(PROMPTS[0], "1"),
        ScoreRequest(PROMPTS[0], ""),
        ScoreRequest("", "Question"),
        ScoreRequest("", ""),
        ScoreRequest(PROMPTS[0], "7 " * 1024),  # up to the last place of the context
        ScoreRequest(LONG, "1"),
        ScoreRequest(PROMPTS[0], "naïve 数学 <|end|>"),
    ]
    ours, theirs = (asyncio.run(e.score(requests)) for e in (engine, reference))
    for one, other in zip(ours, theirs, strict=True):
        assert one.ends == other.ends
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)
    assert ours[-2] == Score((), ())
    assert len(ours[-3].ends) > 900


async def tag_answers(
    engine: VllmEngine | TransformersEngine, requests: Sequence[Request]
) -> list[Answer]:
    """A choice comes first in both dialects, and scores behind it."""
    choices = [request for request in requests if isinstance(request, ChoiceRequest)]
    scores = [request for request in requests if isinstance(request, ScoreRequest)]
    return [*await engine.choose(choices), *(await engine.score(scores) if scores else ())]


@pytest.mark.parametrize("dialect", [NATIVE, INSTRUCT], ids=["native", "instruct"])
def test_steps_are_tagged_by_constrained_choice(
    engine: VllmEngine,
    reference: TransformersEngine,
    monkeypatch: pytest.MonkeyPatch,
    dialect: Dialect,
):
    # The embedded reasoner follows no instructions: the task is longer than its context, and no
    # name in brackets is probable enough for it to be followed to its end.
    monkeypatch.setattr(tagging, "TASK", "Which kind is between >>> and <<<?\n\nQuestion:\n")
    monkeypatch.setattr(vllm_engine, "_LEAST_PROBABILITY", 0.0)
    state = Trace(QUESTIONS[0])
    (written,) = complete(engine, PROMPTS[:1], Sampling(temperature=0))
    trace = replace(state, steps=NATIVE.read_rollout(written, state).steps)
    for idx in (0, 1, len(trace.steps) - 1):
        requests = dialect.tag_requests(trace, idx)
        ours, theirs = (
            dialect.read_tag(asyncio.run(tag_answers(e, requests))) for e in (engine, reference)
        )
        assert tuple(ours) == ACTIONS
        assert min(ours.values()) >= 0 and sum(ours.values()) == pytest.approx(1)
        assert max(ours.values()) > 2 / len(ACTIONS)
        assert ours == pytest.approx(theirs, abs=5e-3)
        if dialect is NATIVE:  # it wrote the tag itself
            assert max(ours, key=ours.__getitem__) is trace.steps[idx].factor


# ---- many calls


def test_thousands_of_calls_of_all_kinds_are_in_flight_at_once(
    engine: VllmEngine, reference: TransformersEngine
):
    greedy = complete(reference, PROMPTS, Sampling(temperature=0, max_tokens=4))

    async def ask(idx: int) -> None:
        prompt = PROMPTS[idx % len(PROMPTS)]
        match idx % 3:
            case 0:
                (choice,) = await engine.choose([prior_request(Trace(QUESTIONS[0]))])
                assert 0.95 < sum(choice.probabilities) < 1.001
            case 1:
                (score,) = await engine.score([ScoreRequest(prompt, "12+5")])
                assert len(score.logprobs) == len(score.ends) > 0
            case _:
                request = CompletionRequest(prompt, Sampling(temperature=0, max_tokens=4), idx)
                assert_equal((await engine.complete([request]))[0], greedy[idx % len(PROMPTS)])

    async def ask_all() -> None:
        await asyncio.gather(*map(ask, range(1500)))

    asyncio.run(ask_all())


def test_a_cancelled_call_stops_generating(engine: VllmEngine):
    requests = [CompletionRequest(PROMPTS[0], Sampling(temperature=2), idx) for idx in range(512)]

    async def begin_and_cancel() -> None:
        before = engine.usage.n_generated_tokens
        calls = [asyncio.create_task(engine.complete([request])) for request in requests]
        done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for call in pending:
            call.cancel()
        ends = await asyncio.gather(*pending, return_exceptions=True)
        assert len(ends) > 200, "the calls were too short to be cancelled"
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        # vLLM empties its cache only when nothing is running in its core.
        async with asyncio.timeout(3):
            while not await engine._core.run(engine._core.llm.reset_prefix_cache()):
                await asyncio.sleep(0.05)
        assert engine._core.llm.get_num_unfinished_requests() == 0
        # What cancelled calls did generate is counted.
        n_answered = sum(call.result()[0].n_tokens for call in done)
        assert engine.usage.n_generated_tokens - before > n_answered

    asyncio.run(begin_and_cancel())


def test_a_second_sample_of_a_prompt_finds_it_in_the_cache(engine: VllmEngine):
    prompt, usage = "Question: " + "3 + 4 - " * 40, engine.usage
    asyncio.run(engine.complete([CompletionRequest(prompt, Sampling(max_tokens=3), 0)]))
    n_prompt, n_cached, n_generated = (
        usage.n_prompt_tokens,
        usage.n_cached_tokens,
        usage.n_generated_tokens,
    )
    asyncio.run(engine.complete([CompletionRequest(prompt, Sampling(max_tokens=3), 1)]))
    assert usage.n_prompt_tokens - n_prompt > 100
    assert usage.n_prompt_tokens - n_prompt - 32 <= usage.n_cached_tokens - n_cached
    assert 0 < usage.n_generated_tokens - n_generated <= 3


def test_a_search_runs_through_the_journal_and_resumes_without_generating(
    engine: VllmEngine, tmp_path: Path
):
    prefixes = make_prefixes(read_seeds(SEEDS, limit=6).seeds, n_prefixes=1)
    config = GenerateConfig(puct=PuctConfig(n_simulations=2, n_root_rollouts=6))
    with Journal(tmp_path / "journal") as journal:
        first = search_prefixes(prefixes, engine, journal, config=config)
        again = search_prefixes(prefixes, engine, journal, config=config)
    assert {"correct", "wrong"} <= set(first.rollouts["outcome"])
    assert first.progress.n_generated > 50 and again.progress.n_generated == 0
    assert again.rollouts.equals(first.rollouts)


# ---- settings


def test_the_fingerprint_names_weights_dtype_and_what_shapes_the_output(
    engine: VllmEngine, reference: TransformersEngine
):
    parts = engine.fingerprint.split(":")
    assert parts[0] == "vllm" and parts[3] == "float32"
    assert parts[2] == reference.fingerprint.split(":")[2]  # digest of the same weights
    shaped = vllm_arguments.shaping({"quantization": "fp8", "max_model_len": 512, "seed": 1})
    assert shaped == ['quantization-"fp8"', "max_model_len-512"]


def test_options_win_over_settings_and_settings_over_defaults():
    given = {"model": "m", "dtype": "auto", "max_model_len": None, "gpu_memory_utilization": 0.5}
    options = {"gpu_memory_utilization": 0.4, "block_size": 64, "seed": 7}
    arguments = vllm_arguments.engine_arguments(given, options)
    assert arguments | options == arguments
    assert arguments["model"] == "m" and "max_model_len" not in arguments
    assert arguments.get("dtype", "float32") == "float32"
    assert vllm_arguments.engine_arguments({"dtype": "bfloat16"}, {})["dtype"] == "bfloat16"


def test_an_unknown_option_is_an_error_that_lists_near_ones():
    with pytest.raises(ConfigError, match=r"options\.max_num_sequences=4.*max_num_seqs"):
        VllmEngine("m", options={"max_num_sequences": 4})


def test_a_model_that_cannot_be_loaded_is_an_engine_error_with_the_fix(tmp_path: Path):
    with pytest.raises(EngineError, match=r"(?s)no-such-model.*engine\.model"):
        VllmEngine(str(tmp_path / "no-such-model"))


def test_an_error_shows_what_vllm_wrote_about_the_cause(monkeypatch: pytest.MonkeyPatch):
    with tempfile.TemporaryFile("a+") as log:
        monkeypatch.setattr(vllm_core, "_log", lambda: log)
        log.write("RuntimeError: of an engine before\n")
        log.flush()
        core = object.__new__(vllm_core.VllmCore)
        core._model, core._log_begin = "m", vllm_core._log_size()
        log.write("Triton is not installed.\n(Worker pid=7) ValueError: no weights\n  raise it\n")
        log.flush()
        assert str(core.death()).endswith("engine.max_context\n  vLLM: ValueError: no weights")


def test_without_vllm_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"vLLM, which is missing; install it with `.*install"):
        VllmEngine("m")


# ---- processes


def alive(process: Path) -> bool:
    """Whether a folder of ``/proc`` is that of a living process."""
    try:
        return ") Z " not in (process / "stat").read_text()
    except OSError:
        return False


def living(variable: str) -> list[Path]:
    """The processes that have an environment variable, given as ``name=value``."""
    found: list[Path] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (process / "environ").read_bytes() and alive(process):
                found.append(process)
    return found


def wait_until(done: Callable[[], object], *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


SCRIPT = """
import asyncio
from datagen.config import EngineSettings
from datagen.engines.protocol import CompletionRequest, Sampling
from datagen.engines.registry import open_engine

if __name__ == "__main__":
    engine = open_engine(EngineSettings(kind="vllm"))
    request = CompletionRequest("Question", Sampling(max_tokens=3), 0)
    print(len(asyncio.run(engine.complete([request]))), flush=True)
"""


def test_a_program_that_ends_leaves_no_process_says_nothing_and_calls_nobody(tmp_path: Path):
    (tmp_path / "program.py").write_text(SCRIPT)
    mark = f"MARK_OF_TEST={tmp_path}"
    with socket.create_server(("127.0.0.1", 0)) as hub:
        run = subprocess.run(
            [sys.executable, str(tmp_path / "program.py")],
            # TRL sets one of these in whatever process imports it.
            env={name: value for name, value in os.environ.items() if name[:5] != "VLLM_"}
            | {
                "PYTHONPATH": os.pathsep.join(sys.path),
                "MARK_OF_TEST": str(tmp_path),
                "HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        hub.settimeout(0)
        with pytest.raises(BlockingIOError):
            hub.accept()
    assert (run.returncode, run.stdout, run.stderr) == (0, "1\n", "")
    wait_until(lambda: not living(mark))


WATCHED = """
import multiprocessing, time
from concurrent.futures import Future
from datagen.engines.vllm.core import _start_watch, _watch_over
from threading import Timer

if __name__ == "__main__":
    core = multiprocessing.Process(name="EngineCore", target=time.sleep, args=(60,), daemon=True)
    watch = _start_watch()
    Timer(1, core.start).start()  # after a first look, which is for engines that are there already
    _watch_over(watch, Future(), 1)
    print(core.pid, flush=True)
    time.sleep(60)
"""


def test_a_core_process_does_not_outlive_a_killed_program(tmp_path: Path):
    (tmp_path / "program.py").write_text(WATCHED)
    program = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    core = Path("/proc") / program.stdout.readline().strip()
    assert alive(core)
    program.kill()
    program.wait()
    wait_until(lambda: not alive(core))


def test_a_killed_core_is_an_engine_error_and_no_call_hangs(engine: VllmEngine):
    """Last but one, because it breaks the engine that all tests share."""
    requests = [CompletionRequest(PROMPTS[0], Sampling(temperature=2), idx) for idx in range(300)]

    async def ask_and_kill() -> list[object]:
        calls = [asyncio.create_task(engine.complete([request])) for request in requests]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        (core,) = (p for p in multiprocessing.active_children() if p.name == "EngineCore")
        assert core.pid is not None
        os.kill(core.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            return await asyncio.gather(*calls, return_exceptions=True)

    ends = asyncio.run(ask_and_kill())
    errors = [end for end in ends if isinstance(end, BaseException)]
    assert errors, "all calls were answered before the core was killed"
    for error in errors:
        assert isinstance(error, EngineError)
        assert "core process" in str(error) and "died" in str(error) and "run again" in str(error)
    with pytest.raises(EngineError, match="died"):
        complete(engine, PROMPTS[:1], Sampling())


def test_close_may_be_called_twice_and_leaves_no_process(engine: VllmEngine):
    """Last, because it closes the engine that all tests share."""
    engine.close()
    engine.close()
    wait_until(lambda: not [p for p in multiprocessing.active_children() if "Core" in p.name])
    with pytest.raises(EngineError, match="closed; open another"):
        complete(engine, PROMPTS[:1], Sampling())
