"""The engine benchmark: the same requests with and without the pipeline, ratios, growth."""

import asyncio
import importlib.util
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console
from transformers import AutoTokenizer

import assets.bench.engine
import datagen.bench.engine
from assets.bench.engine import run_engine_bench
from assets.cli import cli
from datagen.bench.ceilings import default_generate, load_model, matmul_limit
from datagen.bench.engine import Plan, bench_engine, engine_settings, plan_for
from datagen.bench.growth import Growth, Run, run_apart, toy_prefixes
from datagen.bench.recorded import RecordingEngine, forget_prefixes, put_raw
from datagen.bench.saturation import Rate, Saturation, measure_saturation, world_prefixes
from datagen.bench.shapes import write_shape
from datagen.engines.fake import FakeEngine, toy_engine
from datagen.engines.protocol import ChoiceRequest, Completion, CompletionRequest, Sampling
from datagen.engines.registry import WEIGHTS
from datagen.errors import ConfigError, DatagenError

TINY = Plan(
    n_problems=3,
    n_repeats=1,
    serial_s=0.1,
    n_generate=8,
    generate_tokens=16,
    growth_seeds=20,
    growth_base=10,
    n_growth_runs=1,
)
PROMISED = {
    "engine",
    "saturation",
    "speedup_vs_serial",
    "prefix_hit_rate",
    "raw_tokens_per_s",
    "pipeline_tokens_per_s",
    "default_generate_tokens_per_s",
    "matmul_limit_tokens_per_s",
    "seconds_per_seed_growth",
    "memory_growth",
    "n_seeds",
    "batch_size",
    "concurrency",
    "machine",
    "versions",
    "seconds",
}


def completion(prompt: str, max_tokens: int = 8) -> CompletionRequest:
    return CompletionRequest(prompt, Sampling(max_tokens=max_tokens), 0)


def words(n: int) -> FakeEngine:
    return FakeEngine(lambda _: "word " * n)


# --- recording and repeating ---------------------------------------------------------------------


def test_a_recording_engine_keeps_what_was_asked_in_order_and_hands_on_the_answers() -> None:
    engine = words(3)
    recording = RecordingEngine(engine)
    choice = ChoiceRequest("c", ("a", "b"))

    async def ask() -> list[Completion]:
        await recording.choose([choice])
        return await recording.complete([completion("x"), completion("y")])

    answers = asyncio.run(ask())
    assert recording.requests == [choice, completion("x"), completion("y")]
    assert [answer.text for answer in answers] == ["word word word "] * 2
    assert recording.usage is engine.usage


def test_a_recording_engine_follows_an_engine_that_changes_its_concurrency() -> None:
    engine = words(1)
    recording = RecordingEngine(engine)
    engine.concurrency = 7
    asyncio.run(recording.complete([completion("x")]))
    assert recording.concurrency == 7


def test_raw_requests_go_out_in_full_batches_of_one_kind_in_the_order_of_asking() -> None:
    engine = FakeEngine(lambda _: "word", batch_size=2)
    choice = ChoiceRequest("c", ("a", "b"))
    asked = [completion("1"), choice, completion("2"), completion("3")]
    put_raw(engine, asked)
    assert [len(batch) for batch in engine.batches] == [1, 2, 1]
    assert [request for batch in engine.batches for request in batch] == [
        choice,
        completion("1"),
        completion("2"),
        completion("3"),
    ]


def test_an_engine_of_single_calls_gets_as_many_raw_requests_at_once_as_it_wants() -> None:
    at_once, most = 0, 0

    class Busy(FakeEngine):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            answers = await super().complete(requests)
            at_once -= 1
            return answers

    engine = Busy(lambda _: "word", batch_size=1, concurrency=3)
    put_raw(engine, [completion(str(idx)) for idx in range(8)])
    assert most == 3
    assert [len(batch) for batch in engine.batches] == [1] * 8


def test_raw_tokens_are_those_that_were_generated() -> None:
    choice = ChoiceRequest("c", ("a", "b"))
    assert put_raw(words(3), [completion("x"), choice, completion("y", max_tokens=2)]) == 4 + 2


def test_a_prefix_cache_is_emptied_where_the_engine_can() -> None:
    class Caching(FakeEngine):
        n_resets = 0

        async def reset_prefix_cache(self) -> None:
            self.n_resets += 1

    engine = Caching(lambda _: "word")
    forget_prefixes(engine)
    assert engine.n_resets == 1
    forget_prefixes(words(1))  # has none; nothing to do


# --- ratios --------------------------------------------------------------------------------------


def test_saturation_and_speedup_are_ratios_of_medians() -> None:
    found = Saturation(
        pipeline=(Rate(80, 1.0), Rate(90, 1.0), Rate(10, 1.0)),
        raw=(Rate(100, 1.0), Rate(300, 3.0), Rate(1, 1.0)),
        serial=Rate(20, 1.0),
        n_serial=2,
        hit_rate=0.5,
        outside_share=None,
    )
    assert found.saturation == pytest.approx(0.8)
    assert found.speedup == pytest.approx(4.0)


def test_growth_is_seconds_and_memory_of_many_seeds_over_those_of_few() -> None:
    few = tuple(Run(100, seconds, 1.0, 1, 200.0) for seconds in (1.0, 2.0, 9.0))
    growth = Growth(few, Run(10_000, 220.0, 150.0, 1, 300.0))
    assert growth.seconds == pytest.approx(1.1)
    assert growth.cpu == pytest.approx(1.5)
    assert growth.memory == pytest.approx(1.5)


@pytest.mark.slow
def test_a_pipeline_held_up_by_a_slow_engine_of_batches_is_saturated_and_beats_serial(
    tmp_path: Path,
) -> None:
    engine = toy_engine(batch_size=64, delay_s=0.02)
    found = measure_saturation(
        engine, toy_prefixes(8), tmp_path, n_repeats=1, serial_s=0.2, note=lambda _: None
    )
    assert 0 < found.saturation < 1.3
    assert found.speedup > 2
    assert found.n_serial >= 1
    assert found.outside_share is not None and 0 < found.outside_share < 1
    assert list(tmp_path.iterdir()) == []


def test_problems_are_the_same_in_every_run_and_none_comes_twice() -> None:
    prefixes = world_prefixes(40)
    assert prefixes.equals(world_prefixes(40))
    assert prefixes.head(7).equals(world_prefixes(7))
    assert Counter(prefixes["question"]).most_common(1)[0][1] == 1


# --- ceilings ------------------------------------------------------------------------------------


class Scripted:
    """A model whose ``generate`` writes what it is told."""

    device = torch.device("cpu")

    def __init__(self, rows: list[list[int]]) -> None:
        self.rows = rows
        self.asked: dict[str, Any] = {}

    def generate(self, **asked: Any) -> torch.Tensor:
        self.asked = asked
        return torch.cat([asked["input_ids"], torch.tensor(self.rows)], dim=1)


def test_generate_is_credited_with_the_tokens_up_to_each_rows_end() -> None:
    loaded = load_model(str(WEIGHTS), device="cpu", dtype="float32")
    (end,) = loaded.ends
    model = Scripted([[5, 6, end, end], [5, 6, 7, 8], [end, end, end, end]])
    scripted = type(loaded)(model, loaded.prompts, loaded.ends, loaded.padding)
    found = default_generate(scripted, [completion("a b c"), completion("a"), completion("a b")])
    assert (found.written.n_tokens, found.gross.n_tokens) == (3 + 4 + 1, 12)
    # Padded on the left, so that every row goes on behind its own last token.
    assert model.asked["attention_mask"][:, -1].tolist() == [1, 1, 1]
    assert model.asked["attention_mask"].sum(1).tolist() == [
        len(loaded.prompts.ids(prompt)) for prompt in ("a b c", "a", "a b")
    ]


def test_the_matrix_limit_falls_with_the_size_of_the_matrices() -> None:
    small = torch.nn.Sequential(torch.nn.Linear(64, 64))
    large = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(8)))
    fast, slow = (matmul_limit(model, 32, seconds=0.1) for model in (small, large))
    assert fast > 3 * slow > 0


# --- shapes --------------------------------------------------------------------------------------


def test_every_token_of_a_padded_vocabulary_has_a_text_that_is_read_as_it(tmp_path: Path) -> None:
    folder = write_shape("tiny", tmp_path)
    padded: Any = AutoTokenizer.from_pretrained(folder)
    embedded: Any = AutoTokenizer.from_pretrained(WEIGHTS)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    added = list(range(len(embedded), size))
    assert len(padded) == size
    assert padded.encode(padded.decode(added)) == added
    prompt = "Question: Tom has 12 apples.\n<Think_Start>\n<ACT_Compute-Start> 3 + 4"
    assert padded.encode(prompt) == embedded.encode(prompt)


def test_a_large_shape_without_a_gpu_is_refused_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"'7b' needs a CUDA GPU.*--shape tiny"):
        engine_settings("vllm", shape="7b", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_shape_has_no_weights_for_transformers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--engine vllm"):
        engine_settings("transformers", shape="tiny", folder=tmp_path)


# --- whole runs ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_growth_is_measured_in_a_process_of_its_own_that_leaves_nothing(tmp_path: Path) -> None:
    run = run_apart(20, tmp_path)
    assert run.n_seeds == 20
    assert run.n_tokens > 20 * 50
    assert 0 < run.seconds < 60
    assert 50 < run.peak_mib < 2000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_growth_run_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatagenError, match="FileExistsError"):
        run_apart(1, tmp_path / "file")


@pytest.fixture
def tiny_plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(assets.bench.engine, "plan_for", lambda *_, **__: TINY)
    yield


@pytest.mark.slow
def test_the_command_measures_the_embedded_engine_and_writes_json(
    tmp_path: Path, tiny_plan: None
) -> None:
    json_path = tmp_path / "figures" / "engine.json"
    options = ["--quick", "--out", str(tmp_path / "out"), "--json", str(json_path)]
    done = CliRunner().invoke(cli, ["bench", "engine", *options], catch_exceptions=False)
    assert done.exit_code == 0
    figures = json.loads(json_path.read_text())
    assert set(figures) >= PROMISED
    assert figures["engine"] == "transformers"
    assert 0 < figures["saturation"] < 1.3
    assert 0 < figures["prefix_hit_rate"] < 1
    assert figures["speedup_vs_serial"] > 0
    assert figures["default_generate_tokens_per_s"] > 0
    assert 0 < figures["share_of_matmul_limit"] < 1
    assert sum(figures["profile"].values()) == pytest.approx(1, abs=0.01)
    assert figures["growth_seeds"] == 20
    assert figures["seconds_per_seed_growth"] > 0
    assert figures["memory_growth"] == pytest.approx(1, abs=0.3)
    assert figures["machine"]["cores"] >= 1
    assert figures["n_seeds"] == TINY.n_problems
    assert "saturation" in done.output and "linear layers" in done.output
    assert json.loads((tmp_path / "out" / "engine.json").read_text()) == figures
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["engine.json"]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None,
    reason="needs vLLM: python -m datagen.engines.vllm.install",
)
def test_a_tiny_shape_without_weights_runs_on_vllm(tmp_path: Path) -> None:
    settings = engine_settings("vllm", shape="tiny", folder=tmp_path)
    plan = Plan(n_problems=2, n_repeats=1, serial_s=0.1, n_generate=0, growth_seeds=0)
    figures = bench_engine(settings, plan, tmp_path, note=lambda _: None)
    assert 0 < figures["saturation"] < 2
    assert 0 <= figures["prefix_hit_rate"] < 1
    assert figures["speedup_vs_serial"] > 0
    assert figures["default_generate_tokens_per_s"] is None
    assert figures["seconds_per_seed_growth"] is None
    assert figures["batch_size"] == 1


def test_a_run_on_a_shape_measures_no_growth_and_no_generate() -> None:
    plan = plan_for("vllm", shape="7b", quick=False)
    assert (plan.growth_seeds, plan.n_generate) == (0, 0)


def test_figures_that_do_not_apply_are_left_out_of_the_table_and_null_in_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(lambda _: "word " * 20, batch_size=1, concurrency=64)
    monkeypatch.setattr(datagen.bench.engine, "open_engine", lambda _: engine)
    plan = Plan(n_problems=4, n_repeats=1, serial_s=0.01, n_generate=0, growth_seeds=0)
    printed = io.StringIO()
    console = Console(file=printed)
    run_engine_bench(
        console,
        out=tmp_path,
        kind="transformers",
        shape=None,
        quick=True,
        json_path=None,
        plan=plan,
    )
    assert "saturation" in printed.getvalue()
    assert "memory_growth" not in printed.getvalue()
    figures = json.loads((tmp_path / "engine.json").read_text())
    assert set(figures) >= PROMISED
    assert figures["memory_growth"] is None
    assert figures["profile"] is None
    assert figures["outside_engine_share"] is None  # calls overlap
    assert figures["concurrency"] == 64
