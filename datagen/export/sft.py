"""Makes conversations for supervised fine-tuning out of correct traces.

The surprising fact: a question gives only a few rows, however often it was solved. Easy questions
are solved hundreds of times and would drown the rest, so each question keeps its human trace and
then as many *different ways of thinking* (sequences of thought factors) as it has, before a second
trace of any of them.
"""

from typing import Final, Literal, get_args

import polars as pl

from datagen.errors import ConfigError
from datagen.export.markup import step_markup
from datagen.factors.taxonomy import Factor
from datagen.traces.markup import THINK_START
from schemas import Correction, Sft, Summary

Form = Literal["tagged", "plain"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)

_THINK: Final = "<think>\n"
_END_THINK: Final = "</think>"
_OPENING: Final[dict[Form, str]] = {"tagged": THINK_START, "plain": _THINK}
_SEPARATOR: Final = "\x1f"
_READ: Final = (
    *("trace_id", "seed_id", "question", "steps", "factors", "answer", "outcome", "provenance"),
    "markup",
)


def export_sft(
    traces: pl.DataFrame,
    summaries: pl.DataFrame | None = None,
    corrections: pl.DataFrame | None = None,
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
        corrections: table ``corrections``, if there is one: traces as well. Masked are their steps
            with the role ``wrong``, and of ``traces`` those right before a ``DetectError`` step.
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
    mended = Correction.empty() if corrections is None else corrections
    is_denied = (pl.element().shift(-1) == Factor.DETECT_ERROR.value).fill_null(False)
    is_wrong = pl.element() == "wrong"
    given = [
        traces.select(*_READ, taken_back=pl.col("factors").list.eval(is_denied)),
        mended.select(*_READ, taken_back=pl.col("step_roles").list.eval(is_wrong)),
    ]
    replies = (
        pl.concat(given)
        .filter(
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
            *("steps", "factors", "taken_back"),
        )
        .filter(form == "tagged" or ends_once("reply"))
    )
    chosen = _chosen(replies, max_per_question)
    return Sft.validate(
        chosen.join(_masked(chosen, form), on="trace_id", how="left", maintain_order="left")
        .join(made.select("trace_id", "summary"), on="trace_id", how="left", maintain_order="left")
        .select(
            pl.concat_list(_message("user", "question"), _message("assistant", "reply")).alias(
                "messages"
            ),
            pl.col("trace_id").alias("id"),
            "seed_id",
            pl.col("masked_spans").fill_null([]),
            "summary",
        )
    )


def plain_reply() -> pl.Expr:
    """``<think>``, the words of the steps, ``</think>``, a blank line and the answer."""
    written = pl.col("steps").list.eval(_plain_step(pl.element()))
    thought = written.list.join("").str.strip_chars_end()
    return pl.concat_str(pl.lit(_THINK), thought, pl.lit(f"\n{_END_THINK}\n\n"), pl.col("answer"))


def ends_once(reply: str) -> pl.Expr:
    """Whether a reader of such a reply can tell where its thought ends."""
    return pl.col(reply).str.count_matches(_END_THINK, literal=True) == 1


def _plain_step(step: pl.Expr) -> pl.Expr:
    """A step with something behind it; those cut from prose bring what stood between them."""
    return pl.when(step.str.contains(r"\s\z")).then(step).otherwise(step + "\n")


def _masked(replies: pl.DataFrame, form: Form) -> pl.DataFrame:
    """Where the steps that are ``taken_back`` stand in each reply that has any."""
    step = step_markup("steps", "factors") if form == "tagged" else _plain_step(pl.col("steps"))
    end = step.str.len_chars().cum_sum().over("trace_id") + len(_OPENING[form])
    return (
        replies.select("trace_id", "steps", "factors", "taken_back")
        .explode("steps", "factors", "taken_back")
        .select(
            "trace_id",
            "taken_back",
            (end - step.str.len_chars()).cast(pl.Int32).alias("start"),
            end.cast(pl.Int32).alias("end"),
        )
        .filter("taken_back")
        .group_by("trace_id", maintain_order=True)
        .agg(pl.struct("start", "end").alias("masked_spans"))
    )


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
