"""Makes whole replies with their verified outcome, for outcome reward models.

Cobbe et al. 2021 (arXiv 2110.14168, section 4.2) train such a verifier on right and wrong solutions
of the policy itself. The surprising fact: so what people wrote stays out, and what was made from
code. Nearly all of it is right, and a model would learn to tell the authors apart instead.
"""

import polars as pl

from datagen.errors import ConfigError
from datagen.export.replies import hashed
from datagen.export.sft import ends_once, plain_reply
from schemas import Orm

_SEPARATOR = "\x1f"


def export_orm(traces: pl.DataFrame, *, max_per_question: int = 8) -> pl.DataFrame:
    """Pick right and wrong replies of the policy, and write each as one row.

    A reply is written as in ``sft_plain``: the words of the thought in ``<think>``, then the
    answer. Left out are traces that could not be judged, or have no step, and those whose own text
    holds ``</think>``.

    Args:
        traces: table ``traces``; of these, rollouts and what a search put together.
        max_per_question: rows that one question gives at most, half of them of either label. Seeds
            that ask the same question share them.

    Returns:
        Table ``orm``; ``id`` is the ``trace_id``. Of a question's replies different ways of
        thinking (sequences of thought factors) are taken before a second reply of any of them; no
        two say the same. Shuffled by a hash of the id, so that any part of it has both labels.

    Raises:
        ConfigError: if the option is out of range.
    """
    if max_per_question < 2:
        raise ConfigError(f"max_per_question={max_per_question!r} must be at least 2")
    position = pl.int_range(pl.len())
    group = ("question", "label")
    replies = (
        traces.filter(
            pl.col("outcome").is_in(["correct", "wrong"]),
            pl.col("rollout_id").is_not_null() | pl.col("node_id").is_not_null(),
            pl.col("answer").is_not_null(),
            pl.col("steps").list.len() > 0,
        )
        .select(
            *("trace_id", "seed_id", "question"),
            (pl.col("outcome") == "correct").cast(pl.Int64).alias("label"),
            pl.col("factors").list.join(_SEPARATOR).alias("sequence"),
            plain_reply().alias("completion"),
        )
        .filter(ends_once("completion"))
    )
    picked = (
        replies.with_columns(hashed(replies["trace_id"]))
        .sort("hash")
        .unique(["question", "completion"], keep="first", maintain_order=True)
        .with_columns(position.over(*group, "sequence").alias("n_alike_before"))
        .sort(*group, "n_alike_before", "hash")
        .filter(position.over(group) < max_per_question // 2)
    )
    return Orm.validate(
        picked.sort("hash").select(
            (pl.col("question").str.strip_chars_end() + "\n").alias("prompt"),
            *("completion", "label"),
            pl.col("trace_id").alias("id"),
            "seed_id",
        )
    )
