"""Makes pairs of a right and a wrong reply for DPO: the wrong one ends at its first pit.

The surprising fact: the steps that both replies share stand in both, and not in the prompt. DPO
compares sums of log-probabilities, in which equal tokens behind an equal prompt cancel out, so
nothing is learned of them either way; a prompt, on the other hand, is a conversation, which a chat
template can close with a question but not in the midst of a thought. Losses that divide by the
length (SimPO, ORPO) do not cancel; for those, and for one step at a time, there is
``step_preference``.

Trainers put the end of the turn behind both replies. Behind a cut one it is the easiest token to
push down, and teaches nothing: mask it, or use ``wrong_ends_at="answer"``.
"""

import polars as pl

from datagen.errors import ConfigError
from datagen.export.replies import Ending, Replies, collect_replies, message, states, text_of
from schemas import Preference

_PLACE = ("seed_id", "question", "n_steps", "state")


def export_preference(
    traces: pl.DataFrame,
    probes: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    rejections: pl.DataFrame | None = None,
    *,
    max_per_question: int = 4,
    wrong_ends_at: Ending = "pit",
    min_mass: float = 0.5,
) -> pl.DataFrame:
    """Pair each wrong reply with a right one that shares its longest beginning.

    Best are the pairs that part at the pit itself: a right trace, or a right probe, that went on
    from the step before (Setlur et al. 2024, per-step DPO). Wrong replies that part from the right
    ones at one state take turns among them.

    Args:
        traces: table ``traces``; it has all rollouts that came to an end.
        probes: table ``probes``.
        step_labels: table ``step_labels``.
        trace_labels: table ``trace_labels``.
        rejections: table ``rejected_traces``, see
            :func:`~datagen.export.replies.collect_replies`.
        max_per_question: pairs that one question gives at most. Seeds that ask the same question
            share them.
        wrong_ends_at: ``pit`` cuts a wrong reply behind its first pit, where one is known;
            ``answer`` keeps it whole.
        min_mass: see :func:`~datagen.export.pits.first_pits`.

    Returns:
        Table ``preference``, in thought-factor markup as in ``sft``; ``id`` has the ``trace_id`` of
        both, right first, and a colon between; a right probe has its ``rollout_id``. Ordered by
        seed, and then as chosen: pairs with a pit first, then by how many chosen before have the
        same right reply, then by the share of the wrong reply that the right one shares, then by
        id. A wrong reply is in one pair at most.

    Raises:
        ConfigError: if an option is unknown or out of range.
        PublishError: if labels are of other steps than the traces have.
    """
    if max_per_question < 1:
        raise ConfigError(f"max_per_question={max_per_question!r} must be at least 1")
    replies = collect_replies(
        traces,
        probes,
        step_labels,
        trace_labels,
        rejections,
        wrong_ends_at=wrong_ends_at,
        min_mass=min_mass,
    )
    pairs = _pairs(replies)
    texts = pairs.select(
        "seed_id",
        "question",
        *("is_whole", "shared", "chosen_id"),
        pl.format("{}:{}", "chosen_id", "trace_id").alias("id"),
        pl.col("chosen_markup").alias("right_text"),
        text_of(pairs).alias("wrong_text"),
    ).filter(~pl.col("right_text").str.starts_with(pl.col("wrong_text")))
    return Preference.validate(
        _picked(texts, max_per_question).select(
            message("user", "question").alias("prompt"),
            message("assistant", "right_text").alias("chosen"),
            message("assistant", "wrong_text").alias("rejected"),
            "id",
            "seed_id",
        )
    )


def _pairs(replies: Replies) -> pl.DataFrame:
    """Each wrong reply with the right one it shares most with; wrong ones without any are lost."""
    turn = pl.int_range(pl.len()).over(_PLACE)
    # ``right`` comes in the order of preference, which joins keep.
    partners = states(replies.right).with_columns(turn.alias("turn"))
    n_partners = partners.group_by(_PLACE).agg(pl.len().cast(pl.Int64).alias("n_partners"))
    wrong = replies.wrong.with_columns(
        pl.coalesce("n_kept", pl.col("steps").list.len().cast(pl.Int64)).alias("n_shown")
    )
    parting = (
        states(wrong)
        .join(n_partners, on=_PLACE)
        .sort("trace_id", "n_steps", descending=[False, True])
        .unique("trace_id", keep="first", maintain_order=True)
        .with_columns((turn % pl.col("n_partners")).alias("turn"))
        .join(partners.select(*_PLACE, "turn", chosen_id="trace_id"), on=[*_PLACE, "turn"])
    )
    return (
        wrong.join(parting.select("trace_id", "n_steps", "chosen_id"), on="trace_id")
        .join(
            replies.right.select("seed_id", chosen_id="trace_id", chosen_markup="markup"),
            on=["seed_id", "chosen_id"],
        )
        .with_columns(
            pl.col("n_kept").is_null().alias("is_whole"),
            (pl.col("n_steps") / pl.col("n_shown")).alias("shared"),
        )
    )


def _picked(pairs: pl.DataFrame, max_per_question: int) -> pl.DataFrame:
    position = pl.int_range(pl.len())
    best = ("is_whole", "shared", "id")
    order = [False, True, False]
    return (
        pairs.sort(best, descending=order)
        .with_columns(position.over("question", "chosen_id").alias("n_alike_before"))
        .sort("is_whole", "n_alike_before", "shared", "id", descending=[False, *order])
        .with_columns(position.over("question").alias("rank"))
        .filter(pl.col("rank") < max_per_question)
        .sort("seed_id", "rank", "id")
    )
