"""The test engine: its completions have the form that real engines give them."""

import asyncio
import math
from typing import Any

import pytest

from datagen.engines.fake import FakeEngine, toy_engine, toy_question, uniform
from datagen.engines.protocol import (
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Sampling,
    Score,
    ScoreRequest,
)
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
from datagen.traces.model import Step, Trace


def complete(text: str, **sampling: Any) -> Completion:
    engine = FakeEngine(lambda _: text)
    request = CompletionRequest("p", Sampling(**sampling), 0)
    return asyncio.run(engine.complete([request]))[0]


def test_a_completion_that_ends_by_itself_has_an_end_token() -> None:
    completion = complete("two words")
    assert completion == Completion("two words", "stop", (-0.4, -0.5, -0.5), (4, 9, 9))


def test_a_stop_string_ends_the_text_and_stays_part_of_it() -> None:
    completion = complete("a b c b", stop=("c ", "b "))
    assert completion == Completion("a b ", "stop", (-0.2, -0.2), (2, 4))


def test_the_longest_completion_ends_by_length() -> None:
    assert complete("a b c", max_tokens=2) == Completion("a b ", "length", (-0.2, -0.2), (2, 4))
    assert complete("a b", max_tokens=2).finish == "length"  # no room for the end token
    assert complete("a b", max_tokens=3).finish == "stop"
    assert complete("a b", max_tokens=2, stop=("b",)).finish == "stop"


@pytest.mark.parametrize("text", ["", " ", "\n a \n\n b", "😀 \ud800"])
def test_tokens_join_to_the_text(text: str) -> None:
    completion = complete(text)
    assert completion.text == text
    assert completion.ends[-1] == len(text)
    assert len(completion.ends) == completion.n_tokens


def score(engine: FakeEngine, request: ScoreRequest) -> Score:
    return asyncio.run(engine.score([request]))[0]


@pytest.mark.parametrize("text", ["", "two words", "\n a \n\n b", "😀 \ud800"])
def test_a_text_is_scored_as_it_would_be_written(text: str) -> None:
    written = complete(text)
    scored = score(FakeEngine(lambda _: ""), ScoreRequest("p", text))
    assert scored == Score(written.logprobs[:-1], written.ends[:-1])  # but for the end token


def test_scores_can_be_given() -> None:
    engine = FakeEngine(
        lambda _: "", rate=lambda request: Score((-float(len(request.prompt)),), (1,))
    )
    assert score(engine, ScoreRequest("abc", "d")) == Score((-3.0,), (1,))


def test_it_keeps_a_record_of_answered_calls_and_fails_when_told() -> None:
    engine = FakeEngine(lambda request: request.prompt, fail_after=2)
    asks = [CompletionRequest(text, Sampling(), 0) for text in "abc"]
    choices = [ChoiceRequest("p", ("x", "y", "z", "w"))]
    assert [c.text for c in asyncio.run(engine.complete(asks))] == ["a", "b", "c"]
    assert asyncio.run(engine.choose(choices))[0].probabilities == (0.25,) * 4
    with pytest.raises(EngineError, match="'fake' was told to fail"):
        asyncio.run(engine.complete(asks))
    assert engine.batches == [asks, choices]


def test_scoring_is_a_call_that_is_recorded_and_can_fail() -> None:
    engine = FakeEngine(lambda _: "", fail_after=1)
    requests = [ScoreRequest("p", "a"), ScoreRequest("p", "b")]
    assert len(asyncio.run(engine.score(requests))) == 2
    with pytest.raises(EngineError, match="'fake' was told to fail"):
        asyncio.run(engine.score(requests))
    assert engine.batches == [requests]


def test_the_probabilities_of_uniform_choices_sum_to_one() -> None:
    assert math.isclose(sum(uniform(ChoiceRequest("p", tuple("abcdefg")))), 1)


def test_the_toy_policy_walks_to_its_target_or_over_it() -> None:
    engine = toy_engine()
    state = Trace(toy_question(6), (Step("0+2=2", Factor.COMPUTE),))
    asks = [CompletionRequest(prompt_of(state), Sampling(), idx) for idx in range(50)]
    answers = set[str | None]()
    for completion in asyncio.run(engine.complete(asks)):
        reading = read_rollout(completion)
        assert reading.steps[0].text in ("2+1=3", "2+2=4")
        assert reading.steps[-1] == Step(str(reading.answer), Factor.ANSWER)
        answers.add(reading.answer)
    assert answers == {"6", "7"}
    assert asyncio.run(engine.complete(asks)) == asyncio.run(toy_engine().complete(asks))


def test_the_toy_policy_knows_what_it_does_next() -> None:
    def prior(*steps: str) -> dict[Factor, float]:
        state = Trace(toy_question(3), tuple(Step(step, Factor.COMPUTE) for step in steps))
        (answer,) = asyncio.run(toy_engine().choose([prior_request(state)]))
        return read_prior(answer, min_prior=0.01)

    assert prior() == prior("0+2=2") == {Factor.COMPUTE: 0.5, Factor.HYPOTHESISE: 0.5}
    assert prior("0+2=2", "2+1=3") == prior("0+2=2", "2+2=4") == {Factor.ANSWER: 1.0}


def test_the_scores_of_the_toy_policy_are_true() -> None:
    def surprisal(*steps: tuple[str, Factor]) -> tuple[float, float]:
        trace = Trace(toy_question(4), tuple(Step(text, factor) for text, factor in steps))
        last = read_score(score(toy_engine(), score_request(trace)), trace)[-1]
        return math.exp(-last.action), math.exp(-last.content)

    one, two = ("0+1=1", Factor.COMPUTE), ("1+2=3", Factor.HYPOTHESISE)
    assert surprisal(one) == pytest.approx((0.5, 0.75))
    assert surprisal(one, two) == pytest.approx((0.5, 0.75))
    assert surprisal(one, ("1+1=2", Factor.HYPOTHESISE)) == pytest.approx((0.5, 0.25))
    assert surprisal(one, two, ("3+2=5", Factor.COMPUTE), ("5", Factor.ANSWER)) == (1, 1)


def test_the_toy_policy_finds_what_it_would_never_write_all_but_impossible() -> None:
    trace = Trace(toy_question(4), (Step("0+3=3", Factor.ANSWER), Step("3+1=4", Factor.COMPUTE)))
    impossible, possible = read_score(score(toy_engine(), score_request(trace)), trace)
    assert impossible.action > 20 < impossible.content
    assert math.isfinite(impossible.action + impossible.content)
    assert possible.action + possible.content < 2


def test_the_toy_policy_scores_no_further_than_it_can_read() -> None:
    engine, request = toy_engine(), score_request(Trace(toy_question(4), (Step("0+1=1"),)))
    longer = ScoreRequest(request.prompt, f"{request.text} and then?")
    assert score(engine, longer) == score(engine, request)
