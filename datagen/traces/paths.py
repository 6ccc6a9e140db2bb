"""The states of search trees, spelt out: every node with all steps that lead to it.

A row of ``nodes`` holds its last step alone, or a tree's table would grow with the square of its
depth. So paths are put together where they are needed, level by level, for all trees at once.
"""

import polars as pl

_LISTS = ("steps", "factors", "step_source")


def node_paths(nodes: pl.DataFrame, prefixes: pl.DataFrame) -> pl.DataFrame:
    """Spell out the state of each node.

    Args:
        nodes: table ``nodes``, of whole trees.
        prefixes: table ``prefixes``. Trees of others are left out.

    Returns:
        ``node_id``, ``question``, ``steps``, ``factors`` and ``step_source``, by depth and then in
        the order of ``nodes``. The lists have one entry per step, the prefix's own first.
    """
    level = (
        nodes.filter(pl.col("depth") == 0)
        .select("node_id", "prefix_id")
        .join(_given(prefixes), on="prefix_id", maintain_order="left")
        .drop("prefix_id")
    )
    levels = [level]
    last = {"steps": "text", "factors": "factor", "step_source": "completion_key"}
    for _, at_depth in (
        nodes.filter(pl.col("depth") > 0)
        .sort("depth", maintain_order=True)
        .group_by("depth", maintain_order=True)
    ):
        level = (
            at_depth.select("node_id", "parent_id", *last.values())
            .join(level, left_on="parent_id", right_on="node_id", maintain_order="left")
            .select("node_id", "question", *(pl.concat_list(name, last[name]) for name in _LISTS))
        )
        levels.append(level)
    return pl.concat(levels)


def _given(prefixes: pl.DataFrame) -> pl.DataFrame:
    """What each prefix gives; the source of a human step is its seed and place there."""
    sources = (
        prefixes.select("prefix_id", "seed_id", idx=pl.int_ranges(0, pl.col("n_steps")))
        .explode("idx")
        .drop_nulls("idx")
        .group_by("prefix_id")
        .agg(step_source=pl.format("{}#{}", "seed_id", "idx"))
    )
    return (
        prefixes.select("prefix_id", "question", "steps", "factors")
        .join(sources, on="prefix_id", how="left", maintain_order="left")
        .with_columns(pl.col("step_source").fill_null(pl.lit([], dtype=pl.List(pl.String))))
    )
