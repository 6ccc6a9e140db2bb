"""Makes single replies, desirable or not, for KTO (Ethayarajh et al. 2024, arXiv 2402.01306).

The surprising fact: the rows are shuffled, by a hash of their ids. KTO estimates a divergence by
giving each question the reply of its neighbour in the batch, which must answer something else.

Trainers put the end of the turn behind every reply. Behind a cut one it is the easiest token to
push down, and teaches nothing: mask it, or use ``wrong_ends_at="answer"``.
"""

import polars as pl

from datagen.errors import ConfigError
from datagen.export.replies import Ending, collect_replies, hashed, message, text_of
from schemas import Kto

_SEPARATOR = "\x1f"


def export_kto(
    traces: pl.DataFrame,
    probes: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    rejections: pl.DataFrame | None = None,
    *,
    max_per_question: int = 8,
    max_ratio: float | None = 2.0,
    wrong_ends_at: Ending = "pit",
    min_mass: float = 0.5,
) -> pl.DataFrame:
    """Pick right and wrong replies, and write each as one row.

    Args:
        traces: table ``traces``.
        probes: table ``probes``.
        step_labels: table ``step_labels``.
        trace_labels: table ``trace_labels``.
        rejections: table ``rejected_traces``, see
            :func:`~datagen.export.replies.collect_replies`.
        max_per_question: rows that one question gives at most, half of them of either label.
        max_ratio: how many times the rows of one label may outnumber those of the other, over the
            whole table; rows beyond are left out, and all if there is one label only. ``None``
            keeps everything.
        wrong_ends_at: ``pit`` cuts a wrong reply behind its first pit, where one is known;
            ``answer`` keeps it whole.
        min_mass: see :func:`~datagen.export.pits.first_pits`.

    Returns:
        Table ``kto``, in thought-factor markup as in ``sft``; ``id`` is the ``trace_id``, or of a
        probe the ``rollout_id``. Of a question's replies those that end at a pit are taken first,
        and different ways of thinking (sequences of thought factors) before a second reply of any
        of them.

    Raises:
        ConfigError: if an option is unknown or out of range.
        PublishError: if labels are of other steps than the traces have.
    """
    if max_per_question < 2:
        raise ConfigError(f"max_per_question={max_per_question!r} must be at least 2")
    if max_ratio is not None and not max_ratio >= 1:
        raise ConfigError(f"max_ratio={max_ratio!r} must be at least 1, or None")
    replies = collect_replies(
        traces,
        probes,
        step_labels,
        trace_labels,
        rejections,
        wrong_ends_at=wrong_ends_at,
        min_mass=min_mass,
    )
    position = pl.int_range(pl.len())
    group = ("question", "label")
    picked = (
        pl.concat(
            [
                replies.right.with_columns(pl.lit(True).alias("label")),
                replies.wrong.with_columns(pl.lit(False).alias("label")),
            ]
        )
        .with_columns(
            pl.col("n_kept").is_null().alias("is_whole"),
            pl.col("factors").list.join(_SEPARATOR).alias("sequence"),
        )
        .sort(*group, "is_whole", "trace_id")
        .with_columns(position.over(*group, "sequence").alias("n_alike_before"))
        .sort(*group, "is_whole", "n_alike_before", "trace_id")
        .filter(position.over(group) < max_per_question // 2)
    )
    rows = (
        picked.with_columns(hashed(picked["trace_id"]), text_of(picked))
        .sort("hash")
        .filter(_within(picked["label"], max_ratio))
    )
    return Kto.validate(
        rows.select(
            message("user", "question").alias("prompt"),
            message("assistant", "text").alias("completion"),
            "label",
            pl.col("trace_id").alias("id"),
            "seed_id",
        )
    )


def _within(labels: pl.Series, max_ratio: float | None) -> pl.Expr:
    """Whether a row is among the first of its label, as many as the other label allows."""
    if max_ratio is None:
        return pl.lit(True)
    n_true = int(labels.sum())
    most = int(max_ratio * min(n_true, len(labels) - n_true))
    return pl.int_range(pl.len()).over("label") < most
