"""Which traces are measured: a few right and wrong ones that the policy wrote by itself.

Traces drawn deeper in a search tree are not picked: the search has had a hand in those, and a
process reward model has to judge what the policy writes when left alone.
"""

import polars as pl

from datagen.verify import Outcome


def pick_traces(
    traces: pl.DataFrame, rollouts: pl.DataFrame, *, n_right: int, n_wrong: int
) -> pl.DataFrame:
    """The first traces of each prefix and outcome that were drawn from that very prefix.

    Args:
        traces: table ``traces``.
        rollouts: table ``rollouts``.
        n_right: most right traces per prefix.
        n_wrong: most wrong traces per prefix.

    Returns:
        Rows of ``traces``, in its order. Each has at least two steps that the model wrote: of a
        single one nothing can be measured.
    """
    n_given = rollouts.select("rollout_id", "n_given_steps")
    own = (
        traces.with_row_index("row")
        .filter(pl.col("provenance") == "model")
        .join(n_given, on="rollout_id", how="left", maintain_order="left")
        .filter(pl.col("n_given_steps") == pl.col("n_human_steps"))
        .filter(pl.col("steps").list.len().cast(pl.Int64) - pl.col("n_human_steps") >= 2)
    )
    wanted = {Outcome.CORRECT.value: n_right, Outcome.WRONG.value: n_wrong}
    picked = [
        own.filter(pl.col("outcome") == outcome).filter(
            pl.int_range(pl.len()).over("prefix_id") < n
        )
        for outcome, n in wanted.items()
    ]
    rows = pl.concat([frame["row"] for frame in picked]).sort()
    return traces[rows]
