"""Checks of what the search drew: do rollouts end, can they be verified, are some right?

The surprising fact: too few right ones fail a shard sooner than too few wrong ones. If nothing is
right, nothing can be learnt, and mostly the gold answers or the prompt are at fault; a few easy
questions that are always solved are good for SFT at least, and happen.
"""

from dataclasses import replace
from typing import Final, Literal

import polars as pl

from datagen.checks.finding import Finding
from datagen.checks.questions import REPEATING
from datagen.checks.shares import Share, at_least, at_most

_ENOUGH: Final = 20
"""Rollouts of which at least one should be right."""


def outcome_balance(
    rollouts: pl.DataFrame, *, min_pass_rate: float, max_pass_rate: float
) -> Finding:
    """Whether some rollouts end right, and not nearly all or none.

    Args:
        rollouts: table ``rollouts``; ``seed_id``, ``verifier`` and ``outcome`` are read. Answers
            that only a rubric judges do not count.
        min_pass_rate: of the rollouts that end right or wrong. At 0 even none need be right, for
            those who want people's traces and a model's errors.
        max_pass_rate: likewise.
    """
    tried = _with_golds(rollouts)
    decided = tried.filter(pl.col("outcome").is_in(["correct", "wrong"]))
    right = pl.col("outcome") == "correct"
    found = Share.by_question(decided, right)
    n_right = decided.filter(right).height
    figures = {
        **found.figures("pass_rate"),
        "right": n_right,
        "wrong": decided.height - n_right,
        "rollouts": tried.height,
    }
    if min_pass_rate and tried.height >= _ENOUGH and not n_right:
        detail = (
            f"none of {tried.height:,} rollouts is right, and without one nothing can be learnt: "
            "see their answers and golds in table rollouts; golds, verifier or prompts are at "
            "fault, or the questions are too hard for engine.model (if that is meant: "
            "checks.min_pass_rate = 0)"
        )
        return Finding("outcomes", False, detail, figures)
    what = f"of the rollouts of {found.n:,} questions that have a verdict end right"
    low = at_least(
        "outcomes",
        found,
        min_pass_rate,
        what=what,
        setting="checks.min_pass_rate",
        fix="take easier questions or a better engine.model",
    )
    high = at_most(
        "outcomes",
        found,
        max_pass_rate,
        what=what,
        setting="checks.max_pass_rate",
        fix="step labels need wrong rollouts too: take harder questions",
    )
    worse = high if low.passed else low
    return replace(worse, figures={**figures, "min": min_pass_rate, "max": max_pass_rate})


def unverifiable(rollouts: pl.DataFrame, *, max_share: float) -> Finding:
    """Whether most answers can be verified; as :func:`outcome_balance`."""
    return _outcome_share(
        "unverifiable",
        _with_golds(rollouts),
        max_share,
        what="have an answer that cannot be verified",
        fix="see column reason of table rollouts; another verifier of the seeds, or prompts that "
        "say how to answer",
    )


def truncated(rollouts: pl.DataFrame, *, max_share: float) -> Finding:
    """Whether most rollouts come to an end: all of table ``rollouts``."""
    return _outcome_share(
        "truncated",
        rollouts,
        max_share,
        what="were cut off",
        fix="raise search.max_tokens, or see whether engine.model ends its answers at all",
    )


def repeats(traces: pl.DataFrame, rejected_traces: pl.DataFrame, *, max_share: float) -> Finding:
    """Whether most traces by a model say something that no other one of their question says.

    Args:
        traces: table ``traces``; ``trace_id``, ``seed_id`` and ``provenance`` are read.
        rejected_traces: table ``rejected_traces``; ``id`` and ``rule``.
        max_share: of the traces that a model wrote.
    """
    gone = rejected_traces.filter(pl.col("rule").is_in(REPEATING))["id"].implode()
    generated = traces.filter(pl.col("provenance") == "model")
    return at_most(
        "repeats",
        Share.by_question(generated, pl.col("trace_id").is_in(gone)),
        max_share,
        what="of the traces by a model repeat another one of their question",
        setting="checks.max_repeated_share",
        fix="the policy hardly varies: raise search.temperature or search.replica_temperatures",
    )


def _outcome_share(
    name: Literal["unverifiable", "truncated"],
    rollouts: pl.DataFrame,
    limit: float,
    *,
    what: str,
    fix: str,
) -> Finding:
    found = Share.by_question(rollouts, pl.col("outcome") == name)
    return at_most(
        name,
        found,
        limit,
        what=f"of the rollouts of {found.n:,} questions {what}",
        setting=f"checks.max_{name}_share",
        fix=fix,
    )


def _with_golds(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Without answers that nobody could compare with a gold one."""
    return rollouts.filter(pl.col("verifier") != "rubric")
