"""Measure what the embedded reasoner does with code: for its card.

All functions are of kinds that training never saw. Programs that it writes run in the sandbox.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from datagen.code.back_translate import CODE_SAMPLING, THOUGHT_SAMPLING
from datagen.code.check import check_thought
from datagen.code.execution import Execution, trace_trusted
from datagen.code.happenings import render_execution
from datagen.engines.protocol import Completion, CompletionRequest
from datagen.engines.transformers import TransformersEngine
from datagen.prompts.code import (
    ThoughtJob,
    code_requests,
    read_code,
    read_thought,
    thought_request,
)
from datagen.prompts.native import prompt_of
from datagen.prompts.reading import text_of
from datagen.reasoner.functions import Function, unseen_functions
from datagen.traces.markup import parse_tail
from datagen.traces.model import Trace
from datagen.verify.sandbox import TestJob, default_sandbox

_RNG_SEED: Final = 40_000_003


@dataclass(frozen=True, slots=True)
class CodeScore:
    """How well the reasoner does its code jobs, sampling at T=1, first writings only.

    Attributes:
        thought: share of thoughts from code in which all claims are true, and at least one is made.
        grounded: the same with a run in view.
        with_thought: share of programs that pass their tests, written after a thought of its own.
        bare: the same of programs written at once.
        n: functions; one sample of each job.
    """

    thought: float
    grounded: float
    with_thought: float
    bare: float
    n: int


def score_code(engine: TransformersEngine, n: int) -> CodeScore:
    """Let the reasoner do each code job for ``n`` unseen functions."""
    functions = list(unseen_functions(n, seed=_RNG_SEED))
    runs = [trace_trusted(function.code, function.calls) for function in functions]
    plain = [ThoughtJob(function.question, function.code) for function in functions]
    grounded = [
        ThoughtJob(function.question, function.code, render_execution(own[0]))
        for function, own in zip(functions, runs, strict=True)
    ]
    true = [
        [
            _is_true(completion, function, own)
            for completion, function, own in zip(
                _asked(engine, [_thought(job) for job in jobs]), functions, runs, strict=True
            )
        ]
        for jobs in (plain, grounded)
    ]
    solved = _asked(
        engine,
        [CompletionRequest(prompt_of(Trace(f.question)), THOUGHT_SAMPLING, 0) for f in functions],
    )
    own_thought = [parse_tail(text_of(completion)).answer for completion in solved]
    bare = _asked(
        engine,
        [code_requests(f.question, (), 1, sampling=CODE_SAMPLING)[0] for f in functions],
    )
    return CodeScore(
        sum(true[0]) / n,
        sum(true[1]) / n,
        _pass_rate(functions, own_thought),
        _pass_rate(functions, [read_code(completion) for completion in bare]),
        n,
    )


def _thought(job: ThoughtJob) -> CompletionRequest:
    return thought_request(job, sampling=THOUGHT_SAMPLING, sample_idx=0)


def _asked(engine: TransformersEngine, requests: Sequence[CompletionRequest]) -> list[Completion]:
    completions: list[Completion] = []
    for start in range(0, len(requests), engine.batch_size):
        batch = requests[start : start + engine.batch_size]
        completions += asyncio.run(engine.complete(batch))
    return completions


def _is_true(completion: Completion, function: Function, runs: Sequence[Execution]) -> bool:
    steps = read_thought(completion)
    if steps is None:
        return False
    check = check_thought(steps, runs, entry_point=function.name)
    return check.n_checked > 0 == check.n_contradicted


def _pass_rate(functions: Sequence[Function], codes: Sequence[str | None]) -> float:
    jobs = [
        TestJob(code, tests=function.tests, entry_point=function.name, prelude="")
        for function, code in zip(functions, codes, strict=True)
        if code is not None
    ]
    return sum(report.passed for report in default_sandbox().run_tests_many(jobs)) / len(codes)
