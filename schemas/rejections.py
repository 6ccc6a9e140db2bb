"""Contract of the ``rejections`` tables."""

from typing import Final, Literal, get_args

import dataframely as dy
import polars as pl

from schemas.columns import Choice
from schemas.contract import Contract

RejectionRule = Literal[
    "gold",
    "length",
    "language",
    "contaminated",
    "conflicting_golds",
    "duplicate",
    "near_duplicate",
    "difficulty",
]
"""The rules of curation, in the order in which they apply: a gold answer that no verifier can read;
too short or too long; written in another language; found in a benchmark; one question with several
golds; asked (or answered) word for word before; almost the same as an earlier one; too easy or too
hard."""

RejectionKind = Literal["question", "trace"]
"""What was rejected."""

REJECTION_RULES: Final[tuple[RejectionRule, ...]] = get_args(RejectionRule)
REJECTION_KINDS: Final[tuple[RejectionKind, ...]] = get_args(RejectionKind)


class Rejection(Contract):
    """Questions and traces that curation left out, each with the reason; nothing is thrown away.

    One row = one rule that one question or trace broke. Primary key: ``id``, ``rule``.
    """

    table = "rejections"

    id = dy.String(
        primary_key=True, min_length=1, description="Its seed_id, task_id or trace_id, by kind."
    )
    rule = Choice(REJECTION_RULES, primary_key=True, description="The rule that it broke.")
    kind = Choice(REJECTION_KINDS, description="What was rejected.")
    seed_id = dy.String(min_length=1, description="The seed that it is, or is of.")
    reason = dy.String(min_length=1, description="What is wrong with it, in a sentence.")
    other = dy.String(
        nullable=True,
        description="What it repeats or contradicts: an id of its kind, or benchmark#row.",
    )
    score = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="How alike the two are (Jaccard, or share of n-grams found), or a pass rate.",
    )
    preview = dy.String(description="The beginning of its text.")

    @dy.rule()
    def repeats_something_else(cls) -> pl.Expr:
        """Other must not be the row's own id."""
        return cls.other.col.ne_missing(cls.id.col)
