"""A small run of made-up tables, for tests of its report; every text in it is the one given."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from review_tables import review, step_labels_of, trace, trace_label

from datagen.publish.manifest import Manifest, read_manifest
from datagen.report import RunReport
from schemas import (
    Annotator,
    CodeSeed,
    CodeThought,
    Decision,
    Execution,
    Node,
    Prefix,
    Prm,
    Question,
    Review,
    Rollout,
    Seed,
    StepLabel,
    Trace,
    TraceLabel,
)
from tests.published_rows import code_thought
from tests.published_rows import write as publish

Row = dict[str, Any]

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


def node(node_id: str, parent: str | None, n_visits: int, text: str = "3*6=18", **over: Any) -> Row:
    root = parent is None
    return {
        "node_id": node_id,
        "prefix_id": "s1@1",
        "seed_id": "s1",
        "parent_id": parent,
        "depth": 0 if root else 1,
        "step_idx": 0 if root else 1,
        "factor": None if root else "Compute",
        "text": None if root else text,
        "prior": None if root else 0.5,
        "legal_factors": [],
        "priors": [],
        "evaluation": None,
        "n_visits": n_visits,
        "value": 0.5 if n_visits else None,
        "n_rollouts": 2,
        "n_correct": 1,
        "chosen": True,
        "replica_idx": -1 if root else 0,
        "outcome": None,
        "answer": None,
        "n_tokens": 3,
        "min_logprob": None,
        "completion_key": None if root else "key",
    } | over


def rollout(n: int, outcome: str, node_id: str = "root", text: str = "18+1=19") -> Row:
    return {
        "rollout_id": f"r{n}",
        "prefix_id": "s1@1",
        "seed_id": "s1",
        "node_id": node_id,
        "algorithm": "puct",
        "sample_idx": n,
        "n_given_steps": 1,
        "steps": ["given", text, text],
        "factors": ["Plan", "Compute", "Answer"],
        "step_source": ["s1#0", "key", "key"],
        "step_n_tokens": [4, 4],
        "step_min_logprob": [-0.5, -0.5],
        "sloppy": False,
        "tail": "",
        "answer": text,
        "gold": "18",
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "",
        "n_tokens": 8,
        "temperature": 1.0,
        "engine": "toy:1",
        "completion_key": f"k{n}",
    }


def seed(seed_id: str, text: str) -> Row:
    return {
        "seed_id": seed_id,
        "source": "toy",
        "license": "MIT",
        "domain": "math",
        "question": text,
        "thought": text,
        "steps": [text],
        "factors": ["Plan"],
        "answer": text,
        "verifier": "numeric",
        "facts": [],
        "meta": "{}",
    }


def decision(trace_id: str, first_error: int, *, is_random: bool) -> Row:
    return {
        "trace_id": trace_id,
        "seed_id": f"seed-of-{trace_id}",
        "first_error": first_error,
        "status": "decided",
        "decided_by": "majority",
        "n_reviews": 2,
        "n_agreeing": 2,
        "annotators": ["Xaverine", "Yolanthe"],
        "answers": [first_error] * 2,
        "factors": [],
        "believed_first_error": 1,
        "is_random": is_random,
    }


LABELS = (
    trace_label("t1", [0.05, 0.9, 0.03, 0.0, 0.02], judge=1),
    trace_label("t2", [0.005, 0.99, 0.0, 0.0, 0.005], judge=2),
    trace_label("t3", [0.0, 0.0, 0.0, 0.0, 1.0], judge=None, outcome="correct"),
)

NODES = (
    node("root", None, 5),
    node("low", "root", 1),
    node("high", "root", 3),
    node("refused", "root", 0, chosen=False, value=None),
    node("end", "high", 2, depth=2, step_idx=2, factor="Answer", outcome="wrong", answer="17"),
)
OUTCOMES = ("correct", "correct", "correct", "wrong", "wrong", "unverifiable")


def run_tables(
    text: str = "How many are left?",
    *,
    nodes: Sequence[Row] = NODES,
    labels: Sequence[Row] = LABELS,
    decisions: Sequence[Row] = (),
) -> dict[str, pl.DataFrame]:
    """A run with one search, three measured traces and two thoughts about one program."""
    thoughts = [
        code_thought("good", "model", 0, "holds"),
        code_thought("bad", "model", 0, "contradicted", thought_idx=1),
    ]
    claims = [
        thought["claims"][0]
        | {"text": text, "actual": text if thought["first_error"] >= 0 else None}
        for thought in thoughts
    ]
    people = [review("t1", who, 1) for who in ("Xaverine", "Yolanthe")] if decisions else []
    return {
        "seeds": Seed.from_rows([seed("s1", text)]),
        "code_seeds": CodeSeed.from_rows([code_seed(text)]),
        "questions": Question.from_rows([question("s1", 0.5), question("s2", 0.0)]),
        "prefixes": Prefix.from_rows([prefix(text)]),
        "nodes": Node.from_rows(
            [row if row["text"] is None else row | {"text": text} for row in nodes]
        ),
        "rollouts": Rollout.from_rows(
            [rollout(n, outcome, text=text) for n, outcome in enumerate(OUTCOMES)]
        ),
        "traces": Trace.from_rows(
            [trace(row["trace_id"], outcome=row["outcome"]) for row in labels]
        ),
        "measured_traces": Trace.from_rows(
            [trace(row["trace_id"], outcome=row["outcome"]) for row in labels]
        ),
        "trace_labels": TraceLabel.from_rows(labels),
        "reviewed_trace_labels": TraceLabel.from_rows(labels),
        "reviewed_step_labels": StepLabel.from_rows(step_labels_of(labels)),
        "code_thoughts": CodeThought.from_rows(
            [
                thought
                | {"question": text, "code": text, "steps": [text], "claims": [claim]}
                | ({"reasons": [text]} if thought["reasons"] else {})
                for thought, claim in zip(thoughts, claims, strict=True)
            ]
        ),
        "executions": Execution.from_rows([execution(text)]),
        "prm": Prm.from_rows([prm(row["trace_id"]) for row in labels]),
        "reviews": Review.from_rows(people),
        "decisions": Decision.from_rows(decisions),
        "annotators": Annotator.from_rows([annotator("Xaverine")] if decisions else []),
    }


def report(out: Path, tables: dict[str, pl.DataFrame] | None = None, **over: Any) -> RunReport:
    """The report of these tables."""
    options = {"model": "a toy", "now": NOW} | over
    return RunReport(run_tables() if tables is None else tables, out=out, **options)


def published(folder: Path, **over: Any) -> Manifest:
    """The manifest of some published data."""
    return read_manifest(publish(folder, **over).folder)


def prefix(text: str) -> Row:
    return {
        "prefix_id": "s1@1",
        "seed_id": "s1",
        "n_steps": 1,
        "n_seed_steps": 2,
        "question": text,
        "steps": [text],
        "factors": ["Plan"],
        "answer": text,
        "verifier": "numeric",
    }


def question(question_id: str, pass_rate: float) -> Row:
    return {
        "question_id": question_id,
        "seed_id": question_id,
        "domain": "math",
        "split": "train",
        "n_words": 3,
        "language": "en",
        "pass_rate": pass_rate,
        "n_rollouts": 4,
        "difficulty": "medium" if pass_rate else "unsolved",
    }


def code_seed(text: str) -> Row:
    return {
        "seed_id": "c1",
        "source": "toy",
        "license": "MIT",
        "question": text,
        "code": text,
        "entry_point": "add",
        "tests": "assert add([1]) == 1",
        "prelude": "",
        "calls": ["add([1])"],
        "meta": "{}",
    }


def execution(text: str) -> Row:
    return {
        "seed_id": "c1",
        "call": "add([1])",
        "returned": "1",
        "raised": None,
        "complete": True,
        "n_moments": 1,
        "run": text,
        "record": "{}",
    }


def prm(trace_id: str) -> Row:
    return {
        "prompt": "How many?\n",
        "completions": ["one"],
        "labels": [True],
        "id": trace_id,
        "seed_id": "s1",
        "step_scores": [0.5],
    }


def annotator(name: str) -> Row:
    return {
        "annotator": name,
        "n_reviews": 2,
        "n_traps": 1,
        "n_traps_right": 1,
        "accuracy": 1.0,
        "n_with_others": 2,
        "agreement": 0.75,
    }
