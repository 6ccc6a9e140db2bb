"""Questions that code seeds give: write the program, foretell a result, find an input.

Output and input prediction follow CodeI/O (Li et al. 2025, arXiv 2502.07316, section 2). Their
answers come from real runs, and so do their thoughts, which are the narrator's walk through the
run. An input that was not foreseen is as right as ours if it gives the same result.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from datagen.code.examine import Program
from datagen.code.execution import Execution, is_known
from datagen.code.narrator import narrate
from datagen.code.run import programs_of
from datagen.code.tracer import normalised
from datagen.factors.taxonomy import Factor
from datagen.prompts.code import input_question, output_question
from datagen.traces.model import Step
from datagen.verify.python_values import read_call
from schemas import CodeTask, CodeTaskKind, Verifier

_WALK: Final = (Factor.TRY_EXAMPLE, Factor.SIMULATE_EXECUTION, Factor.CHECK_RESULT)
_VERIFIERS: Final[dict[CodeTaskKind, Verifier]] = {
    "program": "python",
    "output": "python_output",
    "input": "python_input",
}


def tests_gold(program: Program) -> str:
    """The gold answer of a program: what its verifier runs."""
    gold = {
        "entry_point": program.entry_point,
        "tests": program.tests,
        "prelude": program.prelude,
    }
    return json.dumps(gold, ensure_ascii=False)


def make_tasks(
    code_seeds: pl.DataFrame, executions: pl.DataFrame, *, n_predictions: int = 2
) -> pl.DataFrame:
    """Make the tasks of every seed that could be run.

    Args:
        code_seeds: table ``code_seeds``.
        executions: table ``executions``.
        n_predictions: output tasks, and as many input tasks, per seed at most; each is about a
            different call that returned a value known in full.

    Returns:
        Table ``code_tasks``, by seed: the program, then outputs and inputs.
    """
    origin = {row[0]: row[1:] for row in code_seeds.select("seed_id", "source", "license").rows()}
    return CodeTask.from_rows(
        [
            {"source": origin[row["seed_id"]][0], "license": origin[row["seed_id"]][1], **row}
            for program in programs_of(code_seeds, executions)
            for row in _tasks(program, n_predictions)
        ]
    )


def _tasks(program: Program, n_predictions: int) -> Iterator[dict[str, Any]]:
    yield _task(program, "program", "", program.question, (), program.code, tests_gold(program))
    code = normalised(program.code)
    runs = [run for run in program.executions if run.complete and _is_plain(run)]
    for idx, run in enumerate(runs[:n_predictions]):
        steps = _walk(program, run)
        returned = run.returned or ""
        question = output_question(code, run.call)
        yield _task(program, "output", f".{idx}", question, steps, returned, returned)
        if read_call(run.call, program.entry_point) is not None:
            gold = {"code": code, "entry_point": program.entry_point, "output": returned}
            asked = input_question(code, program.entry_point, returned)
            yield _task(program, "input", f".{idx}", asked, steps, run.call, json.dumps(gold))


def _task(
    program: Program,
    kind: CodeTaskKind,
    suffix: str,
    question: str,
    steps: tuple[Step, ...],
    answer: str,
    gold: str,
) -> dict[str, Any]:
    return {
        "task_id": f"{program.seed_id}/{kind}{suffix}",
        "seed_id": program.seed_id,
        "kind": kind,
        "question": question,
        "steps": [step.text for step in steps],
        "factors": [step.factor.value for step in steps],
        "answer": answer,
        "gold": gold,
        "verifier": _VERIFIERS[kind],
    }


def _walk(program: Program, run: Execution) -> tuple[Step, ...]:
    steps = narrate(program.question, (run,), entry_point=program.entry_point)
    return tuple(step for step in steps if step.factor in _WALK)


def _is_plain(run: Execution) -> bool:
    """Whether the call itself returned a known value; of a generator only the items are known."""
    if run.root is not None and run.frames[run.root].returned != run.returned:
        return False
    return is_known(run.returned)
