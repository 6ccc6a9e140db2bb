"""Rollouts and trees from every prefix, and the rewards of answers that only a rubric can judge."""

import time

import dagster as dg
import polars as pl

from assets.metadata import counts, described, engine_work, picture, sample
from assets.progress import report
from assets.shards import BY_ENGINE, by_engine
from assets.stages import engine_stage
from assets.workspace import Workspace
from datagen.cluster import Snapshot
from datagen.pictures import outcomes_by_start, tree_shape
from datagen.search.run import RunProgress
from datagen.show.samples import rollout_samples, tree_sample
from schemas import RubricReward

_LOG_EVERY_S = 10.0


@dg.multi_asset(
    outs={
        "rollouts": dg.AssetOut(description="Completions to the end, each with its outcome."),
        "nodes": dg.AssetOut(description="States of the search trees, chosen and rejected."),
    },
    group_name="search",
    **BY_ENGINE,
)
def search_tables(
    context: dg.AssetExecutionContext, workspace: Workspace, prefixes: pl.DataFrame
) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
    """Search from every prefix and verify what comes out."""
    logged_at = time.monotonic()

    def moved(progress: Snapshot) -> None:
        nonlocal logged_at
        assert isinstance(progress, RunProgress)
        report(progress)
        if time.monotonic() - logged_at > _LOG_EVERY_S:
            logged_at = time.monotonic()
            context.log.info(_progress_line(progress))

    made, progress = engine_stage(
        workspace,
        "search",
        {"prefixes": prefixes},
        on_progress=moved,
    )
    rollouts, nodes = made["rollouts"], made["nodes"]
    metadata = described(
        rollouts,
        sample=sample(rollout_samples, rollouts, prefixes),
        outcomes_by_start=picture(outcomes_by_start, rollouts),
        outcomes=counts(rollouts, "outcome"),
        pass_rate=_pass_rate(rollouts),
        sloppy_share=float(rollouts["sloppy"].mean() or 0.0),  # pyright: ignore[reportArgumentType]
        **engine_work(progress),
    )
    return (
        dg.Output(rollouts, metadata=metadata),
        dg.Output(
            nodes,
            metadata=described(
                nodes,
                sample=sample(tree_sample, nodes, rollouts, prefixes),
                tree_shape=picture(tree_shape, nodes),
            ),
        ),
    )


@by_engine(group_name="search")
def rubric_rewards(
    workspace: Workspace, seeds: pl.DataFrame, rollouts: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """How well answers that cannot be verified meet the written criteria of their questions."""
    if seeds.filter(verifier="rubric").is_empty():
        return dg.Output(RubricReward.empty())
    made, progress = engine_stage(
        workspace,
        "rubric_rewards",
        {"seeds": seeds, "rollouts": rollouts},
    )
    frame = made["rubric_rewards"]
    return dg.Output(
        frame,
        metadata=described(frame, "rollout_id", "scores", "reward", **engine_work(progress)),
    )


def _pass_rate(rollouts: pl.DataFrame) -> float:
    """Share of correct among the rollouts that could be verified; 0 if none could."""
    decided = rollouts.filter(pl.col("outcome").is_in(["correct", "wrong"]))
    return float((decided["outcome"] == "correct").mean() or 0.0)  # pyright: ignore[reportArgumentType]


def _progress_line(progress: RunProgress) -> str:
    engine = progress.engine
    return (
        f"{engine.n_finished}/{engine.n_searches} searches, {progress.n_rollouts:,} rollouts, "
        f"{engine.n_tokens:,} tokens in {engine.seconds:.0f} s"
    )
