"""Questions and traces of a made-up run, before they become tables.

The surprising fact: traces are laid out in columns, one for each step that a trace may have, and
become lists at the very end. So a hundred thousand traces are a few hundred column operations, and
take seconds.
"""

import random
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from datagen.bench.curation_texts import (
    ASKED,
    EDITS,
    LESS,
    MORE,
    START,
    STEPS,
    WORDS,
    dealt,
    edited,
    filled,
)
from datagen.traces.markup import THINK_END, THINK_START, end_tag, start_tag

PER_QUESTION: Final = 8
"""Traces of each question; the first is the human one."""

ENGINE: Final = "bench:none"
"""Who is said to have written the others."""

_STEPS: Final = [f"s{k}" for k in range(len(STEPS))]
_FIRST_COMPUTE: Final = 3
_MAX_CHANGES: Final = 3


def make_questions(n: int, real: Sequence[str], rng: np.random.Generator) -> pl.DataFrame:
    """One row per question: ``seed_id``, ``question``, ``gold``, and what its traces need.

    Args:
        n: how many.
        real: questions that stand in place of the first ones made up; what their traces say is
            made up all the same.
        rng: what chooses.
    """
    given = pl.DataFrame(
        {
            field: WORDS[field].gather(rng.integers(len(WORDS[field]), size=n))
            for field in ("name", "item")
        }
    )
    start = rng.integers(150, 2000, size=n)
    changes = rng.integers(2, 50, size=(_MAX_CHANGES, n)) * rng.choice((-1, 1), (_MAX_CHANGES, n))
    changes[-1] *= rng.random(n) < 0.3  # most questions have one change less
    sentences = [filled(given.with_columns(n=start), START, rng)]
    for change in changes:
        one = given.with_columns(n=np.abs(change))
        text = filled(one, MORE, rng).zip_with(pl.Series(change > 0), filled(one, LESS, rng))
        sentences.append(text.set(pl.Series(change == 0), None))
    sentences.append(filled(given, ASKED, rng))
    made = pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)
    question = pl.DataFrame({str(k): text for k, text in enumerate(sentences)}).select(text=made)
    return given.with_columns(
        pl.concat([pl.Series(real, dtype=pl.String), question["text"].slice(len(real))]).alias(
            "question"
        ),
        pl.format("bench-{}", pl.int_range(n).cast(pl.String).str.zfill(6)).alias("seed_id"),
        *(pl.Series(f"c{k}", change) for k, change in enumerate(changes)),
        start=start,
        gold=start + changes.sum(axis=0),
        rate=np.clip(rng.beta(1.2, 1.0, size=n) * 1.1 - 0.05, 0, 1),
    )


def lay_out(asked: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """All traces of :func:`make_questions`, a column for each step that there may be.

    Returns:
        ``seed_id``, ``question``, ``gold``, ``nth`` (0-based among the question's traces), ``s0``
        to ``s7`` (null: no such step), ``answer``, ``outcome``, and ``first_error`` (-1: none).
    """
    n = asked.height * PER_QUESTION
    frame = asked[np.arange(n) // PER_QUESTION]
    changes = np.stack([frame[f"c{k}"].to_numpy() for k in range(_MAX_CHANGES)])
    n_changes = (changes != 0).sum(axis=0)
    nth = np.arange(n) % PER_QUESTION
    right = (nth == 0) | (rng.random(n) < frame["rate"].to_numpy())
    cut = (nth != 0) & (rng.random(n) < 0.02)
    wrong_at = np.where(right, _MAX_CHANGES, rng.integers(60, size=n) % n_changes)
    off = rng.integers(1, 10, size=n) * rng.choice((-1, 1), n)
    there = rng.random((len(STEPS), n)) < 0.5
    there[1] = True
    there[_FIRST_COMPUTE : _FIRST_COMPUTE + _MAX_CHANGES] = changes != 0
    there[-2] &= ~cut
    there[-1] = ~cut
    value = frame["start"].to_numpy()
    running: dict[int, dict[str, np.ndarray]] = {}
    for k, change in enumerate(changes):
        after = value + change + np.where(wrong_at == k, off, 0)
        operation = np.where(change < 0, "-", "+")
        running[_FIRST_COMPUTE + k] = {
            **{"before": value, "op": operation, "change": np.abs(change), "after": after}
        }
        value = after
    told = (
        pl.when(c > 0).then(pl.format("+{}", c)).when(c < 0).then(c.cast(pl.String))
        for c in (pl.col(f"c{k}") for k in range(_MAX_CHANGES))
    )
    frame = frame.with_columns(
        pl.concat_str(told, separator=" and ", ignore_nulls=True).alias("changes"), value=value
    )
    texts = {
        name: filled(frame.with_columns(**running.get(k, {})), templates, rng).set(
            pl.Series(~there[k]), None
        )
        for k, (name, (_, templates)) in enumerate(zip(_STEPS, STEPS, strict=True))
    }
    wrong_slot = np.minimum(_FIRST_COMPUTE + wrong_at, len(STEPS) - 1)
    n_before = there.cumsum(axis=0)[wrong_slot, np.arange(n)] - 1
    return frame.select(
        "seed_id",
        "question",
        pl.col("gold").cast(pl.String),
        pl.Series("nth", nth),
        *(text.alias(name) for name, text in texts.items()),
        pl.when(pl.Series(~cut)).then(pl.col("value").cast(pl.String)).alias("answer"),
        pl.Series("outcome", np.select([cut, right], ["truncated", "correct"], "wrong")),
        pl.Series("first_error", np.where(right, -1, n_before).astype(np.int32)),
    )


def repeat(
    slots: pl.DataFrame, n: int, chance: random.Random
) -> tuple[pl.DataFrame, dict[str, list[tuple[int, int]]]]:
    """Let the last traces of some questions nearly repeat an earlier one that a model wrote.

    Args:
        slots: what :func:`lay_out` made.
        n: how many, or as many questions as have a trace to repeat.
        chance: what chooses.

    Returns:
        The traces, and by kind of edit the rows of each trace and of its near-duplicate.
    """
    fit = slots.with_row_index("row").filter(
        pl.col("nth").is_between(1, PER_QUESTION - 2),
        pl.col("answer").is_not_null(),
        pl.col("s0").is_not_null(),  # together with s1 the steps that may change places
    )
    rows = fit.unique("seed_id", keep="first", maintain_order=True)["row"].to_list()
    rows = sorted(chance.sample(rows, min(n, len(rows))))
    pairs = [(row, row // PER_QUESTION * PER_QUESTION + PER_QUESTION - 1) for row in rows]
    take = np.arange(slots.height)
    take[[copy for _, copy in pairs]] = rows
    repeated = slots[take].with_columns(slots["nth"])
    by_edit = {edit: [pairs[i] for i in own] for edit, own in dealt(EDITS, len(pairs)).items()}
    for edit, own in by_edit.items():
        copies = [copy for _, copy in own]
        texts = repeated.select("s0", "s1")[copies].rows()
        if edit == "swapped":
            changed = [(second, first) for first, second in texts]
        else:
            changed = [(first, edited(second, edit, chance)) for first, second in texts]
        for k, name in enumerate(("s0", "s1")):
            new = pl.Series([pair[k] for pair in changed], dtype=pl.String)
            repeated = repeated.with_columns(repeated[name].scatter(copies, new))
    return repeated, by_edit


def make_traces(slots: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The columns of table ``traces``, and ``nth``, ``key`` and ``first_error``."""
    n = slots.height
    there = [pl.col(name).is_not_null() for name in _STEPS]
    factors = [pl.when(one).then(pl.lit(f.value)) for one, (f, _) in zip(there, STEPS, strict=True)]
    tagged = [
        pl.lit(start_tag(f)) + pl.col(name) + pl.lit(end_tag(f))
        for name, (f, _) in zip(_STEPS, STEPS, strict=True)
    ]
    steps = pl.concat_list(_STEPS).list.drop_nulls()
    human, n_steps = pl.col("nth") == 0, pl.sum_horizontal(there)
    origin = pl.concat_list(
        pl.when(one).then(
            pl.when(human)
            .then(pl.format("{}#{}", "seed_id", pl.sum_horizontal(there[:k] or [pl.lit(0)])))
            .otherwise("key")
        )
        for k, one in enumerate(there)
    )
    by = pl.when(human).then(pl.lit("human")).otherwise(pl.lit("model"))
    prefix = pl.format("{}@{}", "seed_id", pl.when(human).then(n_steps).otherwise(0))
    return slots.with_columns(
        hex_ids(n, rng, digits=16).alias("trace_id"), hex_ids(n, rng, digits=32).alias("key")
    ).select(
        "trace_id",
        "seed_id",
        prefix.alias("prefix_id"),
        pl.when(~human).then(pl.format("{}@0/{}", "seed_id", "key")).alias("rollout_id"),
        pl.lit(None, pl.String).alias("node_id"),
        "question",
        steps.alias("steps"),
        pl.concat_list(factors).list.drop_nulls().alias("factors"),
        by.repeat_by(n_steps).alias("step_provenance"),
        origin.list.drop_nulls().alias("step_source"),
        pl.when(human).then(n_steps).otherwise(0).cast(pl.Int32).alias("n_human_steps"),
        "answer",
        "gold",
        pl.lit("numeric").alias("verifier"),
        "outcome",
        by.alias("provenance"),
        pl.when(~human).then(pl.lit(ENGINE)).alias("engine"),
        pl.concat_str(
            pl.lit(THINK_START), *tagged, pl.lit(THINK_END) + pl.col("answer"), ignore_nulls=True
        ).alias("markup"),
        "nth",
        "key",
        "first_error",
    )


def hex_ids(n: int, rng: np.random.Generator, *, digits: int) -> pl.Series:
    """Identifiers like those of a journal, ``(n,)``."""
    text = rng.bytes(n * digits // 2).hex()
    return pl.Series([text[i : i + digits] for i in range(0, len(text), digits)], dtype=pl.String)
