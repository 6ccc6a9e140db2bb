"""Makes conversations for supervised fine-tuning out of correct traces.

The surprising fact: a question gives only a few rows, however often it was solved. Easy questions
are solved hundreds of times and would drown the rest, so each question keeps its human trace and
then as many *different ways of thinking* (sequences of thought factors) as it has, before a second
trace of any of them.
"""

from typing import Final, Literal, get_args

import polars as pl

from datagen.errors import ConfigError
from schemas import Sft, Summary

Form = Literal["tagged", "plain"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)

_THINK: Final = "<think>\n"
_END_THINK: Final = "</think>"
_SEPARATOR: Final = "\x1f"


def export_sft(
    traces: pl.DataFrame,
    summaries: pl.DataFrame | None = None,
    *,
    form: Form,
    max_per_question: int = 4,
) -> pl.DataFrame:
    """Select correct traces and write each as one question and one answer.

    Left out are traces without an answer or without a step, and in the plain form those whose own
    text holds ``</think>``, because a reader could not tell where their thought ends.

    Args:
        traces: table ``traces``.
        summaries: table ``summaries``, if there is one. Column ``summary`` is for whoever shows a
            reader thought, summary and answer as three; it is no part of ``messages``.
        form: ``tagged`` is the thought-factor markup as it stands in the table; ``plain`` is
            ``<think>``, the words of the steps, ``</think>``, a blank line and the answer.
        max_per_question: rows that one question gives at most. Seeds that ask the same question
            share them.

    Returns:
        Table ``sft``; ``id`` is the ``trace_id``. Ordered by seed, and then as chosen: human traces
        first, then by how many chosen before have the same factors, then by ``trace_id``. No two
        rows of a question have the same reply.

    Raises:
        ConfigError: if an option is unknown or out of range.
    """
    if form not in FORMS:
        raise ConfigError(f"form={form!r} is unknown; use one of {', '.join(FORMS)}")
    if max_per_question < 1:
        raise ConfigError(f"max_per_question={max_per_question!r} must be at least 1")
    made = Summary.empty() if summaries is None else summaries
    replies = (
        traces.filter(
            pl.col("outcome") == "correct",
            pl.col("answer").is_not_null(),
            pl.col("steps").list.len() > 0,
        )
        .select(
            "trace_id",
            "seed_id",
            "question",
            (pl.col("provenance") != "human").alias("is_generated"),
            pl.col("factors").list.join(_SEPARATOR).alias("sequence"),
            (pl.col("markup") if form == "tagged" else plain_reply()).alias("reply"),
        )
        .filter(form == "tagged" or ends_once("reply"))
    )
    return Sft.validate(
        _chosen(replies, max_per_question)
        .join(made.select("trace_id", "summary"), on="trace_id", how="left", maintain_order="left")
        .select(
            pl.concat_list(_message("user", "question"), _message("assistant", "reply")).alias(
                "messages"
            ),
            pl.col("trace_id").alias("id"),
            "seed_id",
            "summary",
        )
    )


def plain_reply() -> pl.Expr:
    """``<think>``, the words of the steps, ``</think>``, a blank line and the answer."""
    step = pl.element()
    # Steps cut from prose bring the white space that stood between them.
    closed = pl.when(step.str.contains(r"\s\z")).then(step).otherwise(step + "\n")
    thought = pl.col("steps").list.eval(closed).list.join("").str.strip_chars_end()
    return pl.concat_str(pl.lit(_THINK), thought, pl.lit(f"\n{_END_THINK}\n\n"), pl.col("answer"))


def ends_once(reply: str) -> pl.Expr:
    """Whether a reader of such a reply can tell where its thought ends."""
    return pl.col(reply).str.count_matches(_END_THINK, literal=True) == 1


def _chosen(replies: pl.DataFrame, max_per_question: int) -> pl.DataFrame:
    """At most ``max_per_question`` different replies of each question, best first."""
    position = pl.int_range(pl.len())
    return (
        replies.sort("question", "is_generated", "trace_id")
        .unique(["question", "reply"], keep="first", maintain_order=True)
        .with_columns(position.over("question", "sequence").alias("n_alike_before"))
        .sort("question", "is_generated", "n_alike_before", "trace_id")
        .with_columns(position.over("question").alias("rank"))
        .filter(pl.col("rank") < max_per_question)
        .sort("seed_id", "rank", "trace_id")
    )


def _message(role: str, content: str) -> pl.Expr:
    return pl.struct(pl.lit(role).alias("role"), pl.col(content).alias("content"))
