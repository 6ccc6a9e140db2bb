"""What a rule found, as rows of the tables of rejections, and what such rows leave of a table."""

import polars as pl

from schemas import Rejection, RejectionKind, RejectionRule

PREVIEW_CHARS = 200


def as_rejections(
    found: pl.DataFrame, items: pl.DataFrame, *, rule: RejectionRule, kind: RejectionKind
) -> pl.DataFrame:
    """Rows for what one rule found.

    Args:
        found: ``id`` and ``reason``, and ``other`` and ``score`` where the rule has them. At most
            one row per ``id``.
        items: ``id``, ``seed_id`` and ``text`` of all that the rule looked at, one row per ``id``.
        rule: the rule.
        kind: what the items are.

    Returns:
        Table ``rejections``, in the order of ``items``.
    """
    given = {"other": pl.String, "score": pl.Float64}
    missing = [pl.lit(None, t).alias(name) for name, t in given.items() if name not in found]
    return Rejection.validate(
        items.select("id", "seed_id", "text")
        .join(found.with_columns(missing), on="id", maintain_order="left")
        .select(
            "id",
            pl.lit(rule).alias("rule"),
            pl.lit(kind).alias("kind"),
            "seed_id",
            "reason",
            "other",
            pl.col("score").cast(pl.Float64).clip(0, 1),
            _preview("text").alias("preview"),
        )
    )


def kept(
    frame: pl.DataFrame,
    rejections: pl.DataFrame,
    *,
    id: str = "trace_id",
    kind: RejectionKind = "trace",
) -> pl.DataFrame:
    """The rows of ``frame`` that no rejection is about, in their order.

    Args:
        frame: any table.
        rejections: table ``rejections``; those of another kind are of no concern.
        id: the column of ``frame`` that says what a row is, or is of.
        kind: what that column names.
    """
    gone = rejections.filter(pl.col("kind") == kind).select(pl.col("id").alias(id))
    return frame.join(gone, on=id, how="anti", maintain_order="left")


def _preview(text: str) -> pl.Expr:
    head = pl.col(text).str.slice(0, PREVIEW_CHARS)
    return head.str.replace_all(r"[\s\p{C}]+", " ").str.strip_chars()
