r"""Makes questions with checkable answers for reinforcement learning: seeds, and tasks about code.

The surprising fact: the gold answer is written three times, because no two trainers read the same
place: ``solution`` as ``$…$`` (TRL's rewards hand it to math-verify, which finds nothing in a bare
``(1,2)``), ``reward_model.ground_truth`` bare (verl) and ``answer`` bare (OpenRLHF, and people).
About code, the ground truth is what the verifier runs (unit tests, as JSON), and the other two are
one right answer; ``extra_info.verifier`` says which function of :mod:`datagen.verify` rewards it.
"""

import re
from typing import Final

import polars as pl

from datagen.verify import gold_is_parseable
from datagen.verify.notation import undress
from datagen.verify.text import read_choice
from schemas import CodeTask, Rl

_GOLD: Final = ("answer", "verifier")
_DOLLAR: Final = re.compile(r"(?<!\\)\$")
_TEX: Final = re.compile(r"[\\{}]")


def export_rl(
    seeds: pl.DataFrame, rollouts: pl.DataFrame, code_tasks: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Write one row for each seed whose gold answer can be verified, and each task about code.

    ``pass_rate`` is of completions of the bare question alone: those that go on from given steps
    say how hard the rest is, not the question. A completion that several searches share counts
    once. Completions that are unverifiable or truncated count as nothing, never as wrong.

    Args:
        seeds: table ``seeds``. A seed with a gold that no answer could be judged against is left
            out: it would reward nothing, or anything.
        rollouts: table ``rollouts``. Rollouts of other seeds are ignored.
        code_tasks: table ``code_tasks``, if there is any.

    Returns:
        Table ``rl``, ordered by seed or task; ``extra_info.index`` counts the rows from 0.
        ``pass_rate`` is null where ``n_rollouts``, the completions behind it, is 0.
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
    return Rl.validate(
        pl.concat([about_words, about_code])
        .join(pass_rates(rollouts), on="seed_id", how="left")
        .sort("seed_id")
        .select(
            pl.concat_list(
                pl.struct(pl.lit("user").alias("role"), pl.col("question").alias("content"))
            ).alias("prompt"),
            "solution",
            "answer",
            _data_source().alias("data_source"),
            pl.col("domain").alias("ability"),
            pl.struct(pl.lit("rule").alias("style"), pl.col("gold").alias("ground_truth")).alias(
                "reward_model"
            ),
            pl.struct(
                pl.int_range(pl.len(), dtype=pl.Int64).alias("index"),
                pl.lit("train").alias("split"),
                "seed_id",
                "verifier",
                "pass_rate",
                pl.col("n_rollouts").fill_null(0),
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


def pass_rates(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Per ``seed_id``: share of right completions of the bare question, and ``n_rollouts``."""
    return (
        rollouts.filter(pl.col("n_given_steps") == 0, pl.col("outcome").is_in(["correct", "wrong"]))
        .unique(["seed_id", "completion_key"])
        .group_by("seed_id")
        .agg(
            (pl.col("outcome") == "correct").mean().alias("pass_rate"),
            pl.len().cast(pl.Int64).alias("n_rollouts"),
        )
    )


def _data_source() -> pl.Expr:
    slug = (
        pl.col("source")
        .str.to_lowercase()
        .str.replace_all(r"[^\p{L}\p{N}._]+", "-")
        .str.strip_chars("-")
    )
    return "datagen/" + pl.when(slug == "").then(pl.lit("unknown")).otherwise(slug)
