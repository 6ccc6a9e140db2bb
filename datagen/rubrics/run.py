"""Score answers to open questions by their seeds' rubrics: one yes-or-no question per criterion.

Rubric rewards follow Gunjal et al. 2025 (arXiv 2507.17746): criteria are judged one by one and
their weighted mean is the reward. Here a judge does not say its verdict; its probability of *yes*
against *no* is read, which needs one token and is finer than a word.

The judge is the engine of the run, which is usually the policy itself. A policy tends to like its
own answers, so compare such rewards within one question only, and judge with another model if you
can: run this step with other engine settings. Rewards are opinions either way. They have their own
table and never enter ``rl``, ``sft`` or any label.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from datagen.engines.protocol import Answer, Choice, Engine, Request
from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.dialect import Dialect
from datagen.search.budget import Budget, Progress
from datagen.search.scheduler import Scheduler
from schemas import RubricReward


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of it.

    Attributes:
        rubric_rewards: table ``rubric_rewards``.
        n_untold: rollouts left out because the engine told no probability for a criterion.
        progress: of the run.
    """

    rubric_rewards: pl.DataFrame
    n_untold: int
    progress: Progress


def refuse_unscorable(seeds: pl.DataFrame, dialect: Dialect) -> None:
    """Raise if seeds carry rubrics and the model cannot judge by them.

    To be called before a search is paid for whose answers nobody could score.

    Args:
        seeds: table ``seeds``.
        dialect: how the model is asked.

    Raises:
        ConfigError: if so; names the first such seed.
    """
    open_seeds = seeds.filter(pl.col("criteria").is_not_null())["seed_id"]
    if open_seeds.len() and not dialect.follows_instructions:
        raise ConfigError(
            f'verifier="rubric" of seed {open_seeds[0]!r} ({open_seeds.len()} such seeds in all) '
            'needs a model that follows instructions; set engine.prompts to "instruct" and '
            "engine.model to such a model, or leave these seeds out"
        )


def score_rubrics(
    seeds: pl.DataFrame,
    rollouts: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    dialect: Dialect,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Scored:
    """Score each finished rollout of a seed that carries a rubric.

    What is scored is the answer alone, not the thought: column ``answer``, or where there is none
    the last step, if that is an answer. Rollouts without an answer, or that were cut off, are left
    out: there is nothing to score.

    Args:
        seeds: table ``seeds``.
        rollouts: table ``rollouts``. Rollouts of other seeds are ignored.
        engine: the judge.
        journal: answers already known, and where new ones go.
        dialect: how the judge is asked.
        budget: when to stop asking; choices cost no generated tokens.
        on_progress: called after each batch of the engine.

    Returns:
        Table ``rubric_rewards``, in the order of the rollouts. Equal answers to one question are
        judged once and have equal rewards. What a spent budget cuts short is missing.

    Raises:
        ConfigError: if there is something to score and the model does not follow instructions.
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    rows = {row["rollout_id"]: row for row in _finished(seeds, rollouts).iter_rows(named=True)}
    scheduler = Scheduler[list[float | None]](
        engine, journal, budget=budget, on_progress=on_progress
    )
    searches = ((rollout_id, _search(row, dialect)) for rollout_id, row in rows.items())
    found = scheduler.run(searches, n_searches=len(rows))
    told = {
        rollout_id: [score for score in found[rollout_id] if score is not None]
        for rollout_id in rows
        if rollout_id in found and None not in found[rollout_id]
    }
    table = [_row(rows[rollout_id], scores, engine) for rollout_id, scores in told.items()]
    return Scored(RubricReward.from_rows(table), len(found) - len(told), scheduler.progress)


def _finished(seeds: pl.DataFrame, rollouts: pl.DataFrame) -> pl.DataFrame:
    """What is scored: a row of ``rubric_rewards`` without its scores."""
    rubrics = seeds.filter(pl.col("criteria").is_not_null()).select(
        "seed_id", "criteria", prompt="question"
    )
    ends = pl.col("factors").list.last() == Factor.ANSWER.value
    last_step = pl.when(ends & (pl.col("tail") == "")).then(pl.col("steps").list.last())
    return (
        rollouts.filter(pl.col("outcome") != "truncated")
        .join(rubrics, on="seed_id", maintain_order="left")
        .with_columns(completion=pl.coalesce("answer", last_step).str.strip_chars())
        .filter(pl.col("completion").fill_null("") != "")
        .select("rollout_id", "seed_id", "prompt", "completion", "criteria")
    )


def _search(
    row: Mapping[str, Any], dialect: Dialect
) -> Generator[Sequence[Request], Sequence[Answer], list[float | None]]:
    answers = yield [
        dialect.criterion_request(row["prompt"], row["completion"], item["criterion"])
        for item in row["criteria"]
    ]
    return [dialect.read_criterion(cast(Choice, answer)) for answer in answers]


def _row(row: Mapping[str, Any], scores: Sequence[float], engine: Engine) -> dict[str, Any]:
    weights = [item["weight"] for item in row["criteria"]]
    total = sum(weight * score for weight, score in zip(weights, scores, strict=True))
    return {
        **row,
        "scores": list(scores),
        "reward": total / sum(weights),
        "engine": engine.fingerprint,
    }
