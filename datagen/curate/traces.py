"""Curates traces after generation: what a policy wrote twice, or without end, is published once.

The surprising fact: only traces with the same outcome *and* the same answer can be duplicates of
each other. A right and a wrong trace that differ in one digit are the most telling pair there is,
and the wording hardly shows it. Traces that a person wrote are never rejected: their seeds were
curated before.
"""

import polars as pl

from datagen.curate.config import CurateConfig
from datagen.curate.duplicates import exact_duplicates, near_duplicates
from datagen.curate.rows import as_rejections, kept
from datagen.curate.screens import wrong_length
from datagen.curate.words import normal_text

_SAME = ("asked", "outcome", "answer")


def curate_traces(traces: pl.DataFrame, *, config: CurateConfig) -> pl.DataFrame:
    """Name the traces to leave out.

    Of several that say the same the one that stays is a human one, or else the first.

    Args:
        traces: table ``traces``.
        config: the rules' settings.

    Returns:
        Table ``rejections`` of kind ``trace``: rules ``length``, ``duplicate`` and
        ``near_duplicate``, each in the order of ``traces``.
    """
    items = traces.select(
        "seed_id",
        id="trace_id",
        text=pl.col("steps").list.join("\n"),
        asked=normal_text(pl.col("question")),
        outcome="outcome",
        answer=pl.col("answer").fill_null(""),
        is_human=pl.col("provenance") == "human",
    )
    found = [
        wrong_length(
            items.filter(~pl.col("is_human")),
            min_words=0,
            max_words=config.max_thought_words,
            what="thought",
            kind="trace",
        )
    ]
    rest = kept(items, found[-1], id="id")
    best_first = rest.sort("is_human", descending=True, maintain_order=True)
    equal = exact_duplicates(best_first, text="text", id="id", by=_SAME).with_columns(
        reason=pl.format("{} says the same", "other")
    )
    found.append(
        as_rejections(equal, rest.filter(~pl.col("is_human")), rule="duplicate", kind="trace")
    )
    if config.trace_near_duplicates is not None:
        near = near_duplicates(
            kept(best_first, found[-1], id="id"),
            text="text",
            id="id",
            by=_SAME,
            threshold=config.trace_near_duplicates,
            same_numbers=config.same_numbers,
        ).with_columns(reason=pl.format("{} says almost the same", "other"))
        found.append(
            as_rejections(
                near, rest.filter(~pl.col("is_human")), rule="near_duplicate", kind="trace"
            )
        )
    return pl.concat(found)
