"""Whole traces: the human ones, and what rollouts made of their beginnings.

Right and wrong traces are both kept. Equal traces of one question are one row, and each step says
where it came from, down to the human step or the journal entry that wrote it.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import polars as pl

from datagen.factors.taxonomy import Factor
from datagen.seeds import seed_trace
from datagen.traces.markup import render
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from datagen.verify import Outcome, verify_completion
from schemas import Trace


def assemble_traces(
    seeds: pl.DataFrame, prefixes: pl.DataFrame, rollouts: pl.DataFrame
) -> pl.DataFrame:
    """Collect the human traces and all rollouts that came to a readable, verifiable end.

    Args:
        seeds: table ``seeds``.
        prefixes: table ``prefixes``.
        rollouts: table ``rollouts``.

    Returns:
        Table ``traces``: human traces first, then in the order of the rollouts.
    """
    unique: dict[str, dict[str, Any]] = {}
    for row in (*_human(seeds), *_synthetic(prefixes, rollouts)):
        unique.setdefault(row["trace_id"], row)
    return Trace.from_rows(list(unique.values()))


def _human(seeds: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for seed in seeds.iter_rows(named=True):
        steps = tuple(
            Step(step.text.strip(), step.factor, "human") for step in seed_trace(seed).steps
        )
        trace = TraceModel(seed["question"], steps, seed["answer"])
        # A person's own answer can fail to verify, if the verifier cannot read it.
        verdict = verify_completion(render(trace), seed["answer"], verifier=seed["verifier"])
        yield trace_row(
            trace,
            seed_id=seed["seed_id"],
            prefix_id=f"{seed['seed_id']}@{len(steps)}",
            rollout_id=None,
            step_source=[f"{seed['seed_id']}#{idx}" for idx in range(len(steps))],
            n_human_steps=len(steps),
            gold=seed["answer"],
            verifier=seed["verifier"],
            outcome=verdict.outcome.value,
            provenance="human",
            engine=None,
        )


def _synthetic(prefixes: pl.DataFrame, rollouts: pl.DataFrame) -> Iterator[dict[str, Any]]:
    decided = [Outcome.CORRECT.value, Outcome.WRONG.value]
    whole = rollouts.filter(
        (pl.col("tail") == "") & pl.col("outcome").is_in(decided) & (pl.col("steps").list.len() > 0)
    )
    joined = whole.join(
        prefixes.select("prefix_id", "question", n_human="n_steps"),
        on="prefix_id",
        how="left",
        maintain_order="left",
    )
    for row in joined.iter_rows(named=True):
        steps = tuple(
            Step(text, Factor(factor), "human" if idx < row["n_human"] else "model")
            for idx, (text, factor) in enumerate(zip(row["steps"], row["factors"], strict=True))
        )
        yield trace_row(
            TraceModel(row["question"], steps, row["answer"]),
            seed_id=row["seed_id"],
            prefix_id=row["prefix_id"],
            rollout_id=row["rollout_id"],
            step_source=row["step_source"],
            n_human_steps=row["n_human"],
            gold=row["gold"],
            verifier=row["verifier"],
            outcome=row["outcome"],
            provenance="model",
            engine=row["engine"],
        )


def trace_row(trace: TraceModel, **fields: Any) -> dict[str, Any]:
    """A row of ``traces``: what the trace itself says, and ``fields`` for the rest or instead."""
    markup = render(trace)
    identity = f"{fields['seed_id']}\0{markup}".encode("utf-8", "surrogatepass")
    return {
        "trace_id": hashlib.sha256(identity).hexdigest()[:16],
        "question": trace.question,
        "steps": [step.text for step in trace.steps],
        "factors": [step.factor.value for step in trace.steps],
        "step_provenance": [step.provenance for step in trace.steps],
        "answer": trace.answer,
        "markup": markup,
        **fields,
    }
