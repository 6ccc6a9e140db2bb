"""Which questions are published for training and which for testing.

The surprising fact: no list of splits is kept anywhere. The split is a property of the question's
own words, through SHA-256, so that it is the same on every machine and after every release, and
equal questions of several sources cannot end on both sides. A larger share of tests only moves
questions from ``train`` to ``test``.
"""

import hashlib
from typing import Final

import polars as pl

from datagen.curate.words import normal_text

_SALT: Final = "datagen/split/1"
_RANGE: Final = 1 << 64


def split_of(question: pl.Expr, *, test_share: float, salt: str = _SALT) -> pl.Expr:
    """The split of each question: ``train`` or ``test``.

    Args:
        question: the questions. Only their :func:`~datagen.curate.words.normal_text` counts.
        test_share: share of all conceivable questions that are tests; 0 is none.
        salt: another one draws other tests.
    """
    bound = int(test_share * _RANGE)

    def _splits(texts: pl.Series) -> pl.Series:
        distinct = texts.unique().drop_nulls()
        names = ["test" if _place(text, salt) < bound else "train" for text in distinct]
        return texts.replace_strict(
            distinct, pl.Series(names, dtype=pl.String), return_dtype=pl.String
        )

    return normal_text(question).map_batches(_splits, return_dtype=pl.String, is_elementwise=True)


def _place(text: str, salt: str) -> int:
    """A number below 2**64 that only the text and the salt decide."""
    digest = hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")
