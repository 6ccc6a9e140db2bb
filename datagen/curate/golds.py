"""Gold answers that cannot reward anybody: no verifier reads them, or they contradict each other.

The surprising fact: of two golds that contradict each other neither is believed. Which annotator
was right is not known here, and a question whose reward is a toss-up does more harm than its
absence. Equal golds written in two ways (0.5 and 1/2) are no contradiction.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, Final, TypeVar, cast

import polars as pl

from datagen.curate.rows import as_rejections
from datagen.curate.words import normal_text
from datagen.verify import VERIFIERS, Outcome, gold_is_parseable

A = TypeVar("A")
B = TypeVar("B")

_GOLD: Final = ("answer", "verifier")
_PLAIN_NUMBER: Final = r"^-?[0-9]{1,15}(?:\.[0-9]{1,15})?$"
"""What ``math`` and ``numeric`` read without a second look; most golds are such."""

_SHOWN: Final = 60


def unreadable_golds(seeds: pl.DataFrame) -> pl.DataFrame:
    """Seeds whose gold answer no answer could be judged against.

    Seeds judged by a rubric have no gold and are not looked at.

    Args:
        seeds: table ``seeds``.

    Returns:
        Rows of ``rejections`` of rule ``gold``, in the order of ``seeds``.
    """
    plain = pl.col("verifier").is_in(["math", "numeric"]) & pl.col("answer").str.contains(
        _PLAIN_NUMBER
    )
    golds = (
        seeds.filter(pl.col("verifier") != "rubric", ~plain)
        .select(_GOLD)
        .unique(maintain_order=True)
    )
    readable = _side_by_side(
        lambda gold: gold_is_parseable(gold[0], verifier=gold[1]),
        cast(list[tuple[str, str]], golds.rows()),
    )
    unread = golds.filter(~pl.Series(readable, dtype=pl.Boolean))
    reason = pl.format(
        "verifier {} cannot read the gold answer {}; write it as the verifier reads answers, or "
        "name another verifier",
        "verifier",
        _quoted("answer"),
    )
    found = seeds.join(unread, on=_GOLD).select(id="seed_id", reason=reason)
    return as_rejections(found, _items(seeds), rule="gold", kind="question")


def conflicting_golds(seeds: pl.DataFrame) -> pl.DataFrame:
    """Seeds that ask the same question and have golds that are not the same answer.

    Questions are the same if their :func:`~datagen.curate.words.normal_text` is. Each further gold
    is compared with the first by the verifier of either seed, both ways round; if none of these
    says ``correct``, all seeds of the question are rejected. Golds that are equal as texts are
    equal. Seeds judged by a rubric are not looked at.

    Args:
        seeds: table ``seeds``.

    Returns:
        Rows of ``rejections`` of rule ``conflicting_golds``, in the order of ``seeds``; ``other``
        is the first seed with a gold that contradicts the row's own.
    """
    judged = (
        seeds.filter(pl.col("verifier") != "rubric")
        .with_columns(normal_text(pl.col("question")).alias("asked"))
        .filter(pl.col("asked") != "")
    )
    golds = (
        judged.unique(["asked", *_GOLD], keep="first", maintain_order=True)
        .filter((pl.col("answer").n_unique() > 1).over("asked"))
        .select("asked", "seed_id", *_GOLD)
        .sort("asked", maintain_order=True)
    )
    groups = [list(group) for _, group in groupby(golds.iter_rows(named=True), _asked)]
    against = [row for rows in _side_by_side(_contradicted, groups) for row in rows]
    contradicted = pl.DataFrame(
        against, schema=dict.fromkeys(("asked", *_GOLD, "other", "gold"), pl.String), orient="row"
    )
    reason = pl.format(
        "its gold answer {} and {} of the same question are not the same answer",
        _quoted("answer"),
        _quoted("gold"),
    )
    found = judged.join(contradicted, on=["asked", *_GOLD]).select(
        "other", id="seed_id", reason=reason
    )
    return as_rejections(found, _items(seeds), rule="conflicting_golds", kind="question")


def _asked(row: dict[str, Any]) -> str:
    return row["asked"]


def _contradicted(golds: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Of one question, each gold with one that contradicts it; empty if all are one answer."""
    first, *others = golds
    different = [gold for gold in others if not _same_answer(first, gold)]
    if not different:
        return []
    rows: list[tuple[str, ...]] = []
    for gold in golds:
        other = first if gold in different else different[0]
        rows.append(
            (gold["asked"], gold["answer"], gold["verifier"], other["seed_id"], other["answer"])
        )
    return rows


def _same_answer(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["answer"], other["answer"]
    return a == b or any(
        VERIFIERS[name](x, y).outcome is Outcome.CORRECT
        for name in dict.fromkeys((one["verifier"], other["verifier"]))
        for x, y in ((a, b), (b, a))
    )


def _side_by_side(function: Callable[[A], B], values: Iterable[A]) -> Iterator[B]:
    """``map`` in a few threads: computer algebra runs in processes of its own."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(function, values)


def _items(seeds: pl.DataFrame) -> pl.DataFrame:
    return seeds.select("seed_id", id="seed_id", text="question")


def _quoted(column: str) -> pl.Expr:
    text = pl.col(column)
    long = text.str.len_chars() > _SHOWN
    return pl.format("'{}'", pl.when(long).then(text.str.slice(0, _SHOWN) + "…").otherwise(text))
