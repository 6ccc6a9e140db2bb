"""Human traces, cut: the states from which a policy goes on.

Each seed gives the bare question and a few truncations. The row carries the steps as the policy
reads them, without the white space that holds the human text together.
"""

from typing import Any

import polars as pl

from datagen.factors.taxonomy import Factor
from datagen.seeds import seed_trace
from datagen.traces.model import Step, Trace
from datagen.traces.truncation import truncate
from schemas import Prefix


def make_prefixes(seeds: pl.DataFrame, *, n_prefixes: int) -> pl.DataFrame:
    """Truncate every seed's thought; rows by seed, then by length.

    Args:
        seeds: table ``seeds``.
        n_prefixes: truncations per seed, besides the bare question.

    Returns:
        Table ``prefixes``; ``prefix_id`` is ``seed_id`` and length joined by ``@``.
    """
    rows: list[dict[str, Any]] = []
    for seed in seeds.iter_rows(named=True):
        trace = seed_trace(seed)
        for n_steps in truncate(len(trace.steps), n_prefixes=n_prefixes, seed_id=seed["seed_id"]):
            steps = trace.prefix(n_steps).steps
            rows.append(
                {
                    "prefix_id": f"{seed['seed_id']}@{n_steps}",
                    "seed_id": seed["seed_id"],
                    "n_steps": n_steps,
                    "n_seed_steps": len(trace.steps),
                    "question": trace.question,
                    "steps": [step.text.strip() for step in steps],
                    "factors": [step.factor.value for step in steps],
                    "answer": seed["answer"],
                    "verifier": seed["verifier"],
                }
            )
    return Prefix.from_rows(rows)


def prefix_trace(row: dict[str, Any]) -> Trace:
    """The state that one row of the ``prefixes`` table stands for."""
    steps = zip(row["steps"], row["factors"], strict=True)
    return Trace(
        row["question"], tuple(Step(text, Factor(factor), "human") for text, factor in steps)
    )
