"""The search trees of a made-up run: all of one shape, each with other words and values."""

from typing import Final

import numpy as np
import polars as pl

from datagen.bench.curation_traces import PER_QUESTION, hex_ids
from schemas import Node

_LEGAL: Final = ("RestateGoal", "ExtractGivens", "Compute")
_TREE: Final = (
    # parent, factor, chosen, n_visits
    (None, None, True, 9),
    (0, "RestateGoal", True, 3),
    (0, "RestateGoal", False, 0),
    (0, "ExtractGivens", True, 5),
    (3, "RestateGoal", True, 2),
    (3, "Compute", True, 2),
    (3, "Compute", False, 0),
    (4, "Compute", True, 1),
    (1, "ExtractGivens", True, 2),
    (1, "ExtractGivens", False, 0),
)
"""The shape of every tree, parents first: a state is visited once, and once by each child."""


def make_nodes(traces: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A small tree for each question, written with steps of its traces."""
    n_trees = traces.height // PER_QUESTION
    ids = hex_ids(n_trees * len(_TREE), rng, digits=16)
    depths: list[int] = []
    parts: list[pl.DataFrame] = []
    for k, (parent, factor, chosen, n_visits) in enumerate(_TREE):
        depths.append(0 if parent is None else depths[parent] + 1)
        has_children = any(other[0] == k for other in _TREE)
        one = traces.filter(pl.col("nth") == k % (PER_QUESTION - 1) + 1)
        root = parent is None
        parts.append(
            one.select(
                ids.gather_every(len(_TREE), k).alias("node_id"),
                pl.format("{}@0", "seed_id").alias("prefix_id"),
                "seed_id",
                (
                    pl.lit(None, pl.String)
                    if parent is None
                    else ids.gather_every(len(_TREE), parent)
                ).alias("parent_id"),
                pl.lit(depths[k], pl.Int32).alias("depth"),
                pl.lit(depths[k] - 1, pl.Int32).alias("step_idx"),
                pl.lit(factor, pl.String).alias("factor"),
                pl.lit(None, pl.String).alias("text")
                if root
                else pl.col("steps").list.get(depths[k] - 1).alias("text"),
                pl.lit(None if root else 0.3, pl.Float64).alias("prior"),
                pl.lit(list(_LEGAL) if has_children else [], pl.List(pl.String)).alias(
                    "legal_factors"
                ),
                pl.lit([0.5, 0.3, 0.2] if has_children else [], pl.List(pl.Float64)).alias(
                    "priors"
                ),
                pl.Series("evaluation", rng.random(n_trees)),
                pl.lit(n_visits, pl.Int64).alias("n_visits"),
                pl.Series("value", rng.random(n_trees))
                if n_visits
                else pl.lit(None, pl.Float64).alias("value"),
                pl.lit(4, pl.Int64).alias("n_rollouts"),
                pl.Series("n_correct", rng.integers(5, size=n_trees)),
                pl.lit(chosen).alias("chosen"),
                pl.lit(-1, pl.Int32).alias("replica_idx"),
                pl.lit(None, pl.String).alias("outcome"),
                pl.lit(None, pl.String).alias("answer"),
                pl.lit(20, pl.Int64).alias("n_tokens"),
                pl.lit(-0.5).alias("min_logprob"),
                "key" if not root else pl.lit(None, pl.String).alias("key"),
            ).rename({"key": "completion_key"})
        )
    return Node.validate(pl.concat(parts).sort("seed_id", "depth", maintain_order=True))
