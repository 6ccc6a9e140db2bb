"""Contract of the ``annotators`` table."""

import dataframely as dy
import polars as pl

from schemas.contract import Contract


class Annotator(Contract):
    """How far each reviewer can be relied on: on traps, and compared with the others.

    One row = one person. Primary key: ``annotator``.
    """

    table = "annotators"

    annotator = dy.String(primary_key=True, min_length=1, description="Who.")
    n_reviews = dy.Int32(min=0, description="Traces of which a first error, or none, was named.")
    n_traps = dy.Int32(min=0, description="How many of those were traps.")
    n_traps_right = dy.Int32(min=0, description="Traps that were answered right.")
    accuracy = dy.Float64(
        nullable=True, min=0, max=1, description="n_traps_right / n_traps; null without traps."
    )
    n_with_others = dy.Int32(min=0, description="Traces that somebody else reviewed as well.")
    agreement = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Mean share of the others who said the same; null without others.",
    )

    @dy.rule()
    def counts_within_each_other(cls) -> pl.Expr:
        """n_traps_right <= n_traps <= n_reviews and n_with_others <= n_reviews must hold."""
        right = cls.n_traps_right.col <= cls.n_traps.col
        traps = cls.n_traps.col <= cls.n_reviews.col
        return right & traps & (cls.n_with_others.col <= cls.n_reviews.col)

    @dy.rule()
    def shares_null_without_anything_to_share(cls) -> pl.Expr:
        """Accuracy must be null where n_traps is 0, agreement where n_with_others is."""
        accuracy = cls.accuracy.col.is_null() == (cls.n_traps.col == 0)
        return accuracy & (cls.agreement.col.is_null() == (cls.n_with_others.col == 0))
