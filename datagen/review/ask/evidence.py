"""What is shown beside the steps of a trace: counts, doubts about factors, and words of judges.

The surprising fact: words are written for people, and people count steps from 1.
"""

import polars as pl


def counts(step_labels: pl.DataFrame) -> pl.DataFrame:
    """``n_trials`` and ``n_successes`` of each trace of table ``step_labels``, step by step."""
    return (
        step_labels.sort("trace_id", "step_idx").group_by("trace_id").agg("n_trials", "n_successes")
    )


def doubts(tags: pl.DataFrame) -> pl.DataFrame:
    """``factor_doubts``: 0-based steps of each trace whose factor table ``tags`` is unsure of."""
    return (
        tags.filter("needs_review")
        .sort("trace_id", "step_idx")
        .group_by("trace_id")
        .agg(pl.col("step_idx").alias("factor_doubts"))
    )


def words(critiques: pl.DataFrame, code_thoughts: pl.DataFrame) -> pl.DataFrame:
    """``judge_text``: what judges, or the run of a program, say of each trace, in lines.

    Args:
        critiques: table ``critiques``; votes without an opinion say nothing.
        code_thoughts: table ``code_thoughts``.
    """
    reason = pl.when(pl.col("reason") == "").then(pl.lit("")).otherwise(pl.format(": {}", "reason"))
    opinions = critiques.filter(pl.col("first_error").is_not_null()).select(
        "trace_id", pl.format("{}: {}{}", "judge", in_words("first_error"), reason).alias("line")
    )
    claim = pl.col("claims").struct.field
    contradicted = (
        code_thoughts.select("thought_id", "claims")
        .explode("claims")
        .filter(claim("verdict") == "contradicted")
        .select(
            pl.col("thought_id").alias("trace_id"),
            pl.format(
                "run: {}: {}, but by the run it is {}",
                in_words(claim("step_idx")),
                claim("text"),
                claim("actual").fill_null("not so"),
            ).alias("line"),
        )
    )
    return (
        pl.concat([opinions, contradicted])
        .group_by("trace_id", maintain_order=True)
        .agg(pl.col("line").unique(maintain_order=True).str.join("\n").alias("judge_text"))
    )


def in_words(first_error: str | pl.Expr) -> pl.Expr:
    """A first error as people name it; null: who was asked could not tell."""
    first = pl.col(first_error) if isinstance(first_error, str) else first_error
    return (
        pl.when(first.is_null())
        .then(pl.lit("cannot tell"))
        .when(first < 0)
        .then(pl.lit("no step is wrong"))
        .otherwise(pl.format("step {} is wrong", first + 1))
    )
