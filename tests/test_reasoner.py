"""The shipped checkpoint: its size, its form, and how well it does."""

import asyncio
import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from datagen.engines.protocol import CompletionRequest, Sampling
from datagen.engines.registry import WEIGHTS
from datagen.engines.transformers import TransformersEngine
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.judge import Vote, critique_judge
from datagen.prompts.native import prompt_of, read_rollout
from datagen.reasoner.bundle import SEEDS, bundled_seeds, problem_of
from datagen.reasoner.evaluate import attempt, solve_rate, unseen_problems
from datagen.reasoner.oracle import first_error
from datagen.search.scheduler import Scheduler
from datagen.seeds import read_seeds
from datagen.traces.model import Trace


def test_the_checkpoint_is_small_and_of_safetensors():
    n_bytes = sum(path.stat().st_size for path in WEIGHTS.iterdir())
    assert n_bytes <= 6_000_000
    assert (WEIGHTS / "model.safetensors").exists()
    assert not list(WEIGHTS.glob("*.bin"))


def test_it_loads_as_an_ordinary_llama_model():
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS)
    assert isinstance(model, LlamaForCausalLM)
    config = json.loads((WEIGHTS / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]


def test_its_tokenizer_has_a_chat_template_in_the_prompt_format():
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], tokenize=False
    )
    assert text == "Question: q\na<|end|>"


def test_the_bundled_seeds_are_what_the_script_writes():
    assert SEEDS.read_text(encoding="utf-8") == bundled_seeds()


def test_the_bundled_seeds_are_all_usable_and_carry_their_problem():
    batch = read_seeds(SEEDS)
    assert batch.seeds.height >= 64 and batch.quarantine.height == 0
    for meta, answer in batch.seeds.select("meta", "answer").iter_rows():
        assert str(problem_of(meta).answer) == answer


def test_bundled_and_unseen_questions_are_disjoint():
    seeds = set(read_seeds(SEEDS).seeds["question"])
    assert seeds.isdisjoint(problem.question for problem in unseen_problems(50))


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine(str(WEIGHTS))


@pytest.mark.slow
def test_it_solves_half_to_two_thirds_when_sampled_and_errs_in_several_ways(
    engine: TransformersEngine,
):
    sampled = attempt(engine, unseen_problems(40), temperature=1, n_samples=2)
    assert 0.45 <= solve_rate(sampled) <= 0.75  # the card's 50-70 % and the noise of 400 samples
    kinds = {a.mistake for a in sampled if not a.correct}
    assert {"operation", "arithmetic"} <= kinds and len(kinds) >= 4
    assert any(a.repaired and a.correct for a in sampled)


@pytest.mark.slow
def test_it_thinks_in_the_factors_of_its_world(engine: TransformersEngine):
    requests = [
        CompletionRequest(prompt_of(Trace(problem.question)), Sampling(), idx)
        for problem in unseen_problems(8)
        for idx in range(4)
    ]
    completions = asyncio.run(engine.complete(requests))
    used = {step.factor for c in completions for step in read_rollout(c).steps}
    assert used >= {
        Factor.RESTATE_GOAL,
        Factor.EXTRACT_GIVENS,
        Factor.PLAN,
        Factor.COMPUTE,
        Factor.CHECK_STEP,
        Factor.DETECT_ERROR,
        Factor.CORRECT_ERROR,
        Factor.CONSOLIDATE,
        Factor.ANSWER,
    }


@pytest.mark.slow
def test_most_of_its_critiques_can_be_read_and_name_the_oracles_first_error(
    engine: TransformersEngine,
):
    requests = [
        (problem, CompletionRequest(prompt_of(Trace(problem.question)), Sampling(), 0))
        for problem in unseen_problems(6)
    ]
    completions = asyncio.run(engine.complete([request for _, request in requests]))
    traces = {
        str(idx): (problem, Trace(problem.question, reading.steps, reading.answer))
        for idx, (problem, completion) in enumerate(
            zip((problem for problem, _ in requests), completions, strict=True)
        )
        if (reading := read_rollout(completion)).answer is not None
    }
    judge = critique_judge(n_votes=1)
    with Journal(":memory:") as journal:
        scheduler = Scheduler[list[Vote]](engine, journal)
        votes = scheduler.run([(key, judge(trace)) for key, (_, trace) in traces.items()])
    truths = {key: first_error(problem, trace.steps) for key, (problem, trace) in traces.items()}
    said = {key: vote.first_error for key, (vote,) in votes.items()}
    read = [key for key in said if said[key] is not None]
    wrong = [key for key in read if truths[key] >= 0]
    assert len(traces) > 25 and len(wrong) > 5
    assert len(read) > 0.6 * len(traces)
    assert sum(said[key] == truths[key] for key in read) > 0.7 * len(read)
    assert sum(said[key] == truths[key] for key in wrong) > 0.5 * len(wrong)


def test_the_card_states_the_measured_rates():
    card = (Path(WEIGHTS) / "README.md").read_text()
    assert "| all |" in card and "toy" in card
