"""Makes targets for a policy over thought factors, and for a value, out of search trees.

The targets are AlphaZero's (Silver et al. 2017, Methods): the shares of visits (temperature 1) and
the mean of all that was backed up. The surprising fact: the outcome is no target. It is how one
trace ended, the one that follows the most visited factors, and stands here to hold V against.
"""

import polars as pl

from datagen.export.markup import state_markup
from datagen.factors.taxonomy import TAXONOMY_VERSION
from datagen.traces.paths import node_paths
from schemas import PolicyValue

_DECIDED = ("correct", "wrong")


def export_policy_value(
    nodes: pl.DataFrame, rollouts: pl.DataFrame, prefixes: pl.DataFrame
) -> pl.DataFrame:
    """Write one row for each state of a ``puct`` tree from which some factor was taken.

    Of equally visited factors the chosen one has the higher Q, then the higher prior, then stands
    first in the taxonomy. The outcome is that of the trace which goes on by the chosen factors from
    state to state; where the tree ends before the trace does, it is that of the first rollout
    drawn from there that could be judged.

    Args:
        nodes: table ``nodes``, of whole trees.
        rollouts: table ``rollouts`` of the same run. It says which trees are those of ``puct``.
        prefixes: table ``prefixes`` of the same run.

    Returns:
        Table ``policy_value``, ordered by seed, prefix and depth.
    """
    searched = rollouts.filter(pl.col("algorithm") == "puct")
    nodes = nodes.join(searched, on="prefix_id", how="semi", maintain_order="left")
    actions = _actions(nodes)
    chosen = (
        actions.sort(
            "parent_id",
            "n_visits",
            "q",
            "prior",
            "place",
            descending=[False, True, True, True, False],
            nulls_last=True,
        )
        .unique("parent_id", keep="first", maintain_order=True)
        .select("parent_id", "child_id", chosen_factor="factor", segment="text")
    )
    targets = actions.group_by("parent_id").agg(
        pl.col("factor").sort_by("place").alias("legal_factors"),
        pl.col("prior").sort_by("place"),
        pl.col("n_visits").sort_by("place").alias("visits"),
        (pl.col("n_visits") / pl.col("n_visits").sum()).sort_by("place").alias("pi"),
        pl.col("q").sort_by("place"),
    )
    rows = (
        nodes.select("node_id", "prefix_id", "seed_id", "depth", "n_visits", "value")
        .join(targets, left_on="node_id", right_on="parent_id")
        .join(chosen.drop("child_id"), left_on="node_id", right_on="parent_id")
        .join(node_paths(nodes, prefixes), on="node_id")
        .join(_outcomes(nodes, searched, chosen), on="node_id", how="left")
        .sort("seed_id", "prefix_id", "depth", "node_id")
    )
    return PolicyValue.validate(
        rows.with_columns(
            state_markup(rows).alias("prompt"),
            id="node_id",
            taxonomy=pl.lit(TAXONOMY_VERSION),
        ).select(PolicyValue.column_names())
    )


def _actions(nodes: pl.DataFrame) -> pl.DataFrame:
    """One row per legal factor of each state from which some factor was taken."""
    children = nodes.filter(pl.col("n_visits") > 0, pl.col("depth") > 0).select(
        "parent_id", "factor", "n_visits", "text", q="value", child_id="node_id"
    )
    return (
        nodes.join(children, left_on="node_id", right_on="parent_id", how="semi")
        .select(
            "legal_factors",
            "priors",
            parent_id="node_id",
            place=pl.int_ranges(0, pl.col("legal_factors").list.len()),
        )
        .explode("legal_factors", "priors", "place")
        .rename({"legal_factors": "factor", "priors": "prior"})
        .join(children, on=["parent_id", "factor"], how="left")
        .with_columns(pl.col("n_visits").fill_null(0))
    )


def _outcomes(nodes: pl.DataFrame, rollouts: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """How the trace ended that goes on from each state by the chosen factors."""
    drawn = (
        rollouts.filter(pl.col("outcome").is_in(_DECIDED))
        .unique("node_id", keep="first", maintain_order=True)
        .select("node_id", drawn="outcome")
    )
    judged = pl.when(pl.col("outcome").is_in(_DECIDED)).then("outcome")
    at_end = (
        nodes.join(drawn, on="node_id", how="left", maintain_order="left")
        # A trace that has ended is not judged by a rollout, even if it could not be judged.
        .select(
            "node_id", ends=pl.when(pl.col("outcome").is_null()).then("drawn").otherwise(judged)
        )
    )
    walk = nodes.select("node_id", at="node_id")
    follow = chosen.select("parent_id", "child_id")
    for _ in range(int(nodes["depth"].max() or 0)):  # pyright: ignore[reportArgumentType]
        walk = walk.join(follow, left_on="at", right_on="parent_id", how="left").select(
            "node_id", at=pl.coalesce("child_id", "at")
        )
    return walk.join(at_end, left_on="at", right_on="node_id").select("node_id", outcome="ends")
