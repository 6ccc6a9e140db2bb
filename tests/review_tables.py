"""Small tables about traces whose labels are made up, for tests of the review queue."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from datagen.labels.monte_carlo import POSTERIOR_COLUMNS
from schemas import (
    CodeThought,
    Correction,
    Critique,
    Review,
    StepLabel,
    Tag,
    Trace,
    TraceLabel,
)

Row = dict[str, Any]

LONG = 4
"""Steps of each trace."""


def trace(trace_id: str, *, outcome: str = "wrong", n_steps: int = LONG, **changes: Any) -> Row:
    return {
        "trace_id": trace_id,
        "seed_id": f"seed-of-{trace_id}",
        "prefix_id": "p",
        "rollout_id": f"r/{trace_id}",
        "question": "How many?",
        "steps": [f"step {idx} of {trace_id}" for idx in range(n_steps)],
        "factors": ["Compute"] * n_steps,
        "step_provenance": ["model"] * n_steps,
        "step_source": ["key"] * n_steps,
        "n_human_steps": 0,
        "answer": "4",
        "gold": "4" if outcome == "correct" else "5",
        "verifier": "numeric",
        "outcome": outcome,
        "provenance": "model",
        "engine": "toy",
        "markup": "",
    } | changes


def trace_label(
    trace_id: str, p: Sequence[float], *, judge: int | None = None, outcome: str = "wrong"
) -> Row:
    """A measured trace with this belief; -1 stands for the last entry."""
    first = max(range(len(p)), key=lambda idx: p[idx])
    first = -1 if first == len(p) - 1 else first
    verified = judge == first
    return {
        "trace_id": trace_id,
        "seed_id": f"seed-of-{trace_id}",
        "outcome": outcome,
        "n_steps": len(p) - 1,
        "n_rollouts": 4,
        "n_tokens": 10,
        "first_error": first,
        "first_error_mass": p[first],
        "no_error_mass": p[-1],
        "p_first_error": list(p),
        "judge_first_error": judge,
        "judge_share": None if judge is None else 1.0,
        "n_votes": 0 if judge is None else 1,
        "agrees": None if judge is None else verified,
        "verified": verified,
        "review_rank": None if verified else 0,
    }


def step_labels_of(labels: Sequence[Row]) -> list[Row]:
    """The steps of measured traces, labelled by their first errors."""
    rows: list[Row] = []
    for label in labels:
        n, first = label["n_steps"], label["first_error"]
        left = 1.0
        for idx in range(n):
            left -= label["p_first_error"][idx]
            good = first < 0 or idx < first
            p = min(max(left, 0.0), 1.0)
            rows.append(
                {
                    "trace_id": label["trace_id"],
                    "seed_id": label["seed_id"],
                    "step_idx": idx,
                    "factor": "Compute",
                    "text": f"step {idx} of {label['trace_id']}",
                    "provenance": "model",
                    "step_source": "key",
                    "n_trials": 2,
                    "n_successes": 1,
                    "mc_value": 0.5,
                    "wilson_low": 0.1,
                    "wilson_high": 0.9,
                    **dict.fromkeys(POSTERIOR_COLUMNS, 0.25),
                    "p_before_error": p,
                    "confidence": p if good else 1 - p,
                    "hard_label": good,
                    "label_source": "posterior",
                }
            )
    return rows


def critique(trace_id: str, judge: str, first_error: int | None, *, reason: str = "") -> Row:
    by_model = judge != "checker"
    return {
        "trace_id": trace_id,
        "seed_id": f"seed-of-{trace_id}",
        "judge": judge,
        "vote_idx": 0,
        "first_error": first_error,
        "quote": "",
        "reason": reason,
        "text": "",
        "remarks": [],
        "n_tokens": 0,
        "completion_key": "key" if by_model else None,
        "engine": "toy" if by_model else None,
    }


def review(trace_id: str, annotator: str, first_error: int | None, **changes: Any) -> Row:
    return {
        "review_id": f"jsonl/{trace_id}/{annotator}",
        "item_id": trace_id,
        "trace_id": trace_id,
        "annotator": annotator,
        "submitted_at": "2026-11-23T01:00:00Z",
        "first_error": first_error,
        "factors": [],
        "comment": "",
        "tool": "jsonl",
    } | changes


def reviews(*rows: Row) -> pl.DataFrame:
    return Review.from_rows(rows)


class Tables:
    """The tables that a queue is made of; every trace is measured."""

    def __init__(self, labels: Sequence[Row], *, critiques: Sequence[Row] = ()) -> None:
        self.traces = Trace.from_rows(
            trace(row["trace_id"], outcome=row["outcome"], n_steps=row["n_steps"]) for row in labels
        )
        self.step_labels = StepLabel.from_rows(step_labels_of(labels))
        self.trace_labels = TraceLabel.from_rows(labels)
        self.critiques = Critique.from_rows(critiques)
        self.tags = Tag.empty()
        self.code_thoughts = CodeThought.empty()
        self.corrections = Correction.empty()

    def as_arguments(self) -> tuple[pl.DataFrame, ...]:
        """In the order of ``make_queue``."""
        return (
            *(self.traces, self.step_labels, self.trace_labels, self.critiques),
            *(self.tags, self.code_thoughts, self.corrections),
        )
