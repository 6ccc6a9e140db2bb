"""Makes the dataset of all completions: nothing picked, nothing balanced, nothing cleaned.

Probes were drawn where they tell most about one trace. They are evidence like any other, but shares
of right ones among them say nothing about a question; ``algorithm`` tells them apart.
"""

import polars as pl

from schemas import RawRollout


def export_raw_rollouts(
    seeds: pl.DataFrame, rollouts: pl.DataFrame, probes: pl.DataFrame
) -> pl.DataFrame:
    """Write one row for each completion, in the order of ``seed_id``, then of drawing.

    Args:
        seeds: table ``seeds``, for the questions. Completions of other seeds are left out.
        rollouts: table ``rollouts``.
        probes: table ``probes``. One that repeats a rollout of the same search is the same row.
    """
    drawn = pl.concat([rollouts, probes.select(rollouts.columns)])
    return RawRollout.validate(
        drawn.unique("rollout_id", keep="first", maintain_order=True)
        .join(seeds.select("seed_id", "question"), on="seed_id", maintain_order="left")
        .sort("seed_id", maintain_order=True)
    )
