"""The engine on the real embedded reasoner, against plain transformers."""

import asyncio
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.engines import transformers as module
from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.engines.registry import WEIGHTS
from datagen.engines.transformers import TransformersEngine
from datagen.errors import EngineError
from datagen.factors.taxonomy import Factor
from datagen.prompts.native import (
    prior_request,
    prompt_of,
    read_prior,
    read_rollout,
    read_score,
    score_request,
)
from datagen.reasoner.evaluate import unseen_problems
from datagen.traces.markup import THINK_START, end_tag, start_tag
from datagen.traces.model import Step, Trace

pytestmark = pytest.mark.slow

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


@pytest.mark.slow
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


def test_a_context_that_fills_up_midway_ends_with_context(engine: TransformersEngine):
    nearly = ("7 " * 600)[:1020]  # a token per character
    (completion,) = complete(engine, [nearly], Sampling(temperature=0, max_tokens=500))
    assert (completion.n_tokens, completion.finish) == (4, "context")


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


def score(engine: TransformersEngine, requests: Sequence[ScoreRequest]) -> list[Score]:
    return asyncio.run(engine.score(requests))


@contextmanager
def passes(engine: TransformersEngine) -> Iterator[list[tuple[int, int]]]:
    """Rows and length of each pass through the model."""
    sizes: list[tuple[int, int]] = []
    hook = engine._model.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    yield sizes
    hook.remove()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_score_is_what_the_completion_reported(engine: TransformersEngine, temperature: float):
    prompts_ = prompts()
    completions = complete(engine, prompts_, Sampling(temperature=temperature))
    scores = score(
        engine,
        [ScoreRequest(p, c.text) for p, c in zip(prompts_, completions, strict=True)],
    )
    n_compared = 0
    for completion, scored in zip(completions, scores, strict=True):
        # A sample may spell a word by other tokens than the tokenizer; it cannot be compared.
        if completion.finish == "stop" and completion.ends[:-1] == scored.ends:
            n_compared += 1
            expected = torch.tensor(completion.logprobs[:-1])
            assert torch.allclose(torch.tensor(scored.logprobs), expected, atol=1e-4)
    assert n_compared > len(completions) / 2


def test_the_surprisal_of_an_action_is_its_prior(engine: TransformersEngine):
    steps = [read_rollout(c).steps for c in complete(engine, prompts(), Sampling())]
    traces = [Trace(q, s) for q, s in zip(QUESTIONS, steps, strict=True)]
    scores = score(engine, [score_request(trace) for trace in traces])
    assert any(len(trace.steps) > 1 for trace in traces[:6])
    for trace, scored in list(zip(traces, scores, strict=True))[:6]:
        requests = [prior_request(trace.prefix(n)) for n in range(len(trace.steps))]
        priors = asyncio.run(engine.choose(requests))
        for step, prior, surprisal in zip(
            trace.steps, priors, read_score(scored, trace), strict=True
        ):
            expected = prior.probabilities[list(Factor).index(step.factor)]
            assert math.isclose(math.exp(-surprisal.action), expected, rel_tol=1e-3)


def test_an_empty_text_has_an_empty_score(engine: TransformersEngine):
    empty, other = score(engine, [ScoreRequest(prompts()[0], ""), ScoreRequest("a", "b")])
    assert empty == Score((), ())
    assert len(other.logprobs) == 1
    assert score(engine, []) == []


def test_a_text_is_scored_as_far_as_the_context_reaches(engine: TransformersEngine, plain):
    model, tokenizer = plain
    context = model.config.max_position_embeddings
    given = len(tokenizer(prompts()[0])["input_ids"])
    text = "7 " * context
    with passes(engine) as sizes:
        cut, short, full = score(
            engine,
            [
                ScoreRequest(prompts()[0], text),
                ScoreRequest(prompts()[0], text[:100]),
                ScoreRequest("Question: " + text, text * 2),
            ],
        )
    assert max(length for _, length in sizes) < context
    assert len(cut.logprobs) == len(cut.ends) == context - given
    assert torch.allclose(
        torch.tensor(cut.logprobs[:50]), torch.tensor(short.logprobs[:50]), atol=1e-4
    )
    assert full == Score((), ())


def test_a_text_after_nothing_follows_the_end_of_another(engine: TransformersEngine, plain):
    model, tokenizer = plain
    (scored,) = score(engine, [ScoreRequest("", "Question")])
    first = tokenizer("Question")["input_ids"][0]
    logits = model(torch.tensor([[tokenizer.eos_token_id]])).logits[0, -1]
    assert math.isclose(scored.logprobs[0], float(logits.log_softmax(-1)[first]), abs_tol=1e-4)


def test_scores_are_the_same_in_passes_of_bounded_size(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
):
    texts = [c.text for c in complete(engine, prompts(), Sampling())]
    requests = [
        ScoreRequest(p, t[:n])
        for n, (p, t) in enumerate(zip(prompts(), texts, strict=True), start=9)
    ] + [ScoreRequest(p, t) for p, t in zip(prompts(), texts, strict=True)]
    whole = score(engine, requests)
    with passes(engine) as sizes:
        monkeypatch.setattr(module, "_PASS_TOKENS", 600)
        parts = score(engine, requests)
    assert 1 < len(sizes) < len(requests)
    assert all(rows == 1 or rows * length <= 600 for rows, length in sizes)
    with passes(engine) as sizes:
        monkeypatch.setattr(module, "_PASS_LOGITS", 1)
        alone = score(engine, requests)
    assert len(sizes) == len(requests)
    for scores in (parts, alone):
        assert [s.ends for s in scores] == [s.ends for s in whole]
        for one, other in zip(scores, whole, strict=True):
            assert torch.allclose(
                torch.tensor(one.logprobs), torch.tensor(other.logprobs), atol=1e-4
            )


def test_a_continuation_gets_no_token_that_opens_a_text(
    tmp_path: Path, engine: TransformersEngine, plain
):
    _, tokenizer = plain
    folder = shutil.copytree(WEIGHTS, tmp_path / "opening")
    saved = json.loads((folder / "tokenizer.json").read_text())
    end = {"id": "<|end|>", "ids": [tokenizer.eos_token_id], "tokens": ["<|end|>"]}
    saved["post_processor"]["single"].insert(0, {"SpecialToken": {"id": "<|end|>", "type_id": 0}})
    saved["post_processor"]["special_tokens"] = {"<|end|>": end}
    (folder / "tokenizer.json").write_text(json.dumps(saved))
    prompt, text = prompts()[0], start_tag(Factor.COMPUTE) + "1+1=2"
    (opened,) = score(TransformersEngine(str(folder)), [ScoreRequest(prompt, text)])
    (expected,) = score(engine, [ScoreRequest("<|end|>" + prompt, text)])
    assert opened.ends == expected.ends
    assert torch.allclose(torch.tensor(opened.logprobs), torch.tensor(expected.logprobs), atol=1e-4)


def test_a_tokenizer_that_cannot_tell_offsets_gives_the_same_score(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
):
    requests = [ScoreRequest(prompts()[0], "so 12+5=17 <ACT_Compute-End>\n naïve 数学 <|end|>")]
    expected = score(engine, requests)
    monkeypatch.setattr(type(engine._tokenizer), "is_fast", False)
    assert score(engine, requests) == expected
    assert expected[0].ends[-1] == len(requests[0].text)


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
