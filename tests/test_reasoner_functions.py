"""The reasoner's world of functions, and the documents that it learns them from."""

import ast
import json
import random
import re
from collections import Counter
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.code.check import check_thought
from datagen.code.execution import trace_trusted
from datagen.code.narrator import narrate
from datagen.engines.protocol import Completion
from datagen.prompts.code import MAX_REASONS, read_code, read_thought
from datagen.reasoner import code_documents
from datagen.reasoner.code_documents import code_document
from datagen.reasoner.functions import (
    MAX_VALUE,
    Function,
    draw_function,
    is_unseen,
    unseen_functions,
)
from datagen.traces.markup import THINK_END, THINK_START

seeds = st.integers(min_value=0)


def drawn(seed: int, *, unseen: bool = False) -> Function:
    return draw_function(random.Random(seed), unseen=unseen)


def reply(text: str) -> Completion:
    ends = tuple(accumulate(map(len, text)))
    return Completion(text, "stop", (-1.0,) * len(ends), ends)


@settings(max_examples=150, deadline=None)
@given(seeds, st.booleans())
def test_what_training_sees_and_what_it_never_sees_are_apart(seed: int, unseen: bool) -> None:
    assert is_unseen(drawn(seed, unseen=unseen).kind) is unseen


def test_names_and_numbers_of_examples_do_not_decide_what_is_held_out() -> None:
    kinds = {drawn(seed).kind for seed in range(300)}
    held_out = {function.kind for function in unseen_functions(40, seed=1)}
    assert len(held_out) == 40
    assert not kinds & held_out
    # No name of the written code is left in a kind, so renaming moves nothing.
    assert all(re.search(r"def \{f\}\(", kind) for kind in kinds | held_out)


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_a_function_does_what_its_results_and_tests_say(seed: int) -> None:
    function = drawn(seed)
    space: dict[str, Any] = {}
    exec(function.code, space)
    for call, result in zip(function.calls, function.results, strict=True):
        assert eval(call, dict(space)) == result
    exec(function.tests, space)
    assert function.tests.count("assert ") == len(function.calls) >= 7
    assert len(set(function.calls)) == len(function.calls)
    assert function.code == ast.unparse(ast.parse(function.code))


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_values_are_small_various_and_can_be_stored(seed: int) -> None:
    function = drawn(seed)
    assert json.loads(json.dumps(function.results)) == list(function.results)
    assert len(set(map(repr, function.results))) >= 4
    for result in function.results:
        numbers: list[int] = result if isinstance(result, list) else [result]
        assert all(type(number) is int and abs(number) <= MAX_VALUE for number in numbers)


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_a_question_names_the_function_and_true_examples(seed: int) -> None:
    function = drawn(seed)
    head = re.match(r"Write a function (\w+)\(([^)]*)\) that ", function.question)
    definition = ast.parse(function.code).body[0]
    assert head and isinstance(definition, ast.FunctionDef)
    assert head[1] == function.name == definition.name
    assert head[2] == ast.unparse(definition.args)
    told = re.search(r"\. For example, (.*)\.$", function.question)
    assert told
    examples = told[1].split(" and ")
    known = zip(function.calls, function.results, strict=True)
    assert examples == [f"{c} returns {r!r}" for c, r in known][: len(examples)]
    assert len(examples) in (1, 2)
    assert "{" not in function.question


def test_drawing_depends_on_the_seed_alone() -> None:
    assert drawn(5) == drawn(5)
    assert len({drawn(seed).code for seed in range(50)}) > 40


# --- documents -----------------------------------------------------------------------------------


def job_of(prompt: str) -> str:
    if "What does " in prompt:
        return "output"
    if "Failed:\n" in prompt:
        return "revise"
    if "Execution:\n" in prompt:
        return "grounded"
    if "Code:\n" in prompt:
        return "thought"
    return "bare" if prompt.endswith(THINK_END) else "solve"


DOCUMENTS = [code_document(random.Random(seed)) for seed in range(250)]


def test_every_job_occurs() -> None:
    assert set(Counter(job_of(prompt) for prompt, _ in DOCUMENTS)) == set(code_documents._JOBS)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("job", code_documents._JOBS)  # pyright: ignore[reportPrivateUsage]
def test_what_is_learnt_can_be_read_back(job: str) -> None:
    for prompt, completion in DOCUMENTS:
        if job_of(prompt) != job:
            continue
        if job in ("thought", "grounded", "revise"):
            assert prompt.endswith(THINK_START)
            assert read_thought(reply(completion))
            assert completion.endswith(THINK_END)
            continue
        thought, _, answer = completion.rpartition(THINK_END)
        assert (thought == "") is (job == "bare")
        if job != "bare":
            body = thought.removeprefix(THINK_START)
            assert read_thought(reply(body + THINK_END))
        if job == "output":
            assert answer == repr(ast.literal_eval(answer))
            assert f"returns {answer}" in thought
        else:
            code = read_code(reply(answer))
            assert code is not None and isinstance(ast.parse(code).body[0], ast.FunctionDef)


@pytest.mark.slow
def test_spoilt_thoughts_are_contradicted_at_the_step_that_their_reason_names() -> None:
    rng = random.Random(3)
    n, n_found = 150, 0
    for _ in range(n):
        function = draw_function(rng)
        executions = trace_trusted(function.code, function.calls[:2])
        steps = narrate(function.question, executions, entry_point=function.name)
        failed, reasons = code_documents._spoilt(steps, rng)  # pyright: ignore[reportPrivateUsage]
        changed = [i for i, (a, b) in enumerate(zip(steps, failed, strict=True)) if a != b]
        assert 1 <= len(reasons) <= MAX_REASONS
        assert reasons[0].startswith(f"{failed[changed[0]].text}: ")
        assert all(step.factor is other.factor for step, other in zip(steps, failed, strict=True))
        check = check_thought(failed, executions, entry_point=function.name)
        n_found += check.first_error == changed[0]
    # The rest are values that the variable had at another time, told without saying when.
    assert n_found >= 0.97 * n
