"""Items of the review queue for tests, in the shape in which the pipeline makes them."""

from typing import Any

import polars as pl

from schemas.review_queue import ReviewItem

QUESTION = (
    "Max starts with 48 shells. He gives 18 shells to a friend. Max gets 3 shells from each of 5 "
    "children. How many shells are there at the end?"
)
STEPS = (
    "how many shells are left for Max",
    "start 48; 18; 5x3",
    "48-18=30",
    "5*3=12",
    "30+12=42",
    "so Max has 42 shells",
    "42",
)
FACTORS = (
    "RestateGoal",
    "ExtractGivens",
    "Compute",
    "Compute",
    "Compute",
    "Consolidate",
    "Answer",
)


def item(idx: int = 0, **changed: Any) -> dict[str, Any]:
    """A wrong trace whose fourth step is the first wrong one, by belief; some columns changed.

    Lists per step are cut or padded to the number of steps where they are not given.
    """
    steps = list(changed.get("steps", STEPS))
    n = len(steps)
    belief = changed.get("p_first_error")
    if belief is None:
        belief = [0.01, 0.02, 0.05, 0.72, 0.1, 0.04, 0.02, 0.04]
        if n != len(STEPS):
            belief = [0.0] * n + [1.0]
    best = max(range(n + 1), key=lambda step: belief[step])
    row: dict[str, Any] = {
        "item_id": f"trace-{idx:05}",
        "seed_id": f"world-{idx:03}",
        "kind": "trace",
        "rank": idx,
        "value": 1 / (idx + 1),
        "reason": "uncertain",
        "stratum": "trace/wrong/short/middle",
        "n_wanted": 1,
        "question": QUESTION,
        "gold": "45",
        "answer": "42",
        "outcome": "wrong",
        "steps": steps,
        "factors": [*FACTORS, *["Compute"] * n][:n],
        "factor_doubts": [3] if n > 3 else [],
        "n_trials": [*(8, 8, 8, 8, 8, 4, 0), *[0] * n][:n],
        "n_successes": [*(5, 6, 5, 1, 0, 0, 0), *[0] * n][:n],
        "p_first_error": belief,
        "first_error": best if best < n else -1,
        "first_error_mass": belief[best],
        "judge_first_error": 4 if n > 4 else None,
        "judge_text": "30+12 is not what the question asks for: 5*3 is 15." if n > 4 else "",
        "step_roles": [],
        "step_checks": [],
        "trap_first_error": None,
        "decisions_before": [],
        **changed,
    }
    return {"trace_id": row["item_id"], **row}


def queue(*items: dict[str, Any]) -> pl.DataFrame:
    """A valid ``review_queue``."""
    return ReviewItem.from_rows(items)


CODE: dict[str, Any] = {
    "kind": "code",
    "question": "Write a function solve(values) that adds up each even number in values. For "
    "example, solve([2, 7, 8, 8]) returns 18.",
    "gold": "solve([2, 7, 8, 8]) = 18",
    "answer": "def solve(values):\n    return sum(v for v in values if v % 2 == 0)",
    "outcome": "correct",
    "steps": [
        "set total to 0",
        "for each v in values: if v % 2 == 0: add v to total",
        "take values = [2, 7, 8, 8]",
        "after the first iteration, v = 2, total = 2",
        "after the second iteration, v = 7, total = 9",
        "so solve([2, 7, 8, 8]) returns 18",
    ],
    "factors": [
        "Plan",
        "Plan",
        "TryExample",
        "SimulateExecution",
        "SimulateExecution",
        "CheckResult",
    ],
    "step_checks": [
        "uncheckable",
        "uncheckable",
        "uncheckable",
        "checked",
        "contradicted",
        "checked",
    ],
    "p_first_error": [0.02, 0.01, 0.01, 0.01, 0.9, 0.02, 0.03],
    "judge_first_error": 4,
    "judge_text": "after the second iteration, v = 7, total = 9: total is 2, not 9",
    "factor_doubts": [],
}
"""Columns of a thought about code."""

CORRECTION: dict[str, Any] = {
    "kind": "correction",
    "answer": "45",
    "outcome": "correct",
    "steps": [
        "start 48; 18; 5x3",
        "48-18=20",
        "wait, 48-18 is not 20",
        "48-18=30",
        "3*5=15",
        "30+15=45",
        "45",
    ],
    "factors": [
        "ExtractGivens",
        "Compute",
        "DetectError",
        "CorrectError",
        "Compute",
        "Compute",
        "Answer",
    ],
    "step_roles": ["right", "wrong", "detect", "correct", "right", "right", "right"],
    "p_first_error": [0.01, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01, 0.84],
    "judge_first_error": -1,
    "judge_text": "",
    "factor_doubts": [2],
}
"""Columns of a trace that mends its own error."""
