"""Say where a measured trace first goes wrong: by its rollouts, by each judge, and who looks at it.

Votes that name the same step are one line, with the reason of the first of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from datagen.show.lookup import Tables
from datagen.show.styles import Field, counted, one_line

_MAX_REASON: Final = 200
"""Characters of a judge's reason that are shown; some judges write a page."""


def judged(tables: Tables, trace_id: str) -> list[Field]:
    """Where a measured trace first goes wrong, by rollouts and by judges; empty if not measured."""
    if tables.trace_labels is None:
        return []
    found = tables.trace_labels.filter(pl.col("trace_id") == trace_id)
    if found.is_empty():
        return []
    label = found.row(0, named=True)
    mass, none = f"{label['first_error_mass']:.0%}", f"{label['no_error_mass']:.0%}"
    if label["first_error"] >= 0:
        first = f"step {label['first_error']} with probability {mass}, none with {none}"
    else:
        first = f"none, with probability {mass}"
    return [
        ("first error", first),
        ("judges", _agreement(label)),
        *(() if tables.critiques is None else _opinions(tables.critiques, trace_id)),
        ("review", _place(label, tables.trace_labels)),
    ]


def _agreement(label: Mapping[str, Any]) -> str:
    """What the judges say together, and whether it is the same."""
    votes = counted(label["n_votes"], "vote")
    if label["judge_first_error"] is None:
        return f"undecided, {votes} counted"
    agrees = "which agrees" if label["agrees"] else "which does not agree"
    where = _named(label["judge_first_error"])
    return f"{where}, by {label['judge_share']:.0%} of {votes}, {agrees}"


def _opinions(critiques: pl.DataFrame, trace_id: str) -> Iterator[Field]:
    """Each judge's different opinions, the reason in the words of whoever said it first."""
    votes = critiques.filter(pl.col("trace_id") == trace_id).to_dicts()
    n_alike = Counter((vote["judge"], vote["first_error"]) for vote in votes)
    reasons = {(vote["judge"], vote["first_error"]): vote["reason"] for vote in reversed(votes)}
    for opinion, n in n_alike.items():
        judge, first_error = opinion
        times = f" ({counted(n, 'vote')})" if n > 1 else ""
        reason = one_line(reasons[opinion])
        if len(reason) > _MAX_REASON:
            reason = f"{reason[: _MAX_REASON - 1]}…"
        told = f": {reason}" if reason else ""
        yield one_line(judge), f"{_named(first_error)}{times}{told}"


def _named(first_error: int | None) -> str:
    if first_error is None:
        return "cannot say"
    return "no error" if first_error < 0 else f"step {first_error}"


def _place(label: Mapping[str, Any], trace_labels: pl.DataFrame) -> str:
    if n_reviews := label.get("n_reviews"):
        return f"decided by people: {counted(n_reviews, 'review')}"
    if label["verified"]:
        return "verified: rollouts and judges agree, and the rollouts are sure enough"
    n_queued = trace_labels["review_rank"].count()
    return f"place {label['review_rank'] + 1} of {n_queued} in the queue for people"
