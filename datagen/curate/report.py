"""How much each rule of curation left out."""

import polars as pl

from schemas import REJECTION_KINDS, REJECTION_RULES


def rejection_counts(rejections: pl.DataFrame) -> pl.DataFrame:
    """Count the rows of each rule.

    Args:
        rejections: table ``rejections``.

    Returns:
        ``kind``, ``rule`` and ``n`` (int64); questions before traces, then in the order of the
        rules, those without a row left out. One item can break several rules, so that the ``n`` of
        a kind may add up to more than what was rejected.
    """
    return (
        rejections.group_by("kind", "rule")
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .sort(
            pl.col("kind").replace_strict(REJECTION_KINDS, range(len(REJECTION_KINDS))),
            pl.col("rule").replace_strict(REJECTION_RULES, range(len(REJECTION_RULES))),
        )
    )
