"""How hard questions turned out to be, and which of them are worth training on."""

import polars as pl

from datagen.curate.config import CurateConfig
from datagen.curate.rows import as_rejections
from schemas import DIFFICULTIES, Rejection


def pass_rates(rollouts: pl.DataFrame) -> pl.DataFrame:
    """How often the bare question of each seed was answered right.

    Completions that go on from given steps say how hard the rest is, not the question, so they
    count as nothing, and so do those that are unverifiable or truncated. A completion that several
    searches share counts once.

    Args:
        rollouts: table ``rollouts``.

    Returns:
        ``seed_id``, ``pass_rate`` (the share of right completions) and ``n_rollouts`` (int64, at
        least 1, the completions behind it). Seeds without any are left out.
    """
    return (
        rollouts.filter(pl.col("n_given_steps") == 0, pl.col("outcome").is_in(["correct", "wrong"]))
        .unique(["seed_id", "completion_key"])
        .group_by("seed_id")
        .agg(
            (pl.col("outcome") == "correct").mean().alias("pass_rate"),
            pl.len().cast(pl.Int64).alias("n_rollouts"),
        )
    )


def difficulty_of(pass_rate: pl.Expr) -> pl.Expr:
    """The bin of each pass rate, one of :data:`schemas.DIFFICULTIES`; of ``null``, ``unknown``."""
    return (
        pl.when(pass_rate.is_null())
        .then(pl.lit("unknown"))
        .when(pass_rate <= 0)
        .then(pl.lit("unsolved"))
        .when(pass_rate < 0.3)
        .then(pl.lit("hard"))
        .when(pass_rate <= 0.7)
        .then(pl.lit("medium"))
        .when(pass_rate < 1)
        .then(pl.lit("easy"))
        .otherwise(pl.lit("solved"))
    )


def curate_questions_by_difficulty(
    questions: pl.DataFrame, *, config: CurateConfig
) -> pl.DataFrame:
    """Questions that are too easy or too hard to be rewarded.

    Where every answer is right, or none is, group-relative advantages are zero and a question
    teaches nothing (Yu et al. 2025, DAPO, arXiv 2503.14476, section 3.2).

    Args:
        questions: table ``questions``.
        config: its ``difficulties`` are kept.

    Returns:
        Table ``rejections`` of rule ``difficulty``, in the order of ``questions``; ``score`` is the
        pass rate, and ``preview`` is empty, because the table of questions has no text.
    """
    if set(config.difficulties) == set(DIFFICULTIES):
        return Rejection.empty()
    wanted = ", ".join(config.difficulties)
    rate = (
        pl.when(pl.col("pass_rate").is_null())
        .then(pl.lit("has no pass rate"))
        .otherwise(
            pl.format(
                "has a pass rate of {} in {} rollouts", pl.col("pass_rate").round(3), "n_rollouts"
            )
        )
    )
    found = questions.filter(~pl.col("difficulty").is_in(config.difficulties)).select(
        id="question_id",
        reason=pl.format("it is {}: it {}; kept are " + wanted, "difficulty", rate),
        score="pass_rate",
    )
    items = questions.select("seed_id", id="question_id", text=pl.lit(""))
    return as_rejections(found, items, rule="difficulty", kind="question")
