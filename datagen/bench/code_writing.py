"""How well thoughts about code were written: verified when, and worth how much.

A thought is a chain of attempts; it counts by its last one.
"""

from typing import Any

import numpy as np
import polars as pl

from datagen.bench.code_checks import share
from datagen.bench.scores import bootstrap


def thought_detail(code_thoughts: pl.DataFrame, max_revisions: int) -> dict[str, Any]:
    """How many thoughts are verified, after how many revisions, and what they are worth.

    Args:
        code_thoughts: the table.
        max_revisions: that were allowed.

    Returns:
        ``verified``, ``attempts`` and ``sufficiency`` of what a model wrote; ``routes``: the same
        of each route, with round trips, the narrator's too. ``verified`` and ``attempts`` are
        shares as of :func:`~datagen.bench.code_checks.share`, of chains of attempts.
        ``sufficiency`` is that of the verified, which passed some round trips by definition;
        ``sufficiency_of_all``, of the last attempts, is not chosen by what it measures.
    """
    by_model = code_thoughts.filter(pl.col("route") != "narrator")
    return {
        **_writing(by_model, max_revisions),
        "routes": {
            route: _writing(rows, max_revisions)
            for (route,), rows in code_thoughts.group_by("route", maintain_order=True)
        },
    }


def _writing(rows: pl.DataFrame, max_revisions: int) -> dict[str, Any]:
    chain = ("seed_id", "route", "thought_idx")
    last = rows.group_by(chain, maintain_order=True).last()
    verified = last.filter("verified")
    return {
        "verified": share(verified.height, last.height),
        "attempts": [
            share(verified.filter(pl.col("attempt") <= attempt).height, last.height)
            for attempt in range(max_revisions + 1)
        ],
        "round_trips": _shared(last, "n_passed", "n_round_trips"),
        # Those from the question alone are the same in all thoughts of a function.
        "bare": _shared(last.unique("seed_id", maintain_order=True), "n_bare_passed", "n_bare"),
        "sufficiency": _sufficiency(verified),
        "sufficiency_of_all": _sufficiency(last),
    }


def _shared(rows: pl.DataFrame, hits: str, trials: str) -> dict[str, float | None]:
    """Share of all trials, from columns of counts."""
    return share(int(rows[hits].sum()), int(rows[trials].sum()))


def _sufficiency(rows: pl.DataFrame) -> dict[str, float | None]:
    """Mean gain over functions, with a bootstrap interval; of several thoughts their mean.

    A thought that no program was written from is left out.
    """
    gained = rows.drop_nulls("sufficiency").group_by("seed_id", maintain_order=True)
    gains = gained.agg(pl.col("sufficiency").mean())["sufficiency"].to_numpy()
    if not len(gains):
        return {"value": None, "low": None, "high": None, "n": 0}
    found = bootstrap(lambda drawn: float(np.mean(gains[drawn])), len(gains))
    return {"value": found.value, "low": found.low, "high": found.high, "n": len(gains)}
