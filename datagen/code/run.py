"""Tables of code seeds, traced and back-translated: what the assets call.

Seeds that no run could be recorded of are left out and told of; everything that a model wrote about
the others is in the table, verified or not.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from datagen.code.back_translate import BackTranslation, Thought, back_translate
from datagen.code.examine import Program, SandboxExaminer, example_first, record_of
from datagen.code.execution import Execution, executions_of
from datagen.code.happenings import render_execution
from datagen.engines.protocol import Engine
from datagen.journal import Journal, journal_key
from datagen.search.budget import Budget, Progress
from datagen.search.scheduler import Scheduler
from datagen.verify.sandbox import Sandbox
from schemas import CodeThought
from schemas import Execution as ExecutionTable


def trace_seeds(code_seeds: pl.DataFrame, sandbox: Sandbox) -> pl.DataFrame:
    """Run every seed on its calls and record the values.

    Args:
        code_seeds: table ``code_seeds``.
        sandbox: where the programs run.

    Returns:
        Table ``executions``: by seed, the example to walk through first. Calls that took too long
        for the sandbox are missing.
    """
    examiner = SandboxExaminer(sandbox)
    rows: list[dict[str, Any]] = []
    for seed in code_seeds.iter_rows(named=True):
        runs = examiner.trace(seed["code"], seed["calls"])
        for run in example_first(seed["question"], runs) if runs else ():
            rows.append(
                {
                    "seed_id": seed["seed_id"],
                    "call": run.call,
                    "returned": run.returned,
                    "raised": run.raised,
                    "complete": run.complete,
                    "n_moments": len(run.moments),
                    "run": render_execution(run),
                    "record": json.dumps(record_of(run), ensure_ascii=False),
                }
            )
    return ExecutionTable.from_rows(rows)


@dataclass(frozen=True, slots=True)
class BackTranslated:
    """Table ``code_thoughts``, and what it took."""

    code_thoughts: pl.DataFrame
    progress: Progress


def back_translate_seeds(
    code_seeds: pl.DataFrame,
    executions: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    sandbox: Sandbox,
    *,
    config: BackTranslation,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> BackTranslated:
    """Turn programs into thoughts and check every one.

    Args:
        code_seeds: table ``code_seeds``.
        executions: table ``executions``. Seeds without a run are left out.
        engine: writes thoughts and programs.
        journal: answers already known, and where new ones go.
        sandbox: where programs run.
        config: who writes how many thoughts, and what they must pass.
        budget: when to stop asking.
        on_progress: called after each batch of the engine.

    Returns:
        Table ``code_thoughts``, in the order of seeds, routes, thoughts and attempts.

    Raises:
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    last = Progress()

    def note(progress: Progress) -> None:
        nonlocal last
        last = progress
        if on_progress is not None:
            on_progress(progress)

    programs = {program.seed_id: program for program in programs_of(code_seeds, executions)}
    examiner = SandboxExaminer(sandbox)
    scheduler = Scheduler[list[Thought]](engine, journal, budget=budget, on_progress=note)
    searches = (
        (seed_id, back_translate(program, config, examiner))
        for seed_id, program in programs.items()
    )
    found = scheduler.run(searches, n_searches=len(programs))
    rows = [
        row
        for seed_id, program in programs.items()
        for row in _rows(program, found.get(seed_id, []), engine.fingerprint)
    ]
    return BackTranslated(CodeThought.from_rows(rows), last)


def programs_of(code_seeds: pl.DataFrame, executions: pl.DataFrame) -> Iterator[Program]:
    """The seeds that there are runs of, with these runs, in the order of ``code_seeds``."""
    runs = executions.partition_by("seed_id", as_dict=True, maintain_order=True)
    for seed in code_seeds.iter_rows(named=True):
        if (own := runs.get((seed["seed_id"],))) is not None:
            yield Program(
                **{name: seed[name] for name in ("seed_id", "question", "code", "entry_point")},
                tests=seed["tests"],
                prelude=seed["prelude"],
                executions=runs_of(seed["code"], own),
            )


def runs_of(code: str, executions: pl.DataFrame) -> tuple[Execution, ...]:
    """The rows of one seed, made readable again."""
    return executions_of(code, [json.loads(record) for record in executions["record"]])


def _rows(program: Program, thoughts: list[Thought], fingerprint: str) -> Iterator[dict[str, Any]]:
    before: dict[tuple[str, int], str] = {}
    for thought in thoughts:
        chain = (thought.route, thought.thought_idx)
        thought_id = _id(program.seed_id, thought)
        request = thought.request
        n, n_bare = len(thought.failures), len(thought.bare_failures)
        n_passed, n_bare_passed = thought.failures.count(None), thought.bare_failures.count(None)
        yield {
            "thought_id": thought_id,
            "seed_id": program.seed_id,
            "route": thought.route,
            "thought_idx": thought.thought_idx,
            "attempt": thought.attempt,
            "revises": before.get(chain),
            "question": program.question,
            "code": program.code,
            "steps": [step.text for step in thought.steps],
            "factors": [step.factor.value for step in thought.steps],
            "step_checks": list(thought.check.steps),
            "claims": list(_claims(thought)),
            "first_error": thought.check.first_error,
            "leak": thought.leak,
            "n_round_trips": n,
            "n_passed": n_passed,
            "n_bare": n_bare,
            "n_bare_passed": n_bare_passed,
            "sufficiency": n_passed / n - n_bare_passed / n_bare if n and n_bare else None,
            "regenerated": _shown(thought),
            "verified": thought.verified,
            "reasons": list(thought.reasons),
            "n_tokens": thought.n_tokens,
            "engine": fingerprint if request else None,
            "completion_key": journal_key(fingerprint, request) if request else None,
        }
        before[chain] = thought_id


def _claims(thought: Thought) -> Iterator[Mapping[str, Any]]:
    for checked in thought.check.claims:
        claim = checked.claim
        yield {
            "step_idx": claim.step_idx,
            "kind": claim.kind,
            "text": claim.text,
            "subject": claim.subject,
            "value": claim.value,
            "verdict": checked.verdict,
            "actual": checked.actual,
        }


def _shown(thought: Thought) -> str | None:
    """One program written from the thought; one that fails tells more, if it can be read."""
    tried = list(zip(thought.programs, thought.failures, strict=True))
    failing = [code for code, failure in tried if failure is not None]
    if failing:
        return next((code for code in failing if code is not None), None)
    return next((code for code, _ in tried), None)


def _id(seed_id: str, thought: Thought) -> str:
    name = f"{thought.route}\0{thought.thought_idx}\0{thought.attempt}"
    told = "\0".join(step.text for step in thought.steps)
    identity = f"{seed_id}\0{name}\0{told}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(identity).hexdigest()[:16]
