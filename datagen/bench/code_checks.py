"""Thoughts about code, checked a second time: against runs that are recorded anew.

What back-translation wrote into its table is not read here, or the benchmark would only count how
often the table agrees with itself.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from datagen.code.check import ThoughtCheck, check_thought, wanted_calls
from datagen.code.examine import SandboxExaminer
from datagen.code.run import programs_of, trace_seeds
from datagen.factors.taxonomy import Factor
from datagen.labels.monte_carlo import wilson
from datagen.traces.model import Step
from datagen.verify.sandbox import Sandbox


class FreshRuns:
    """Runs of code seeds, and the checks of thoughts against them.

    Attributes:
        programs: the seeds that a run could be recorded of, by ``seed_id``.
        examiner: runs programs in the sandbox.
    """

    def __init__(self, code_seeds: pl.DataFrame, sandbox: Sandbox) -> None:
        executions = trace_seeds(code_seeds, sandbox)
        self.programs = {p.seed_id: p for p in programs_of(code_seeds, executions)}
        self.examiner = SandboxExaminer(sandbox)

    def check(self, seed_id: str, steps: Sequence[Step]) -> ThoughtCheck:
        """Check a thought, and trace whatever further calls it speaks of."""
        program = self.programs[seed_id]
        known, entry_point = program.executions, program.entry_point
        wanted = wanted_calls(steps, known, entry_point=entry_point)
        runs = (*known, *self.examiner.trace(program.code, wanted))
        return check_thought(steps, runs, entry_point=entry_point)


@dataclass(frozen=True, slots=True)
class Rechecked:
    """A row of table ``code_thoughts`` that can be read, and its second check."""

    seed_id: str
    route: str
    verified: bool
    steps: tuple[Step, ...]
    check: ThoughtCheck


def recheck(code_thoughts: pl.DataFrame, runs: FreshRuns) -> list[Rechecked]:
    """Check every thought that has steps, in the order of the table."""
    return [
        Rechecked(
            row["seed_id"], row["route"], row["verified"], steps, runs.check(row["seed_id"], steps)
        )
        for row in code_thoughts.iter_rows(named=True)
        if (steps := steps_of(row))
    ]


def steps_of(row: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a row of table ``code_thoughts``."""
    by = "code" if row["route"] == "narrator" else "model"
    pairs = zip(row["steps"], row["factors"], strict=True)
    return tuple(Step(text, Factor(factor), by) for text, factor in pairs)


def claim_counts(checks: Iterable[ThoughtCheck]) -> dict[str, int]:
    """How many claims some thoughts make, and what runs say of them."""
    of = list(checks)
    verdicts = Counter(claim.verdict for check in of for claim in check.claims)
    return {
        "thoughts": len(of),
        "checked": verdicts["holds"] + verdicts["contradicted"],
        "contradicted": verdicts["contradicted"],
        "uncheckable": verdicts["uncheckable"],
    }


def claim_detail(rechecked: Sequence[Rechecked]) -> dict[str, Any]:
    """Counts of claims: of verified thoughts, of failed ones, and of either by route."""
    kinds: Mapping[str, list[Rechecked]] = {
        "verified": [thought for thought in rechecked if thought.verified],
        "failed": [thought for thought in rechecked if not thought.verified],
    }
    return {
        **{kind: claim_counts(t.check for t in thoughts) for kind, thoughts in kinds.items()},
        "routes": {
            route: {
                kind: claim_counts(t.check for t in thoughts if t.route == route)
                for kind, thoughts in kinds.items()
            }
            for route in dict.fromkeys(thought.route for thought in rechecked)
        },
    }


def share(n_hits: int, n: int) -> dict[str, float | None]:
    """A share and its 95 % Wilson interval; without trials there is neither."""
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = wilson(n_hits, n)
    return {"value": n_hits / n, "low": low, "high": high, "n": n}
