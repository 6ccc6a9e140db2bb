"""What `datagen show` draws, from hand-made tables, on 80 columns."""

import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.show import Found, Tables, draw_tree, find
from datagen.show.styles import FAMILY
from schemas import Node, Prefix, Rollout, StepLabel, Trace

Row = dict[str, Any]

QUESTION = "Tom has 3 bags of [bold]6[/bold] apples and eats 2. How many apples are left?"


def prefix(n_steps: int, *, seed_id: str = "world-001") -> Row:
    human = [
        ("RestateGoal", "find how many apples are left once Tom has eaten two of all his apples"),
        ("ExtractGivens", "3 bags; 6 apples each; 2 eaten"),
        ("Compute", "3*6=18"),
    ][:n_steps]
    return {
        "prefix_id": f"{seed_id}@{n_steps}",
        "seed_id": seed_id,
        "n_steps": n_steps,
        "n_seed_steps": 5,
        "question": QUESTION,
        "steps": [text for _, text in human],
        "factors": [factor for factor, _ in human],
        "answer": "16",
        "verifier": "numeric",
    }


def node(
    node_id: str,
    parent_id: str | None,
    factor: str | None,
    text: str | None,
    *,
    visits: tuple[int, float] | None = None,
    right: tuple[int, int] = (0, 0),
    **over: Any,
) -> Row:
    """A chosen node; ``visits`` is (N, Q), ``right`` is (correct, on-policy rollouts)."""
    row: Row = {
        "node_id": node_id,
        "prefix_id": "world-001@0",
        "seed_id": "world-001",
        "parent_id": parent_id,
        "depth": 0 if parent_id is None else 1,
        "step_idx": -1 if parent_id is None else 0,
        "factor": factor,
        "text": text,
        "prior": None if parent_id is None else 0.5,
        "n_visits": visits[0] if visits else 0,
        "value": visits[1] if visits else None,
        "n_rollouts": right[1],
        "n_correct": right[0],
        "chosen": True,
        "replica_idx": -1 if parent_id is None else 0,
        "terminal": False,
        "n_tokens": 7,
        "min_logprob": None if parent_id is None else -0.25,
        "completion_key": None if parent_id is None else f"key-{node_id}",
    }
    return row | over


REJECTED: Row = {"chosen": False, "replica_idx": 1}
LONG = "the goal is to find the number of apples that remain after two of them were eaten"

NODES = [
    node("a0b1c2d3e4", None, None, None, visits=(7, 4 / 7), right=(5, 8)),
    node("b1c2d3e4f5", "a0b1c2d3e4", "Compute", "3*6=18", visits=(2, 0.5), right=(1, 2), prior=0.2),
    node("b2c3d4e5f6", "a0b1c2d3e4", "Compute", "3*6=19", right=(0, 1), prior=0.2, **REJECTED),
    node(
        "c1d2e3f4a5", "a0b1c2d3e4", "RestateGoal", LONG, visits=(4, 0.75), right=(4, 6), prior=0.8
    ),
    node("d1e2f3a4b5", "c1d2e3f4a5", "Compute", "3*6=18", visits=(3, 2 / 3), right=(3, 4)),
    node("e1f2a3b4c5", "d1e2f3a4b5", "Answer", "16", visits=(1, 1.0), terminal=True),
    node("e2f3a4b5c6", "d1e2f3a4b5", "Answer", "18", terminal=True, **REJECTED),
    node("f1a2b3c4d5", "b1c2d3e4f5", "Answer", "20", visits=(1, 0.0), terminal=True),
    node("f2a3b4c5d6", "b1c2d3e4f5", "Compute", "18-", visits=(1, 0.0), terminal=True),
]


def rollout(key: str, outcome: str, *, node_id: str | None = "a0b1c2d3e4", **over: Any) -> Row:
    row: Row = {
        "rollout_id": f"world-001@0/{key}",
        "prefix_id": "world-001@0",
        "seed_id": "world-001",
        "node_id": node_id,
        "algorithm": "puct",
        "sample_idx": 0,
        "n_given_steps": 0,
        "steps": ["3*6=18", "16"],
        "factors": ["Compute", "Answer"],
        "step_source": [key, key],
        "step_n_tokens": [7, 2],
        "step_min_logprob": [-0.25, None],
        "tail": "",
        "answer": "16",
        "gold": "16",
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "16 equals 16",
        "n_tokens": 9,
        "temperature": 1.0,
        "engine": "fake:1",
        "completion_key": key,
    }
    return row | over


ROLLOUTS = [
    rollout("0aaa", "correct"),
    rollout("1bbb", "wrong", answer="15", reason="15 differs from 16"),
    rollout("2ccc", "truncated", answer=None, tail="and [red]then[/red] then"),
    rollout(
        "3ddd",
        "correct",
        node_id="c1d2e3f4a5",
        n_given_steps=1,
        steps=[LONG, "3*6=18", "16"],
        factors=["RestateGoal", "Compute", "Answer"],
        step_source=["0", "3ddd", "3ddd"],
    ),
    rollout("4eee", "wrong", node_id=None, algorithm="shepherd", answer="15"),
]

TRACES: list[Row] = [
    {
        "trace_id": "9f8e7d6c5b",
        "seed_id": "world-001",
        "prefix_id": "world-001@2",
        "rollout_id": "world-001@0/1bbb",
        "question": QUESTION,
        "steps": [LONG, "3 bags; 6 apples each; 2 eaten", "3*6=17", "17-2=15", "15"],
        "factors": ["RestateGoal", "ExtractGivens", "Compute", "Compute", "Answer"],
        "step_provenance": ["human", "human", "model", "model", "model"],
        "step_source": ["world-001#0", "world-001#1", "1bbb", "1bbb", "1bbb"],
        "n_human_steps": 2,
        "answer": "15",
        "gold": "16",
        "verifier": "numeric",
        "outcome": "wrong",
        "provenance": "model",
        "engine": "fake:1",
        "markup": "<Think_Start>…",
    }
]


def label(
    step_idx: int, right: tuple[int, int], hard: bool | None, source: str, **over: Any
) -> Row:
    n_successes, n_trials = right
    trace = TRACES[0]
    return {
        "trace_id": trace["trace_id"],
        "seed_id": trace["seed_id"],
        "step_idx": step_idx,
        "factor": trace["factors"][step_idx],
        "text": trace["steps"][step_idx],
        "provenance": trace["step_provenance"][step_idx],
        "step_source": trace["step_source"][step_idx],
        "n_trials": n_trials,
        "n_successes": n_successes,
        "mc_value": n_successes / n_trials if n_trials else None,
        "wilson_low": 0.3006 if n_trials else None,
        "wilson_high": 0.9544 if n_trials else None,
        "hard_label": hard,
        "label_source": source,
    } | over


LABELS = [
    label(0, (0, 0), True, "outcome"),
    label(1, (3, 4), True, "rollouts"),
    label(2, (0, 4), False, "rollouts", wilson_low=0.0, wilson_high=0.4899),
    label(3, (0, 1), None, "none", wilson_low=0.0, wilson_high=0.7935),
    label(4, (0, 0), False, "outcome"),
]

TABLES = Tables(
    Prefix.from_rows([prefix(0), prefix(2), prefix(0, seed_id="world-002")]),
    Node.from_rows(NODES),
    Rollout.from_rows(ROLLOUTS),
    Trace.from_rows(TRACES),
    StepLabel.from_rows(LABELS),
)


def drawn(id: str, *, tables: Tables = TABLES, rollouts: bool = False) -> str:
    console = Console(record=True, width=80, quiet=False, file=None, force_terminal=False)
    with console.capture():
        console.print(draw_tree(tables, id, rollouts=rollouts))
    return console.export_text()
