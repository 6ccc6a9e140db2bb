"""Where everything begins: what people wrote and coded, checked, and cut into prefixes."""

import dagster as dg
import polars as pl

from assets.metadata import counts, described
from assets.workspace import Workspace
from datagen.curate import curate_seeds
from datagen.curate.benchmarks import read_benchmarks
from datagen.errors import ReviewError
from datagen.review.tools.collecting import keep_seeds
from datagen.rubrics import refuse_unscorable
from datagen.seeds import read_seeds, refuse_shared_ids
from datagen.seeds.code import read_code_seeds
from datagen.traces.prefixes import make_prefixes
from schemas import CodeSeed, Quarantine, Seed

_Table = dg.Output[pl.DataFrame]


@dg.multi_asset(
    outs={
        "seeds": dg.AssetOut(description="Human ⟨question, thought, answer⟩, one a row."),
        "code_seeds": dg.AssetOut(description="Functions with the tests that they pass."),
        "quarantine": dg.AssetOut(description="Rows of the sources that were refused, and why."),
        "rejected_questions": dg.AssetOut(description="Good rows that curation left out, and why."),
        "benchmark_checks": dg.AssetOut(description="Benchmarks that questions were compared to."),
    },
    group_name="seeds",
)
def seed_tables(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
) -> tuple[_Table, _Table, _Table, _Table, _Table]:
    """Read, check and curate the seed sources."""
    seeds, refused = _read_seeds(workspace)
    authored, authored_refused = _read_authored_seeds(context, workspace)
    seeds = pl.concat([seeds, authored])
    code_seeds, code_refused = _read_code_seeds(workspace)
    refuse_shared_ids(seeds, code_seeds)
    refuse_unscorable(seeds, workspace.settings.engine.dialect)
    quarantine = pl.concat([refused, authored_refused, code_refused])
    curation = workspace.settings.curation
    kept = curate_seeds(
        seeds,
        code_seeds,
        config=curation.curate_config(),
        benchmarks=read_benchmarks(curation.benchmarks),
    )
    checks, rejected = kept.benchmark_checks, kept.rejections
    rules = counts(rejected, "rule")
    return (
        dg.Output(kept.seeds, metadata=described(kept.seeds, "seed_id", "question", "answer")),
        dg.Output(
            kept.code_seeds, metadata=described(kept.code_seeds, "seed_id", "question", "code")
        ),
        dg.Output(quarantine, metadata=described(quarantine, "row_idx", "field", "reason")),
        dg.Output(rejected, metadata=described(rejected, "id", "rule", "reason", rules=rules)),
        dg.Output(checks, metadata=described(checks, "name", "n_rows", "n_rejected")),
    )


def _read_seeds(workspace: Workspace) -> tuple[pl.DataFrame, pl.DataFrame]:
    if workspace.seeds_path is None:
        return Seed.empty(), Quarantine.empty()
    settings = workspace.settings.seeds
    batch = read_seeds(
        workspace.seeds_path,
        format=settings.format,
        mapping=settings.mapping,
        license=settings.license,
        splitting=settings.splitting,
        limit=settings.limit,
    )
    return batch.seeds, batch.quarantine


def _read_authored_seeds(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Seeds that people wrote in a review tool.

    A tool that is down costs no night of generation: those that were pulled before are there.
    """
    path = workspace.authored_path
    try:
        pulled = [tool.pull_seeds() for tool in workspace.review_tools()]
    except ReviewError as error:
        context.log.warning(f"no seeds were pulled: {error}")
        pulled = []
    for problem in (problem for found in pulled for problem in found.problems):
        context.log.warning(f"{problem.where}: {problem.reason}")
    if not keep_seeds(path, pulled):
        return Seed.empty(), Quarantine.empty()
    batch = read_seeds(str(path), format="jsonl", license=workspace.settings.review.seeds_license)
    return batch.seeds, batch.quarantine


def _read_code_seeds(workspace: Workspace) -> tuple[pl.DataFrame, pl.DataFrame]:
    if workspace.code_path is None:
        return CodeSeed.empty(), Quarantine.empty()
    settings = workspace.settings.code
    batch = read_code_seeds(
        workspace.code_path,
        format=settings.format,
        license=settings.license,
        limit=settings.limit,
        sandbox=workspace.sandbox(),
    )
    return batch.code_seeds, batch.quarantine


@dg.asset(group_name="seeds")
def prefixes(workspace: Workspace, seeds: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Human thoughts, truncated: the states that searches start from."""
    frame = make_prefixes(seeds, n_prefixes=workspace.settings.prefixes.n_prefixes)
    return dg.Output(frame, metadata=described(frame, "prefix_id", "n_steps", "n_seed_steps"))
