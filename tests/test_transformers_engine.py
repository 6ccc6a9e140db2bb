"""The engine on the real embedded reasoner, against plain transformers."""

import asyncio
import math
from collections.abc import Sequence

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Sampling,
)
from datagen.engines.registry import WEIGHTS
from datagen.engines.transformers import TransformersEngine
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.prompts.native import prior_request, prompt_of, read_prior, read_rollout
from datagen.reasoner.evaluate import unseen_problems
from datagen.traces.markup import THINK_START, end_tag, start_tag
from datagen.traces.model import Step, Trace

QUESTIONS = [problem.question for problem in unseen_problems(4)]


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine(str(WEIGHTS), batch_size=64)


@pytest.fixture(scope="module")
def plain():
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(WEIGHTS)


def prompts() -> list[str]:
    return [prompt_of(Trace(question)) for question in QUESTIONS]


def complete(
    engine: TransformersEngine, texts: Sequence[str], sampling: Sampling, n: int = 1
) -> list[Completion]:
    requests = [CompletionRequest(text, sampling, idx) for text in texts for idx in range(n)]
    return asyncio.run(engine.complete(requests))


def test_greedy_decoding_equals_generate(engine: TransformersEngine, plain):
    model, tokenizer = plain
    completions = complete(engine, prompts(), Sampling(temperature=0))
    for prompt, completion in zip(prompts(), completions, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        out = model.generate(ids, max_new_tokens=256, do_sample=False)[0, ids.shape[1] :]
        assert completion.text == tokenizer.decode(out, skip_special_tokens=True)
        assert completion.finish == "stop"
        assert completion.n_tokens == len(out)


def test_logprobs_equal_a_teacher_forced_pass(engine: TransformersEngine, plain):
    model, tokenizer = plain
    for prompt, completion in zip(
        prompts()[:6], complete(engine, prompts()[:6], Sampling(temperature=1.3)), strict=True
    ):
        given = len(tokenizer(prompt)["input_ids"])
        ids = tokenizer(prompt + completion.text, return_tensors="pt")["input_ids"]
        ids = torch.cat([ids, torch.tensor([[tokenizer.eos_token_id]])], dim=1)
        logprobs = model(ids).logits.log_softmax(-1)[0, given - 1 : -1]
        expected = logprobs.gather(-1, ids[0, given:, None]).squeeze(-1)
        assert torch.allclose(expected, torch.tensor(completion.logprobs), atol=1e-4)


def test_token_ends_cut_the_text_at_token_borders(engine: TransformersEngine):
    for completion in complete(engine, prompts(), Sampling()):
        assert list(completion.ends) == sorted(completion.ends)
        assert completion.ends[-1] == len(completion.text)
        assert sum(read_rollout(completion).n_tokens) <= completion.n_tokens


def test_the_same_batch_gives_the_same_completions(engine: TransformersEngine):
    once, again = (complete(engine, prompts(), Sampling(), n=3) for _ in range(2))
    assert once == again


def test_a_sample_does_not_depend_on_the_rest_of_the_batch(engine: TransformersEngine):
    whole = complete(engine, prompts(), Sampling(), n=3)
    alone = complete(engine, prompts()[4:5], Sampling(), n=3)
    assert [c.text for c in alone] == [c.text for c in whole[12:15]]


def test_samples_of_one_prompt_differ(engine: TransformersEngine):
    texts = {c.text for c in complete(engine, prompts()[-1:], Sampling(), n=16)}
    assert len(texts) > 8


def test_sampling_follows_the_model_distribution(engine: TransformersEngine):
    prompt = prompts()[0]
    (prior,) = asyncio.run(engine.choose([prior_request(Trace(QUESTIONS[0]))]))
    n = 600
    first = complete(engine, [prompt], Sampling(max_tokens=1), n=n)
    for factor, p in zip(Factor, prior.probabilities, strict=False):
        share = sum(c.text == start_tag(factor) for c in first) / n
        assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / n) + 1e-3


def test_temperatures_and_top_p_are_per_sample(engine: TransformersEngine):
    prompt = prompts()[-1]
    mixed = [
        CompletionRequest(prompt, Sampling(temperature=t, top_p=p), idx)
        for idx in range(8)
        for t, p in ((0.0, 1.0), (1.0, 1e-6), (1.5, 1.0))
    ]
    completions = asyncio.run(engine.complete(mixed))
    greedy = {c.text for c in completions[0::3]}
    assert len(greedy) == 1
    assert {c.text for c in completions[1::3]} == greedy  # a nucleus of one token is greedy
    assert len({c.text for c in completions[2::3]}) > 4


def test_a_stop_string_ends_the_completion_and_stays_in_it(engine: TransformersEngine):
    prompt = prompts()[0] + start_tag(Factor.COMPUTE)
    stop = end_tag(Factor.COMPUTE)
    for completion in complete(engine, [prompt], Sampling(stop=(stop,)), n=6):
        assert completion.text.endswith(stop) and completion.text.count(stop) == 1
        assert completion.finish == "stop"


def test_a_stop_string_of_several_tokens_works_too(engine: TransformersEngine):
    (completion,) = complete(engine, prompts()[:1], Sampling(temperature=0, stop=("Compute-E",)))
    assert completion.text.endswith(end_tag(Factor.COMPUTE))  # the token that completes it


def test_max_tokens_ends_with_length(engine: TransformersEngine):
    (completion,) = complete(engine, prompts()[:1], Sampling(max_tokens=5))
    assert (completion.n_tokens, completion.finish) == (5, "length")


def test_a_prompt_that_fills_the_context_is_data_not_a_crash(engine: TransformersEngine):
    long = "Question: " + "7 " * 3000 + "\n" + THINK_START
    bad, good = complete(engine, [long, prompts()[0]], Sampling())
    assert (bad.finish, bad.n_tokens, bad.text) == ("context", 0, "")
    assert good.finish == "stop"


def test_the_prior_is_the_next_token_distribution_over_factors(engine: TransformersEngine):
    state = Trace(QUESTIONS[0], (Step("find it", Factor.RESTATE_GOAL),))
    (choice,) = asyncio.run(engine.choose([prior_request(state)]))
    assert 0.95 < sum(choice.probabilities) <= 1.0001
    prior = read_prior(choice, min_prior=0.02)
    assert math.isclose(sum(prior.values()), 1)
    assert Factor.EXTRACT_GIVENS in prior and Factor.DETECT_ERROR not in prior


def test_choices_of_several_tokens_are_scored_as_products(engine: TransformersEngine, plain):
    model, tokenizer = plain
    prompt = prompts()[0] + start_tag(Factor.COMPUTE)
    (answer,) = asyncio.run(engine.choose([ChoiceRequest(prompt, ("12+5=17", "1", "99*9"))]))
    assert isinstance(answer, Choice)
    given = tokenizer(prompt)["input_ids"]
    for choice, probability in zip(("12+5=17", "1", "99*9"), answer.probabilities, strict=True):
        ids = tokenizer(choice)["input_ids"]
        logits = model(torch.tensor([given + ids])).logits.log_softmax(-1)[0]
        total = sum(float(logits[len(given) - 1 + i, token]) for i, token in enumerate(ids))
        assert math.isclose(probability, math.exp(total), rel_tol=1e-3, abs_tol=1e-12)


def test_foreign_text_survives(engine: TransformersEngine):
    prompt = "Question: Ünïcode 数学 ∑ \u200b & \\frac{1}{2}?\n" + THINK_START
    (completion,) = complete(engine, [prompt], Sampling(temperature=1.5, max_tokens=60))
    assert completion.ends[-1] == len(completion.text)


def test_the_fingerprint_names_model_dtype_and_sampler(engine: TransformersEngine):
    assert "float32" in engine.fingerprint and "sampler" in engine.fingerprint
    other = TransformersEngine(str(WEIGHTS), dtype="bfloat16")
    assert other.fingerprint != engine.fingerprint


def test_a_missing_model_is_an_engine_error_with_the_fix():
    with pytest.raises(EngineError, match=r"no/such/model.*engine\.model"):
        TransformersEngine("no/such/model")
