r"""Makes questions with checkable answers for reinforcement learning: seeds, and tasks about code.

The surprising fact: the gold answer is written three times, because no two trainers read the same
place: ``solution`` as ``$…$`` (TRL's rewards hand it to math-verify, which finds nothing in a bare
``(1,2)``), ``reward_model.ground_truth`` bare (verl) and ``answer`` bare (OpenRLHF, and people).
About code, the ground truth is what the verifier runs (unit tests, as JSON), and the other two are
one right answer; ``extra_info.verifier`` says which function of :mod:`datagen.verify` rewards it.
"""

import re
from collections.abc import Collection
from typing import Final

import polars as pl

from datagen.errors import PublishError
from datagen.verify import gold_is_parseable
from datagen.verify.notation import undress
from datagen.verify.text import read_choice
from schemas import DIFFICULTIES, CodeTask, Difficulty, Rl

_GOLD: Final = ("answer", "verifier")
_DOLLAR: Final = re.compile(r"(?<!\\)\$")
_TEX: Final = re.compile(r"[\\{}]")


def export_rl(
    seeds: pl.DataFrame,
    questions: pl.DataFrame,
    code_tasks: pl.DataFrame | None = None,
    *,
    difficulties: Collection[Difficulty] = DIFFICULTIES,
) -> pl.DataFrame:
    """Write one row for each seed whose gold answer can be verified, and each task about code.

    Args:
        seeds: table ``seeds``. A seed with a gold that no answer could be judged against is left
            out: it would reward nothing, or anything.
        questions: table ``questions``, for splits and pass rates. Others than these are ignored.
        code_tasks: table ``code_tasks``, if there is any.
        difficulties: questions of any other are left out.

    Returns:
        Table ``rl``, ordered by seed or task; ``extra_info.index`` counts the rows of each split
        from 0. ``pass_rate`` is null where ``n_rollouts``, the completions behind it, is 0.

    Raises:
        PublishError: if a row's question is not in ``questions``.
    """
    about_words = seeds.join(_solutions(seeds), on=_GOLD).select(
        *("seed_id", "source", "domain", "question", "solution", "answer", "verifier"),
        gold="answer",
    )
    tasks = CodeTask.empty() if code_tasks is None else code_tasks
    about_code = tasks.select(
        *(pl.col("task_id").alias("seed_id"), "source", pl.lit("code").alias("domain")),
        *("question", pl.col("answer").alias("solution"), "answer", "verifier", "gold"),
    )
    known = ("split", "pass_rate", "n_rollouts", "difficulty")
    rows = (
        pl.concat([about_words, about_code])
        .join(
            questions.select(pl.col("question_id").alias("seed_id"), *known),
            on="seed_id",
            how="left",
        )
        .sort("seed_id")
    )
    _refuse_unknown(rows)
    return Rl.validate(
        rows.filter(pl.col("difficulty").is_in(difficulties)).select(
            pl.concat_list(
                pl.struct(pl.lit("user").alias("role"), pl.col("question").alias("content"))
            ).alias("prompt"),
            "solution",
            "answer",
            _data_source().alias("data_source"),
            pl.col("domain").alias("ability"),
            pl.struct(
                pl.lit("rule").alias("style"), pl.col("gold").alias("ground_truth"), "verifier"
            ).alias("reward_model"),
            pl.struct(
                pl.int_range(pl.len(), dtype=pl.Int64).over("split").alias("index"),
                *("split", "seed_id", "verifier", "pass_rate", "n_rollouts", "difficulty"),
            ).alias("extra_info"),
        )
    )


def _solutions(seeds: pl.DataFrame) -> pl.DataFrame:
    """The ``solution`` of each verifiable gold; a loop, but only over golds that differ."""
    golds = seeds.select(_GOLD).unique().sort(_GOLD)
    kept = [
        (gold, verifier, _solution(gold, verifier))
        for gold, verifier in golds.iter_rows()
        if gold_is_parseable(gold, verifier=verifier)
    ]
    columns = (*_GOLD, "solution")
    return pl.DataFrame(kept, schema=dict.fromkeys(columns, pl.String), orient="row")


def _solution(gold: str, verifier: str) -> str:
    r"""The gold as math-verify reads it: a formula, or words set as words.

    Without ``\text`` it reads ``even`` as a product of four letters.
    """
    bare = undress(read_choice(gold) or gold if verifier == "choice" else gold)
    # A dollar inside would end the formula: "$5", or "$3$ or $4$".
    bare = _DOLLAR.sub("", bare)
    is_formula = verifier in ("math", "numeric") or _TEX.search(bare)
    return f"${bare}$" if is_formula else rf"$\text{{{bare}}}$"


def _refuse_unknown(rows: pl.DataFrame) -> None:
    lost = rows.filter(pl.col("split").is_null())["seed_id"]
    if len(lost):
        raise PublishError(
            f"{len(lost)} of {rows.height} seeds and tasks are not in the table questions, first: "
            f"{lost[0]!r}; make questions anew from these seeds and tasks"
        )


def _data_source() -> pl.Expr:
    slug = (
        pl.col("source")
        .str.to_lowercase()
        .str.replace_all(r"[^\p{L}\p{N}._]+", "-")
        .str.strip_chars("-")
    )
    return "datagen/" + pl.when(slug == "").then(pl.lit("unknown")).otherwise(slug)
