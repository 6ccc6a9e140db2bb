"""The code benchmark: are back-translated thoughts true, do they suffice, are planted errors found?

It runs on functions of the embedded reasoner's world that nobody was trained on, so the programs
are as new to the model as a user's are. What a thought's table row says of its claims is not
believed: every run is recorded anew and every claim read again.
"""

import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from datagen.bench.code_checks import FreshRuns, claim_detail, recheck
from datagen.bench.code_errors import (
    change_operator,
    change_value,
    operator_detail,
    plant,
    value_detail,
)
from datagen.bench.code_narration import bench_narrator
from datagen.bench.code_writing import thought_detail
from datagen.code.back_translate import BackTranslation
from datagen.code.run import back_translate_seeds, trace_seeds
from datagen.engines.protocol import Engine
from datagen.journal import Journal
from datagen.reasoner.bundle import CODE_SEEDS, code_seed
from datagen.reasoner.functions import Function, unseen_functions
from datagen.seeds.code import read_code_seeds
from datagen.verify.sandbox import Sandbox, TestJob, TestReport

FIGURES: Final = (
    *("n_functions", "verified_rate", "claims_checked", "claims_contradicted", "sufficiency"),
    *("mutation_recall", "mutation_false_alarm", "humaneval_traced", "humaneval_claims_ok"),
    "sandbox_per_s",
)
"""The headline numbers, in order."""

_RNG_SEED: Final = 20_000_011
_WARM_UP: Final = 12
"""Test runs that are not timed; the first few find their processes started already."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a run is.

    Attributes:
        n_functions: that thoughts are written about.
        n_mutations: verified thoughts in which an error is planted, one kind at a time.
        n_rewritten: thoughts with a swapped operator of which programs are written anew.
        n_sandbox_runs: test runs that are timed.
    """

    n_functions: int = 120
    n_mutations: int = 200
    n_rewritten: int = 60
    n_sandbox_runs: int = 240


QUICK: Final = Plan(n_functions=24, n_mutations=72, n_rewritten=0, n_sandbox_runs=60)
"""A run of under a minute, with intervals to match."""


@dataclass(frozen=True, slots=True)
class CodeReport:
    """Everything that the benchmark found.

    Attributes:
        figures: :data:`FIGURES`; ``None`` where there was nothing to measure.
        detail: intervals, and the same by route, attempt and kind of error.
    """

    figures: dict[str, float | int | None]
    detail: dict[str, Any]


def bench_code(
    engine: Engine,
    journal: Journal,
    sandbox: Sandbox,
    plan: Plan,
    *,
    config: BackTranslation,
    humaneval: Path | None = None,
    note: Callable[[str], None],
) -> CodeReport:
    """Run the benchmark.

    Args:
        engine: writes thoughts and programs.
        journal: what it wrote already; a run that was interrupted goes on from it.
        sandbox: where programs run. Its speed is measured by a fresh one of the same mode.
        plan: how large.
        config: how thoughts are written and checked.
        humaneval: a file of HumanEval's format; without it two figures are ``None``.
        note: told what is going on.

    Raises:
        EngineError: if the engine is broken; run again to go on from the journal.
        SeedError: if ``humaneval`` cannot be read.
    """
    note(f"{plan.n_functions} functions: running their tests, recording their runs")
    seeds = _seeds(bench_functions(plan.n_functions), sandbox)
    executions = trace_seeds(seeds, sandbox)
    note("thoughts: writing, checking and revising them")
    made = back_translate_seeds(seeds, executions, engine, journal, sandbox, config=config)
    note("claims: checking them anew")
    runs = FreshRuns(seeds, sandbox)
    rechecked = recheck(made.code_thoughts, runs)
    sound = [thought for thought in rechecked if thought.verified]
    note("planted errors")
    planted = plant(sound, plan.n_mutations, change_value, runs, seed=_RNG_SEED)
    values = value_detail(sound, planted)
    swapped = plant(sound, plan.n_mutations, change_operator, runs, seed=_RNG_SEED)
    operators = operator_detail(swapped, plan.n_rewritten, runs, engine, journal, config)
    narrated: dict[str, Any] | None = None
    if humaneval is not None:
        note("narrator: HumanEval")
        narrated = bench_narrator(humaneval, sandbox)
    note("sandbox: test runs against the clock")
    jobs = [TestJob(s["code"], s["tests"], s["entry_point"]) for s in seeds.to_dicts()]
    with Sandbox(mode=sandbox.mode, limits=sandbox.limits, size=2) as fresh:
        speed = runs_per_second(fresh, jobs, plan.n_sandbox_runs)
    writing = thought_detail(made.code_thoughts, config.max_revisions)
    claims = claim_detail(rechecked)
    reported = values["false_alarm_reported"]
    gain = writing["sufficiency"]
    figures: dict[str, float | int | None] = {
        "n_functions": seeds.height,
        "verified_rate": writing["verified"]["value"],
        "claims_checked": claims["verified"]["checked"],
        "claims_contradicted": claims["verified"]["contradicted"],
        "sufficiency": gain["value"],
        "mutation_recall": values["recall"]["value"],
        "mutation_false_alarm": values["false_alarms"][reported]["value"] if reported else None,
        "humaneval_traced": narrated["traced"] if narrated else None,
        "humaneval_claims_ok": narrated["claims_ok"]["value"] if narrated else None,
        "sandbox_per_s": speed["per_s"],
    }
    detail = {
        "sufficiency_low": gain["low"],
        "sufficiency_high": gain["high"],
        "thoughts": writing,
        "claims": claims,
        "value_mutations": values,
        "operator_mutations": operators,
        "humaneval": narrated,
        "sandbox": speed,
        "n_generated_tokens": made.code_thoughts["n_tokens"].sum(),
        "engine": engine.fingerprint,
    }
    return CodeReport(figures, detail)


def bench_functions(n: int) -> list[Function]:
    """``n`` functions that neither training nor a bundled seed has, not even by other names."""
    rows = map(json.loads, CODE_SEEDS.read_text(encoding="utf-8").splitlines())
    bundled = {_nameless(row["code"]) for row in rows}
    drawn = unseen_functions(n + len(bundled), seed=_RNG_SEED)
    return list(islice((f for f in drawn if _nameless(f.code) not in bundled), n))


def _nameless(code: str) -> str:
    """A program whose names are numbers, in order of appearance."""
    numbers: dict[str, int] = {}

    def number(name: re.Match[str]) -> str:
        return name[0] if iskeyword(name[0]) else f"_{numbers.setdefault(name[0], len(numbers))}"

    return re.sub(r"[A-Za-z_]\w*", number, code)


def _seeds(functions: Sequence[Function], sandbox: Sandbox) -> pl.DataFrame:
    """Table ``code_seeds``, read as a user's own file is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "functions.jsonl"
        rows = ({"seed_id": f"f{i:03d}", **code_seed(f)} for i, f in enumerate(functions))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return read_code_seeds(path, format="jsonl", sandbox=sandbox).code_seeds


# --- the sandbox ----------------------------------------------------------------------------------


class TestRunner(Protocol):
    """The part of a sandbox that is timed."""

    __test__ = False

    def run_tests_many(self, jobs: Sequence[TestJob]) -> list[TestReport]:
        """Run several test jobs."""
        ...


def runs_per_second(sandbox: TestRunner, jobs: Sequence[TestJob], n: int) -> dict[str, Any]:
    """Time ``n`` test runs, each in processes of its own, after some that are not timed.

    Args:
        sandbox: runs them.
        jobs: taken in random order, over and over.
        n: how many are timed.
    """
    order = list(islice(cycle(random.Random(_RNG_SEED).sample(jobs, len(jobs))), _WARM_UP + n))
    sandbox.run_tests_many(order[:_WARM_UP])
    began = time.perf_counter()
    reports = sandbox.run_tests_many(order[_WARM_UP:])
    seconds = time.perf_counter() - began
    n_passed = sum(report.passed for report in reports)
    return {"per_s": n / seconds, "n": n, "n_passed": n_passed, "seconds": seconds}
