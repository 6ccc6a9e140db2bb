"""Where everything begins: what people wrote and coded, checked, and cut into prefixes."""

import dagster as dg
import polars as pl

from assets.metadata import counts, described
from assets.refusals import noting_unusable
from assets.shards import BY_SHARD, SEEDS_POOL, by_shard
from assets.workspace import Workspace
from datagen.curate import curate_seeds
from datagen.curate.benchmarks import read_benchmarks
from datagen.errors import ReviewError
from datagen.review.tools.collecting import keep_seeds
from datagen.rubrics import refuse_unscorable
from datagen.seeds import SeedBatch, read_seeds, refuse_shared_ids
from datagen.seeds.code import CodeSeedBatch, read_code_seeds
from datagen.shards import MAIN
from datagen.shards.intake import shard_source
from datagen.shards.taken import Taken, taken_by_others
from datagen.traces.prefixes import make_prefixes
from schemas import CodeSeed, Quarantine, Seed

_Table = dg.Output[pl.DataFrame]
_Tables = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]
"""Seeds, code seeds, and what was refused."""


@dg.multi_asset(
    outs={
        "seeds": dg.AssetOut(description="Human ⟨question, thought, answer⟩, one a row."),
        "code_seeds": dg.AssetOut(description="Functions with the tests that they pass."),
        "quarantine": dg.AssetOut(description="Rows of the sources that were refused, and why."),
        "rejected_questions": dg.AssetOut(description="Good rows that curation left out, and why."),
        "benchmark_checks": dg.AssetOut(description="Benchmarks that questions were compared to."),
    },
    group_name="seeds",
    pool=SEEDS_POOL,
    **BY_SHARD,
)
def seed_tables(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
) -> tuple[_Table, _Table, _Table, _Table, _Table]:
    """Read, check and curate the sources of a shard."""
    taken = taken_by_others(workspace.root, workspace.shard)
    if workspace.shard == MAIN:
        seeds, code_seeds, quarantine = _read_sources(context, workspace, taken)
    else:
        with noting_unusable(workspace):
            seeds, code_seeds, quarantine = _read_shard(workspace, taken)
    refuse_shared_ids(seeds, code_seeds)
    refuse_unscorable(seeds, workspace.settings.engine.dialect)
    curation = workspace.settings.curation
    kept = curate_seeds(
        seeds,
        code_seeds,
        config=curation.curate_config(),
        benchmarks=read_benchmarks(curation.benchmarks),
        taken=(taken.seeds, taken.code_seeds),
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


def _read_sources(context: dg.AssetExecutionContext, workspace: Workspace, taken: Taken) -> _Tables:
    """The sources that the settings name, and what people authored."""
    settings = workspace.settings
    seeds, refused = Seed.empty(), [Quarantine.empty()]
    if workspace.seeds_path is not None:
        batch = _seeds_at(workspace, workspace.seeds_path, limit=settings.seeds.limit, taken=taken)
        seeds = batch.seeds
        refused.append(batch.quarantine)
    if authored := _authored_seeds(context, workspace, taken):
        seeds = pl.concat([seeds, authored.seeds])
        refused.append(authored.quarantine)
    code_seeds = CodeSeed.empty()
    if workspace.code_path is not None:
        batch = _code_at(workspace, workspace.code_path, limit=settings.code.limit, taken=taken)
        code_seeds = batch.code_seeds
        refused.append(batch.quarantine)
    return seeds, code_seeds, pl.concat(refused)


def _read_shard(workspace: Workspace, taken: Taken) -> _Tables:
    """What was taken in as this shard; its rows are counted as in the source."""
    path, shard = shard_source(workspace.folder)
    name = shard["source"]
    if shard["kind"] == "code":
        code = _code_at(workspace, str(path), source=name, taken=taken)
        seeds, code_seeds, refused = Seed.empty(), code.code_seeds, code.quarantine
    else:
        batch = _seeds_at(workspace, str(path), source=name, taken=taken)
        seeds, code_seeds, refused = batch.seeds, CodeSeed.empty(), batch.quarantine
    return seeds, code_seeds, refused.with_columns(pl.col("row_idx") + shard["first_row"])


def _seeds_at(
    workspace: Workspace,
    path: str,
    *,
    taken: Taken,
    source: str | None = None,
    limit: int | None = None,
) -> SeedBatch:
    settings = workspace.settings.seeds
    return read_seeds(
        path,
        # What was taken in is a file of lines, whatever it was read from.
        format="auto" if source and settings.format in ("hf", "parquet") else settings.format,
        mapping=settings.mapping,
        source=source,
        license=settings.license,
        splitting=settings.splitting,
        limit=limit,
        taken=taken.shards,
    )


def _code_at(
    workspace: Workspace,
    path: str,
    *,
    taken: Taken,
    source: str | None = None,
    limit: int | None = None,
) -> CodeSeedBatch:
    settings = workspace.settings.code
    return read_code_seeds(
        path,
        # A folder of modules and a file of lines may both have been taken in.
        format="auto" if source and settings.format == "functions" else settings.format,
        source=source,
        license=settings.license,
        limit=limit,
        sandbox=workspace.sandbox(),
        taken=taken.shards,
    )


def _authored_seeds(
    context: dg.AssetExecutionContext, workspace: Workspace, taken: Taken
) -> SeedBatch | None:
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
        return None
    return read_seeds(
        str(path),
        format="jsonl",
        license=workspace.settings.review.seeds_license,
        taken=taken.shards,
    )


@by_shard(group_name="seeds")
def prefixes(workspace: Workspace, seeds: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Human thoughts, truncated: the states that searches start from."""
    frame = make_prefixes(seeds, n_prefixes=workspace.settings.prefixes.n_prefixes)
    return dg.Output(frame, metadata=described(frame, "prefix_id", "n_steps", "n_seed_steps"))
