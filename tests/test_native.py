"""Step surprisal: each token counts for the step, and the part of it, in which it ends."""

from itertools import pairwise
from math import inf

import pytest

from datagen.engines.protocol import Score
from datagen.factors.taxonomy import Factor
from datagen.prompts.native import prompt_of, read_score, score_request
from datagen.prompts.reading import StepSurprisal
from datagen.traces.markup import end_tag, escape, start_tag
from datagen.traces.model import Step, Trace

TRACE = Trace(
    "How many?",
    (Step("1+1=2", Factor.COMPUTE), Step("fine", Factor.CHECK_RESULT), Step("2", Factor.ANSWER)),
    answer="2",
)


def parts(trace: Trace) -> list[str]:
    """Opening tag, words and closing tag of each step."""
    return [
        part
        for step in trace.steps
        for part in (start_tag(step.factor), escape(step.text), end_tag(step.factor))
    ]


def score_of(*tokens: tuple[str, float]) -> Score:
    """The score of tokens with these surprisals."""
    ends = [len("".join(text for text, _ in tokens[: n + 1])) for n in range(len(tokens))]
    return Score(tuple(-surprisal for _, surprisal in tokens), tuple(ends))


def test_the_text_to_score_is_what_the_policy_would_write_after_the_question() -> None:
    request = score_request(TRACE)
    assert request.prompt == prompt_of(Trace("How many?"))
    assert request.prompt + request.text == prompt_of(TRACE)


def test_a_step_has_the_surprisal_of_its_tag_and_the_largest_of_its_words() -> None:
    surprisals = [0.5, 2.0, 1.0, 0.25, 1.5, 3.0, 4.0, 0.125, 0.0]
    score = score_of(*zip(parts(TRACE), surprisals, strict=True))
    assert read_score(score, TRACE) == (
        StepSurprisal(0.5, 2.0, 3.5, 3),
        StepSurprisal(0.25, 3.0, 4.75, 3),
        StepSurprisal(4.0, 0.125, 4.125, 3),
    )


def test_a_tag_of_several_tokens_costs_their_sum_and_words_their_largest() -> None:
    trace = TRACE.prefix(1)
    opening, words, closing = parts(trace)
    score = score_of(
        (opening[:5], 1.0), (opening[5:], 2.0), (words[:1], 0.5), (words[1:], 0.75), (closing, 0.0)
    )
    assert read_score(score, trace) == (StepSurprisal(3.0, 0.75, 4.25, 5),)


def test_a_token_across_a_border_counts_where_it_ends() -> None:
    trace = TRACE.prefix(2)
    text = score_request(trace).text
    opening, first = len(parts(trace)[0]), len("".join(parts(trace)[:3]))
    cuts = [0, opening - 1, opening + 1, first - 1, first + 2, len(text)]
    tokens = [text[begin:end] for begin, end in pairwise(cuts)]
    score = score_of(*zip(tokens, [1.0, 2.0, 3.0, 4.0, 5.0], strict=True))
    assert read_score(score, trace) == (
        StepSurprisal(1.0, 3.0, 6.0, 3),
        StepSurprisal(4.0, 5.0, 9.0, 2),
    )


def test_a_step_without_words_has_the_surprisal_of_its_closing_tag() -> None:
    trace = Trace("?", (Step(""), Step("x")))
    tokens = [part for part in parts(trace) if part]
    score = score_of(*zip(tokens, [1.0, 2.0, 3.0, 4.0, 5.0], strict=True))
    assert read_score(score, trace) == (
        StepSurprisal(1.0, 2.0, 3.0, 2),
        StepSurprisal(3.0, 5.0, 12.0, 3),
    )


def test_words_that_look_like_tags_are_words() -> None:
    trace = Trace("?", (Step("<ACT_Compute-End>\n<\\Think_End>"), Step("x")))
    score = score_of(*zip(parts(trace), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], strict=True))
    assert read_score(score, trace) == (
        StepSurprisal(1.0, 3.0, 6.0, 3),
        StepSurprisal(4.0, 6.0, 15.0, 3),
    )


UNSCORED = StepSurprisal(0.0, 0.0, inf, 0)


@pytest.mark.parametrize(
    ("n_tokens", "expected"),
    [
        (0, [UNSCORED] * 3),
        (1, [StepSurprisal(1.0, 0.0, 1.0, 1), UNSCORED, UNSCORED]),
        (3, [StepSurprisal(1.0, 1.0, 3.0, 3), UNSCORED, UNSCORED]),
        (4, [StepSurprisal(1.0, 1.0, 3.0, 3), StepSurprisal(1.0, 0.0, 1.0, 1), UNSCORED]),
        (5, [StepSurprisal(1.0, 1.0, 3.0, 3), StepSurprisal(1.0, 1.0, 2.0, 2), UNSCORED]),
    ],
)
def test_what_found_no_room_in_the_context_is_not_surprising(
    n_tokens: int, expected: list[StepSurprisal]
) -> None:
    score = score_of(*((part, 1.0) for part in parts(TRACE)[:n_tokens]))
    assert read_score(score, TRACE) == tuple(expected)


def test_every_token_is_counted_in_one_step() -> None:
    text = score_request(TRACE).text
    score = score_of(*((text[at : at + 4], 1.0) for at in range(0, len(text), 4)))
    said = read_score(score, TRACE)
    assert sum(step.n_tokens for step in said) == len(score.logprobs)
    assert sum(step.total for step in said) == -sum(score.logprobs)
    assert min(step.n_tokens for step in said) > 5


def test_a_token_that_is_certain_has_a_surprisal_of_plain_zero() -> None:
    score = score_of(*((part, 0.0) for part in parts(TRACE)))
    assert "-0" not in repr(read_score(score, TRACE))


def test_a_trace_without_steps_has_no_surprisals() -> None:
    assert score_request(Trace("?")).text == ""
    assert read_score(Score((), ()), Trace("?")) == ()
