"""Makes pairs of steps out of search trees: what was proposed in one state, better against worse.

The surprising fact: the losers of a search are its most valuable data. A replica's proposal that
was not taken shares state, thought factor and often most words with the one that was, so the pair
says exactly what made the difference.

Step-wise DPO (Lai et al. 2024, arXiv 2406.18629) reads prompt, chosen and rejected as they stand,
as one text without a chat template. A step ends with its closing tag, where a policy of this markup
is stopped; a trainer that puts an end of text behind both should not.
"""

from typing import Final

import polars as pl

from datagen.errors import ConfigError
from datagen.export.markup import state_markup, step_markup
from datagen.traces.markup import THINK_END
from datagen.traces.paths import node_paths
from datagen.verify import Outcome
from schemas import StepPreference

_DECIDED: Final = (Outcome.CORRECT.value, Outcome.WRONG.value)
_TEXTS: Final = ("prompt", "chosen", "rejected")


def export_step_preference(
    nodes: pl.DataFrame,
    prefixes: pl.DataFrame,
    *,
    min_delta: float = 0.25,
    min_visits: int = 2,
) -> pl.DataFrame:
    """Pair the steps that a search tried in one state.

    ``replica`` pairs are the proposal that was taken against each that was not, under one factor,
    be they written by replicas or in rollouts. Their worth is the ``evaluation``, made when both
    were new; a pair is dropped if the search has since found the better one to be worth no more
    than the other was. ``factor`` pairs are the child of highest and of lowest ``value``, the mean
    that was backed up. Steps that were never finished, and answers that could not be verified, are
    in no pair. A last step runs on through the visible answer.

    Args:
        nodes: table ``nodes``.
        prefixes: table ``prefixes``. Nodes of searches from other prefixes are left out.
        min_delta: least difference in worth, in [0, 1]; equal ones are never a pair.
        min_visits: fewest visits of both children of a ``factor`` pair.

    Returns:
        Table ``step_preference``, ordered by seed, prefix, state and id; ``id`` has the ``node_id``
        of both, better first. Where searches contradict each other about two steps, neither pair is
        there; where they agree, the pair with most evidence for its weaker side.

    Raises:
        ConfigError: if an option is out of range.
    """
    if not 0 <= min_delta <= 1:
        raise ConfigError(f"min_delta={min_delta!r} must be between 0 and 1")
    if min_visits < 1:
        raise ConfigError(f"min_visits={min_visits!r} must be at least 1")
    steps = nodes.join(prefixes, on="prefix_id", how="semi").filter(
        pl.col("parent_id").is_not_null(),
        pl.col("outcome").is_null() | pl.col("outcome").is_in(_DECIDED),
    )
    pairs = pl.concat([_replica_pairs(steps), _factor_pairs(steps, min_visits)]).filter(
        pl.col("delta_q") > 0, pl.col("delta_q") >= min_delta
    )
    states = node_paths(nodes, prefixes).join(
        pairs, left_on="node_id", right_on="parent_id", how="semi"
    )
    prompts = states.select(
        pl.col("node_id").alias("parent_id"), state_markup(states).alias("prompt")
    )
    rows = (
        pairs.join(prompts, on="parent_id", how="left")
        .with_columns(
            pl.format("{}:{}", "chosen_id", "rejected_id").alias("id"),
            _segment("chosen"),
            _segment("rejected"),
        )
        .filter(pl.col("chosen") != pl.col("rejected"))
        .sort(pl.min_horizontal("n_chosen", "n_rejected"), "id", descending=[True, False])
        .unique(_TEXTS, keep="first", maintain_order=True)
    )
    turned = rows.select("prompt", chosen="rejected", rejected="chosen")
    return StepPreference.validate(
        rows.join(turned, on=_TEXTS, how="anti")
        .sort("seed_id", "prefix_id", "parent_id", "id")
        .select(StepPreference.column_names())
    )


def _replica_pairs(steps: pl.DataFrame) -> pl.DataFrame:
    # The verdict on a trace that ended here is evidence, as a rollout is.
    n = pl.col("n_rollouts") + pl.col("outcome").is_not_null().cast(pl.Int64)
    proposals = steps.with_columns(n.alias("n"))
    taken = proposals.filter("chosen")
    lost = proposals.filter(~pl.col("chosen"))
    pairs = taken.join(lost, on=["parent_id", "factor"], suffix="_lost").filter(
        pl.col("value").fill_null(1.0) > pl.col("evaluation_lost")
    )
    return pairs.select(
        *("seed_id", "prefix_id", "parent_id"),
        pl.lit("replica").alias("kind"),
        (pl.col("evaluation") - pl.col("evaluation_lost")).alias("delta_q"),
        *_side("chosen", "", "n", "factor"),
        *_side("rejected", "_lost", "n_lost", "factor"),
    )


def _factor_pairs(steps: pl.DataFrame, min_visits: int) -> pl.DataFrame:
    visited = steps.filter(
        "chosen", pl.col("n_visits") >= min_visits, pl.col("value").is_not_null()
    )
    state = ("seed_id", "prefix_id", "parent_id")
    worst = visited.sort("value", "n_visits", "node_id", descending=[False, True, False])
    best = visited.sort("value", "n_visits", "node_id", descending=[True, True, False])
    return (
        best.unique(state, keep="first", maintain_order=True)
        .join(worst.unique(state, keep="first", maintain_order=True), on=state, suffix="_worst")
        .filter(pl.col("factor") != pl.col("factor_worst"))
        .select(
            *state,
            pl.lit("factor").alias("kind"),
            (pl.col("value") - pl.col("value_worst")).alias("delta_q"),
            *_side("chosen", "", "n_visits", "factor"),
            *_side("rejected", "_worst", "n_visits_worst", "factor_worst"),
        )
    )


def _side(side: str, suffix: str, n: str, factor: str) -> list[pl.Expr]:
    return [
        pl.col(f"node_id{suffix}").alias(f"{side}_id"),
        pl.col(f"text{suffix}").alias(f"{side}_text"),
        pl.col(f"answer{suffix}").alias(f"{side}_answer"),
        pl.col(factor).alias(f"{side}_factor"),
        pl.col(n).alias(f"n_{side}"),
    ]


def _segment(side: str) -> pl.Expr:
    """The step in its tags; a last one runs on through the answer."""
    answer = pl.lit(THINK_END) + pl.col(f"{side}_answer")
    step = step_markup(f"{side}_text", f"{side}_factor")
    return pl.concat_str(step, answer.fill_null("")).alias(side)
