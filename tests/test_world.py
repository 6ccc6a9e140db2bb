"""The reasoner's world: problems, the thoughts about them, and the tokenizer that carries both."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from datagen.factors.taxonomy import Factor
from datagen.reasoner.thoughts import FLAWLESS, Temper, write_trace
from datagen.reasoner.tokenizer import END, QUESTION, train_tokenizer
from datagen.reasoner.world import (
    MAX_EVENTS,
    MAX_VALUE,
    MIN_EVENTS,
    Problem,
    apply_sign,
    draw_problem,
)
from datagen.traces.markup import MARKUP_TOKENS, parse, render
from datagen.traces.model import Trace

PROBLEMS = [draw_problem(random.Random(seed)) for seed in range(2000)]


def write_many(temper: Temper, n_traces: int = 2000) -> list[tuple[Problem, Trace]]:
    return [
        (problem, write_trace(problem, random.Random(seed), temper=temper))
        for seed, problem in enumerate(PROBLEMS[:n_traces])
    ]


def numbers_in(text: str) -> Counter[int]:
    return Counter(map(int, re.findall(r"\d+", text)))


def test_the_same_seed_draws_the_same_problem_and_thought():
    for seed in range(50):
        first, second = random.Random(seed), random.Random(seed)
        problem = draw_problem(first)
        assert problem == draw_problem(second)
        assert write_trace(problem, first) == write_trace(problem, second)


def test_different_seeds_draw_different_problems():
    assert len({problem.question for problem in PROBLEMS}) == len(PROBLEMS)


def test_every_value_is_whole_and_within_bounds():
    for problem in PROBLEMS:
        values = problem.values
        assert all(1 <= value <= MAX_VALUE for value in values)
        assert len(values) == len(problem.events) + 1
        assert (values[0], values[-1]) == (problem.start, problem.answer)
        for value, event in zip(values, problem.events, strict=False):
            assert event.sign != "/" or value % event.operand == 0


def test_all_six_operations_occur():
    assert len({event.op for problem in PROBLEMS for event in problem.events}) == 6


def test_a_problem_survives_its_json():
    assert all(Problem.from_json(problem.to_json()) == problem for problem in PROBLEMS[:200])


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"events": [{"size": 3}]}'])
def test_json_that_is_no_problem_is_a_value_error(text: str):
    with pytest.raises(ValueError):
        Problem.from_json(text)


@pytest.mark.parametrize("n_events", range(MIN_EVENTS, MAX_EVENTS + 1))
def test_the_number_of_events_is_honoured(n_events: int):
    drawn = [draw_problem(random.Random(seed), n_events=n_events) for seed in range(50)]
    assert {len(problem.events) for problem in drawn} == {n_events}


def test_longer_problems_with_larger_numbers_can_be_asked_for():
    drawn = [draw_problem(random.Random(seed), n_events=12, max_value=5_000) for seed in range(200)]
    assert {len(problem.events) for problem in drawn} == {12}
    values = [value for problem in drawn for value in problem.values]
    assert min(values) >= 1 and MAX_VALUE < max(values) <= 5_000
    for problem in drawn:
        trace = write_trace(problem, random.Random(0))
        assert trace.answer == str(problem.answer)


def test_the_quantity_never_exceeds_a_lower_bound_either():
    for seed in range(300):
        assert max(draw_problem(random.Random(seed), max_value=60).values) <= 60


@pytest.mark.parametrize("sizes", [{"n_events": 0}, {"n_events": -1}, {"max_value": 59}])
def test_sizes_that_no_problem_can_have_are_refused(sizes: dict[str, int]):
    (shown,) = (f"{name}={value}" for name, value in sizes.items())
    with pytest.raises(ValueError, match=shown):
        draw_problem(random.Random(0), **sizes)


def test_a_problem_of_one_event_can_be_asked_for():
    assert len(draw_problem(random.Random(0), n_events=1).events) == 1


def test_the_number_of_events_is_drawn_from_the_whole_range():
    lengths = {len(problem.events) for problem in PROBLEMS}
    assert lengths == set(range(MIN_EVENTS, MAX_EVENTS + 1))


def test_the_question_tells_every_number_and_at_most_one_aside():
    for problem in PROBLEMS:
        needed = Counter([problem.start])
        for event in problem.events:
            needed.update([event.amount, event.groups] if event.grouped else [event.amount])
        told = numbers_in(problem.question)
        assert needed <= told
        assert (told - needed).total() <= 1


def test_the_question_names_the_item_and_has_no_gap_left():
    for problem in PROBLEMS:
        assert problem.item in problem.question
        assert problem.question.endswith("?")
        assert not re.search(r"[{}]|  |None", problem.question)


def test_phrasing_varies():
    shapes = Counter(
        re.sub(r"\d+", "#", problem.question.replace(problem.name, "N").replace(problem.item, "I"))
        for problem in PROBLEMS
    )
    assert len(shapes) > 0.95 * len(PROBLEMS)
    assert len({question.rpartition(". ")[2] for question in shapes}) == 4


def test_givens_and_plan_list_every_event_in_order():
    for problem in PROBLEMS:
        start, *told = problem.givens.split("; ")
        assert start == f"start {problem.start}"
        assert [part.split(" ")[-1] for part in problem.plan.split(", ")] == told


@pytest.mark.parametrize(("sign", "right"), [("/", 0), ("%", 2), ("", 1)])
def test_what_cannot_be_computed_is_refused(sign: str, right: int):
    with pytest.raises(ValueError, match="cannot compute"):
        apply_sign(4, sign, right)


def test_flawless_writing_ends_in_the_answer():
    for problem, trace in write_many(FLAWLESS):
        assert trace.question == problem.question
        assert trace.answer == trace.steps[-1].text == str(problem.answer)
        assert trace.steps[-1].factor is Factor.ANSWER
        assert not any(step.factor is Factor.DETECT_ERROR for step in trace.steps)


def test_a_thought_survives_its_markup():
    for _, trace in write_many(Temper(slip=0.5), 200):
        assert parse(render(trace), question=trace.question) == trace


def test_mistakes_of_every_kind_are_made_and_complained_of():
    complaints = {
        "arithmetic": r"wait, -?\d+[-+*/]\d+ is not -?\d+",
        "operation": r"wait, it is [-+*/]\d+",
        "misread": r"wait, it is \d+, not \d+",
        "group": r"wait, it is \d times \d",
        "skip": r"wait, [-+*/]\d+ was left out",
    }
    kinds: Counter[str] = Counter()
    for _, trace in write_many(Temper(slip=0.3, notice=1.0)):
        for step in trace.steps:
            if step.factor is Factor.DETECT_ERROR:
                (kind,) = (k for k, form in complaints.items() if re.fullmatch(form, step.text))
                kinds[kind] += 1
    assert kinds.keys() == complaints.keys()
    assert min(kinds.values()) > 50


def test_a_noticed_mistake_does_no_harm_and_an_unnoticed_one_mostly_does():
    noticed = write_many(Temper(slip=1.0, notice=1.0))
    assert all(trace.answer == str(problem.answer) for problem, trace in noticed)
    unnoticed = write_many(Temper(slip=1.0, notice=0.0))
    n_right = sum(trace.answer == str(problem.answer) for problem, trace in unnoticed)
    assert n_right < 0.05 * len(unnoticed)


def test_givens_and_plans_are_listed_wrongly_as_often_as_asked():
    wrong: Counter[Factor] = Counter()
    listed: Counter[Factor] = Counter()
    for problem, trace in write_many(Temper(slip=0.0, misgive=0.5)):
        truly = {Factor.EXTRACT_GIVENS: problem.givens, Factor.PLAN: problem.plan}
        for step in trace.steps:
            if step.factor in truly:
                listed[step.factor] += 1
                wrong[step.factor] += step.text != truly[step.factor]
    for factor in listed:
        assert 0.4 < wrong[factor] / listed[factor] < 0.6


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    tags = re.compile("|".join(map(re.escape, MARKUP_TOKENS)))
    texts = [f"{QUESTION}{p.question}\n{render(t)}" for p, t in write_many(Temper(), 500)]
    return train_tokenizer(piece for text in texts for piece in tags.split(text))


def test_each_tag_and_digit_and_the_end_is_one_token(tokenizer: PreTrainedTokenizerFast):
    for text in (*MARKUP_TOKENS, END, *"0123456789"):
        assert len(tokenizer.encode(text)) == 1


def test_tags_survive_decoding_without_special_tokens(tokenizer: PreTrainedTokenizerFast):
    _, trace = write_many(Temper(slip=0.5), 1)[0]
    ids = tokenizer.encode(render(trace) + END)
    assert tokenizer.decode(ids, skip_special_tokens=True) == render(trace)


def test_a_thought_is_short_in_tokens(tokenizer: PreTrainedTokenizerFast):
    for problem, trace in write_many(FLAWLESS, 100):
        text = f"{QUESTION}{problem.question}\n{render(trace)}"
        assert len(tokenizer.encode(text)) < 400


@given(st.lists(st.text() | st.sampled_from([*MARKUP_TOKENS, END, "<ACT_", " ", "\n", "17"])))
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerFast, parts: list[str]):
    text = "".join(parts)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_chat_reads_as_the_training_text(tokenizer: PreTrainedTokenizerFast):
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert text == f"{QUESTION}Why?\nSo.{END}"
