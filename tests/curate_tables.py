"""Small tables for the tests of curation: rows of which only what a test names matters."""

from typing import Any

import polars as pl

from datagen.curate.benchmarks import Benchmark
from schemas import CodeSeed, CodeTask, Seed, Trace

Row = dict[str, Any]


def seeds(*rows: Row) -> pl.DataFrame:
    """Table ``seeds``; ids are ``s0``, ``s1``, … unless given."""
    return Seed.from_rows([_seed(**{"seed_id": f"s{idx}"} | row) for idx, row in enumerate(rows)])


def _seed(seed_id: str, thought: str = "3 * 6 = 18", **over: Any) -> Row:
    return {
        "seed_id": seed_id,
        "source": "hand",
        "license": "MIT",
        "domain": "math",
        "question": f"How many apples are there in bag {seed_id}?",
        "thought": thought,
        "steps": [thought],
        "factors": ["Compute"],
        "answer": "18",
        "verifier": "math",
        "criteria": None,
        "facts": [],
        "meta": "{}",
    } | over


def code_seeds(*rows: Row) -> pl.DataFrame:
    """Table ``code_seeds``; ids are ``c0``, ``c1``, … unless given."""
    return CodeSeed.from_rows(
        [
            {
                "seed_id": f"c{idx}",
                "source": "hand",
                "license": "MIT",
                "question": f"Add {idx} to a number.",
                "code": f"def f(x):\n    return x + {idx}\n",
                "entry_point": "f",
                "tests": f"assert f(1) == {1 + idx}",
                "prelude": "",
                "calls": ["f(1)"],
                "meta": "{}",
            }
            | row
            for idx, row in enumerate(rows)
        ]
    )


def code_task(seed_id: str, name: str, **over: Any) -> Row:
    return {
        "task_id": f"{seed_id}/{name}",
        "seed_id": seed_id,
        "source": "hand",
        "license": "MIT",
        "kind": "output",
        "question": f"What does f(1) of {seed_id} return?",
        "steps": [],
        "factors": [],
        "answer": "2",
        "gold": "2",
        "verifier": "python_output",
    } | over


def code_tasks(*rows: Row) -> pl.DataFrame:
    return CodeTask.from_rows(list(rows))


def traces(*rows: Row) -> pl.DataFrame:
    """Table ``traces``; ids are ``t0``, ``t1``, … unless given; ``text`` is of the only step."""
    return Trace.from_rows(
        [_trace(**{"trace_id": f"t{idx}"} | row) for idx, row in enumerate(rows)]
    )


def _trace(trace_id: str, text: str, **over: Any) -> Row:
    return {
        "trace_id": trace_id,
        "seed_id": "s0",
        "prefix_id": "s0@0",
        "rollout_id": None,
        "node_id": None,
        "question": "How many apples are there?",
        "steps": [text],
        "factors": ["Compute"],
        "step_provenance": [over.get("provenance", "model")],
        "step_source": ["k"],
        "n_human_steps": 0,
        "answer": "18",
        "gold": "18",
        "verifier": "math",
        "outcome": "correct",
        "provenance": "model",
        "engine": "e",
        "markup": text,
    } | over


def rollouts(*counts: tuple[str, int, int]) -> pl.DataFrame:
    """Rollouts of bare questions, of each seed so many right ones and so many wrong ones."""
    rows = [
        (seed_id, 0, outcome, f"{seed_id}/{outcome}/{idx}")
        for seed_id, n_right, n_wrong in counts
        for outcome, n in (("correct", n_right), ("wrong", n_wrong))
        for idx in range(n)
    ]
    return pl.DataFrame(
        rows,
        schema={
            "seed_id": pl.String,
            "n_given_steps": pl.Int32,
            "outcome": pl.String,
            "completion_key": pl.String,
        },
        orient="row",
    )


def benchmark(name: str, *questions: str) -> Benchmark:
    return Benchmark(name, f"{name}.jsonl", "0" * 64, pl.Series("question", questions, pl.String))


def broken(rejections: pl.DataFrame) -> list[tuple[str, str]]:
    """Which item broke which rule, in the order of the table."""
    return list(rejections.select("id", "rule").iter_rows())
