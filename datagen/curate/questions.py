"""The table of all questions: where each is published, and how hard it turned out to be."""

import polars as pl

from datagen.curate.config import CurateConfig
from datagen.curate.difficulty import difficulty_of, pass_rates
from datagen.curate.language import language_of
from datagen.curate.splits import split_of
from datagen.curate.words import words
from schemas import Question


def describe_questions(
    seeds: pl.DataFrame,
    code_seeds: pl.DataFrame,
    code_tasks: pl.DataFrame,
    rollouts: pl.DataFrame,
    *,
    config: CurateConfig,
) -> pl.DataFrame:
    """Describe every question that rows of the datasets are about.

    A code seed is a question too, and so is each task about it: the datasets name either. All of
    them are in the split of the seed's own question, so that no program is trained on and tested.

    Args:
        seeds: table ``seeds``, as curated.
        code_seeds: table ``code_seeds``, as curated.
        code_tasks: table ``code_tasks`` of these code seeds.
        rollouts: table ``rollouts``; those of other seeds are ignored.
        config: its ``test_share`` counts.

    Returns:
        Table ``questions``: seeds, code seeds, then tasks, each in the order of its table.
    """
    about_code = pl.lit("code").alias("domain")
    asked = pl.concat(
        [
            seeds.select("seed_id", "domain", "question", question_id="seed_id"),
            code_seeds.select("seed_id", about_code, "question", question_id="seed_id"),
        ]
    ).with_columns(split_of(pl.col("question"), test_share=config.test_share).alias("split"))
    tasks = code_tasks.select("seed_id", about_code, "question", question_id="task_id").join(
        asked.select("seed_id", "split"), on="seed_id", maintain_order="left"
    )
    rates = pass_rates(rollouts).rename({"seed_id": "question_id"})
    return Question.validate(
        pl.concat([asked, tasks])
        .join(rates, on="question_id", how="left", maintain_order="left")
        .select(
            "question_id",
            "seed_id",
            "domain",
            "split",
            words(pl.col("question")).list.len().cast(pl.Int64).alias("n_words"),
            language_of(pl.col("question")).alias("language"),
            "pass_rate",
            pl.col("n_rollouts").fill_null(0),
            difficulty_of(pl.col("pass_rate")).alias("difficulty"),
        )
    )
