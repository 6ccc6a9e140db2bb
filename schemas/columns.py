"""Column types that dataframely lacks, and columns that several tables share.

A ``Choice`` is stored as a plain string. A Polars ``Enum`` would become an Arrow dictionary, which
neither concatenates with ordinary Hugging Face data nor survives a new member.
"""

from collections.abc import Sequence
from typing import Any

import dataframely as dy
import polars as pl

from schemas.vocabulary import OWN_VERIFIER, ROLES, VERIFIERS


class Choice(dy.String):
    """A column of strings out of a closed set."""

    def __init__(
        self,
        values: Sequence[str],
        *,
        nullable: bool = False,
        primary_key: bool = False,
        alias: str | None = None,
        metadata: dict[str, Any] | None = None,
        description: str | None = None,
    ) -> None:
        """Build the column.

        Args:
            values: The allowed strings.
            nullable: Whether null is allowed as well.
            primary_key: Whether the column is part of the primary key.
            alias: The column's name where it is not a Python identifier.
            metadata: Anything to attach to the column.
            description: One line about the column.
        """
        super().__init__(
            nullable=nullable,
            primary_key=primary_key,
            alias=alias,
            metadata=metadata,
            description=description,
        )
        self.values = tuple(values)

    def validation_rules(self, expr: pl.Expr) -> dict[str, pl.Expr]:
        """The rules of any string column, and ``one_of``."""
        return {**super().validation_rules(expr), "one_of": expr.is_in(self.values)}


def conversation(description: str) -> dy.List:
    """A non-empty conversation whose messages have exactly the keys ``role`` and ``content``."""
    message = dy.Struct(
        {
            "role": Choice(ROLES, description="Who speaks."),
            "content": dy.String(description="What is said."),
        }
    )
    return dy.List(message, min_length=1, description=description)


def verifier_column(description: str) -> dy.String:
    """The name of a verifier: a built-in one, or one of the user's own.

    Which own ones there are is known where answers are judged, and not to everybody who reads a
    table, so of these only the form is held.
    """
    names = "|".join(VERIFIERS)
    return dy.String(regex=f"^({names}|{OWN_VERIFIER}[a-z][a-z0-9_]*)$", description=description)


def seed_column() -> dy.String:
    """The column of a dataset by which its rows are split."""
    return dy.String(
        min_length=1, description="The seed whose question it is; no seed is in two splits."
    )


def rubric(description: str, *, nullable: bool) -> dy.List:
    """A non-empty rubric: what a good answer does, and how much each of it counts."""
    criterion = dy.Struct(
        {
            "criterion": dy.String(min_length=1, description="What a good answer does."),
            "weight": dy.Float64(min_exclusive=0, description="How much it counts."),
        }
    )
    return dy.List(criterion, min_length=1, nullable=nullable, description=description)
