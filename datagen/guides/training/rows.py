"""The rows that a guide is trained on, and those that it is measured on.

The surprising fact: what is held out is whole questions. States of one search differ by a step or
two, and a model that has seen one of them has seen them all.
"""

import hashlib
from pathlib import Path
from typing import Any

import polars as pl

from datagen.errors import ConfigError


def read_rows(data: str, table: str) -> pl.DataFrame:
    """Rows of a table: of a Parquet file, or of a published repository, in a folder or on the Hub.

    Args:
        data: path or Hub name.
        table: the repository's configuration, such as ``"prm"``.

    Raises:
        ConfigError: if it cannot be read.
    """
    from datasets import load_dataset

    try:
        if Path(data).is_file():
            return pl.read_parquet(data)
        loaded: Any = load_dataset(data, table, split="train")
        return loaded.to_polars()
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            f"no table {table!r} can be read from {data!r}: {error}; name a Parquet file, or the "
            "folder or Hub name of a published dataset, such as out/published"
        ) from error


def split_by_question(
    rows: pl.DataFrame, question: str, *, heldout: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows to train on and rows to measure on, which have no question in common.

    Which question is held out depends on its text alone, not on the order of the rows.

    Args:
        rows: any table.
        question: the column with the question.
        heldout: share of the questions to hold out; at least one is.

    Raises:
        ConfigError: if there are fewer than two questions.
    """
    distinct = rows[question].unique().to_list()
    distinct.sort(key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest())
    if len(distinct) < 2:
        raise ConfigError(
            f"there are rows of {len(distinct)!r} questions; training takes two at least, of which "
            "one is held out: run the pipeline with more seeds"
        )
    chosen = distinct[: min(max(round(heldout * len(distinct)), 1), len(distinct) - 1)]
    is_heldout = pl.col(question).is_in(chosen)
    return rows.filter(~is_heldout), rows.filter(is_heldout)
