"""Whole traces: the human ones, what rollouts made of their beginnings, and what searches built.

Right and wrong traces are both kept. Equal traces of one question are one row, and each step says
where it came from, down to the human step or the journal entry that wrote it. A trace that a search
put together, step by step, is nothing that the policy wrote by itself: it has a ``node_id`` and no
``rollout_id``, and tells nothing about how often the policy succeeds.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from datagen.factors.taxonomy import Factor
from datagen.seeds import seed_trace
from datagen.traces.markup import render
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from datagen.traces.paths import node_paths
from datagen.verify import Outcome, verify_completion
from schemas import Trace

_DECIDED: Final = (Outcome.CORRECT.value, Outcome.WRONG.value)


def assemble_traces(
    seeds: pl.DataFrame,
    prefixes: pl.DataFrame,
    rollouts: pl.DataFrame,
    nodes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Collect the human traces, and all rollouts and paths that came to a verifiable end.

    A trace that was found in several ways is what it was found as first: human, or drawn.

    Args:
        seeds: table ``seeds``.
        prefixes: table ``prefixes``.
        rollouts: table ``rollouts``.
        nodes: table ``nodes`` of the same run, whose paths that end within the tree are traces too,
            taken or rejected; ``None`` to leave them out.

    Returns:
        Table ``traces``: human traces first, then in the order of the rollouts, then of the nodes.
    """
    built = () if nodes is None else _built(prefixes, rollouts, nodes)
    unique: dict[str, dict[str, Any]] = {}
    for row in (*_human(seeds), *_synthetic(prefixes, rollouts), *built):
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
    whole = rollouts.filter(
        (pl.col("tail") == "")
        & pl.col("outcome").is_in(_DECIDED)
        & (pl.col("steps").list.len() > 0)
    )
    joined = whole.join(
        prefixes.select("prefix_id", "question", n_human="n_steps"),
        on="prefix_id",
        how="left",
        maintain_order="left",
    )
    for row in joined.iter_rows(named=True):
        yield _by_model(row, rollout_id=row["rollout_id"])


def _built(
    prefixes: pl.DataFrame, rollouts: pl.DataFrame, nodes: pl.DataFrame
) -> Iterator[dict[str, Any]]:
    """The paths that end in an answer that could be judged."""
    ends = nodes.filter(pl.col("outcome").is_in(_DECIDED)).select(
        "node_id", "seed_id", "prefix_id", "outcome", "answer"
    )
    engines = rollouts.select("prefix_id", "engine").unique("prefix_id", keep="first")
    joined = (
        ends.join(node_paths(nodes, prefixes), on="node_id", maintain_order="left")
        .join(
            prefixes.select("prefix_id", "verifier", n_human="n_steps", gold="answer"),
            on="prefix_id",
            maintain_order="left",
        )
        .join(engines, on="prefix_id", how="left", maintain_order="left")
    )
    for row in joined.iter_rows(named=True):
        yield _by_model(row, rollout_id=None, node_id=row["node_id"])


def _by_model(row: Mapping[str, Any], **found: str | None) -> dict[str, Any]:
    """A row for a trace whose steps behind the prefix a model wrote."""
    steps = tuple(
        Step(text, Factor(factor), "human" if idx < row["n_human"] else "model")
        for idx, (text, factor) in enumerate(zip(row["steps"], row["factors"], strict=True))
    )
    return trace_row(
        TraceModel(row["question"], steps, row["answer"]),
        seed_id=row["seed_id"],
        prefix_id=row["prefix_id"],
        step_source=row["step_source"],
        n_human_steps=row["n_human"],
        gold=row["gold"],
        verifier=row["verifier"],
        outcome=row["outcome"],
        provenance="model",
        engine=row["engine"],
        **found,
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
