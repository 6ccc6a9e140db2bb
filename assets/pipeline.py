"""The assets: each a table, named like its contract.

Every body reads inputs, makes one call into the library, and describes the result.
"""

import time
from importlib.metadata import version
from typing import Any

import dagster as dg
import polars as pl

from assets.metadata import counts, described, engine_work, thought_figures
from assets.progress import report, report_stage
from assets.workspace import Workspace
from datagen.cluster import Snapshot, run_stage
from datagen.code.run import trace_seeds
from datagen.code.tasks import make_tasks
from datagen.code.traces import code_step_labels, code_traces, decided, without_code
from datagen.config import BUNDLED, EMBEDDED, Settings
from datagen.export import export_prm, export_raw_rollouts, export_rl, export_sft
from datagen.measure import pick_traces
from datagen.publish import Lineage, seed_sources, write_repository
from datagen.search.run import RunProgress
from datagen.seeds import read_seeds, refuse_shared_ids
from datagen.seeds.code import read_code_seeds
from datagen.traces.assemble import assemble_traces
from datagen.traces.prefixes import make_prefixes
from schemas import CodeSeed, CodeThought, Execution, Quarantine, Seed

_LOG_EVERY_S = 10.0

TOY_NOTE = (
    "**This is a demonstration.** The traces were written by the embedded reasoner, a language "
    "model of two million parameters that knows a small world of word problems, and one of short "
    "functions. They show the form of the data; they will not teach a real model anything."
)

BUNDLED_NOTE = (
    "**The seeds are bundled demonstration seeds.** No person wrote them: a script did, in the "
    "same small world. Where this card says *human*, read *stand-in for human* here."
)


@dg.multi_asset(
    outs={
        "seeds": dg.AssetOut(description="Human ⟨question, thought, answer⟩, one a row."),
        "code_seeds": dg.AssetOut(description="Functions with the tests that they pass."),
        "quarantine": dg.AssetOut(description="Rows of the sources that were refused, and why."),
    },
    group_name="seeds",
)
def seed_tables(
    workspace: Workspace,
) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
    """Read and check the seed sources."""
    seeds, refused = _read_seeds(workspace)
    code_seeds, code_refused = _read_code_seeds(workspace)
    refuse_shared_ids(seeds, code_seeds)
    quarantine = pl.concat([refused, code_refused])
    return (
        dg.Output(seeds, metadata=described(seeds, "seed_id", "question", "answer")),
        dg.Output(code_seeds, metadata=described(code_seeds, "seed_id", "question", "code")),
        dg.Output(quarantine, metadata=described(quarantine, "row_idx", "field", "reason")),
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


@dg.multi_asset(
    outs={
        "rollouts": dg.AssetOut(description="Completions to the end, each with its outcome."),
        "nodes": dg.AssetOut(description="States of the search trees, chosen and rejected."),
    },
    group_name="search",
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

    made, progress = run_stage(
        "search",
        {"prefixes": prefixes},
        workspace.settings,
        engine=workspace.engine,
        journal_path=workspace.journal_path,
        on_progress=moved,
    )
    rollouts, nodes = made["rollouts"], made["nodes"]
    metadata = described(
        rollouts,
        "prefix_id",
        "steps",
        "answer",
        "gold",
        "outcome",
        outcomes=counts(rollouts, "outcome"),
        pass_rate=_pass_rate(rollouts),
        sloppy_share=float(rollouts["sloppy"].mean() or 0.0),  # pyright: ignore[reportArgumentType]
        **engine_work(progress),
    )
    return (
        dg.Output(rollouts, metadata=metadata),
        dg.Output(
            nodes, metadata=described(nodes, "node_id", "factor", "text", "n_visits", "value")
        ),
    )


@dg.asset(group_name="code")
def executions(workspace: Workspace, code_seeds: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Runs of the code seeds, value by value."""
    # Without programs there is nothing to run, and no sandbox is needed.
    frame = trace_seeds(code_seeds, workspace.sandbox()) if code_seeds.height else Execution.empty()
    return dg.Output(frame, metadata=described(frame, "seed_id", "call", "returned", "run"))


@dg.asset(group_name="code")
def code_tasks(
    workspace: Workspace, code_seeds: pl.DataFrame, executions: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Questions about the programs: write one, foretell a result, find an input."""
    n = workspace.settings.code.n_predictions
    frame = make_tasks(code_seeds, executions, n_predictions=n)
    return dg.Output(
        frame,
        metadata=described(frame, "task_id", "question", "answer", kinds=counts(frame, "kind")),
    )


@dg.asset(group_name="code")
def code_thoughts(
    workspace: Workspace, code_seeds: pl.DataFrame, executions: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Hidden chains of thought that lead to the programs, each claim compared with a run."""
    if code_seeds.is_empty():
        return dg.Output(CodeThought.empty())
    made, progress = run_stage(
        "code_thoughts",
        {"code_seeds": code_seeds, "executions": executions},
        workspace.settings,
        engine=workspace.engine,
        journal_path=workspace.journal_path,
        on_progress=report_stage("code thoughts"),
    )
    frame = made["code_thoughts"]
    return dg.Output(
        frame,
        metadata=described(
            frame,
            *("thought_id", "route", "steps", "step_checks", "reasons"),
            **thought_figures(frame),
            **engine_work(progress),
        ),
    )


@dg.asset(group_name="traces")
def traces(
    seeds: pl.DataFrame,
    prefixes: pl.DataFrame,
    rollouts: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    code_tasks: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Whole traces, human and synthetic, about words and about code, right and wrong."""
    frame = pl.concat(
        [assemble_traces(seeds, prefixes, rollouts), code_traces(code_thoughts, code_tasks)]
    )
    return dg.Output(
        frame,
        metadata=described(
            frame, "trace_id", "provenance", "markup", outcomes=counts(frame, "outcome")
        ),
    )


@dg.asset(group_name="labels")
def measured_traces(
    workspace: Workspace, traces: pl.DataFrame, rollouts: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """The traces whose steps are measured: a few right and wrong ones of each prefix."""
    settings = workspace.settings.labels
    frame = pick_traces(
        traces, rollouts, n_right=settings.n_right_traces, n_wrong=settings.n_wrong_traces
    )
    return dg.Output(
        frame, metadata=described(frame, "trace_id", "markup", outcomes=counts(frame, "outcome"))
    )


@dg.asset(group_name="labels")
def critiques(workspace: Workspace, measured_traces: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """What judges say of each measured trace: arithmetic, and the model's own critiques."""
    made, progress = run_stage(
        "critiques",
        {"measured_traces": measured_traces},
        workspace.settings,
        engine=workspace.engine,
        journal_path=workspace.journal_path,
        on_progress=report_stage("critiques"),
    )
    frame = made["critiques"]
    return dg.Output(
        frame,
        metadata=described(
            frame,
            "trace_id",
            "judge",
            "first_error",
            "quote",
            "reason",
            judges=counts(frame, "judge"),
            **engine_work(progress),
        ),
    )


@dg.multi_asset(
    outs={
        "probes": dg.AssetOut(description="Rollouts drawn to find where traces go wrong."),
        "step_labels": dg.AssetOut(description="How good each step is, with the evidence for it."),
        "trace_labels": dg.AssetOut(description="Where each measured trace first goes wrong."),
    },
    group_name="labels",
)
def label_tables(
    workspace: Workspace,
    measured_traces: pl.DataFrame,
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    critiques: pl.DataFrame,
    code_thoughts: pl.DataFrame,
) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
    """Seek the first error of each measured trace, and compare with the judges.

    Thoughts about code need no seeking: their runs have said where they go wrong.
    """
    made, progress = run_stage(
        "labels",
        {
            "traces": without_code(traces),
            "measured_traces": measured_traces,
            "rollouts": rollouts,
            "critiques": critiques,
        },
        workspace.settings,
        engine=workspace.engine,
        journal_path=workspace.journal_path,
        on_progress=report_stage("labels"),
    )
    probes, labels = made["probes"], made["trace_labels"]
    steps = pl.concat([made["step_labels"], code_step_labels(code_thoughts, traces)])
    return (
        dg.Output(
            probes,
            metadata=described(
                probes,
                *("prefix_id", "n_given_steps", "outcome"),
                **engine_work(progress),
            ),
        ),
        dg.Output(
            steps,
            metadata=described(
                steps,
                *("text", "n_successes", "n_trials", "p_before_error", "value", "hard_label"),
                labels=counts(steps, "label_source"),
            ),
        ),
        dg.Output(
            labels,
            metadata=described(
                labels,
                *("trace_id", "first_error", "first_error_mass", "judge_first_error", "verified"),
                verified=float(labels["verified"].mean() or 0.0),  # pyright: ignore[reportArgumentType]
            ),
        ),
    )


@dg.asset(group_name="datasets")
def sft(workspace: Workspace, traces: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Verified right traces as chats, in thought-factor markup."""
    limit = workspace.settings.export.max_per_question
    frame = export_sft(traces, form="tagged", max_per_question=limit)
    return dg.Output(frame, metadata=described(frame, "id", "messages"))


@dg.asset(group_name="datasets")
def sft_plain(workspace: Workspace, traces: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Verified right traces as chats, with a plain ``<think>`` block."""
    limit = workspace.settings.export.max_per_question
    frame = export_sft(traces, form="plain", max_per_question=limit)
    return dg.Output(frame, metadata=described(frame, "id", "messages"))


@dg.asset(group_name="datasets")
def prm(
    workspace: Workspace,
    measured_traces: pl.DataFrame,
    traces: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    step_labels: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Measured traces and thoughts about code, right and wrong, with a label for each step."""
    cut = workspace.settings.export.after_first_error
    about_code = traces.join(
        code_thoughts, left_on="trace_id", right_on="thought_id", how="semi", maintain_order="left"
    )
    frame = export_prm(pl.concat([measured_traces, about_code]), step_labels, after_first_error=cut)
    return dg.Output(frame, metadata=described(frame, "id", "completions", "labels"))


@dg.asset(group_name="datasets")
def prm_verified(
    prm: pl.DataFrame, trace_labels: pl.DataFrame, code_thoughts: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """The part of ``prm`` whose first errors rollouts and judges agree on, or that a run shows."""
    verified = pl.concat([trace_labels.filter("verified")["trace_id"], decided(code_thoughts)])
    frame = prm.filter(pl.col("id").is_in(verified.implode()))
    return dg.Output(frame, metadata=described(frame, "id", "completions", "labels"))


@dg.asset(group_name="datasets")
def rl(
    seeds: pl.DataFrame, rollouts: pl.DataFrame, code_tasks: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Questions with verifiable answers, about code too, and their measured pass rate."""
    frame = export_rl(seeds, rollouts, code_tasks)
    return dg.Output(frame, metadata=described(frame, "prompt", "answer", "extra_info"))


@dg.asset(group_name="datasets")
def raw_rollouts(
    seeds: pl.DataFrame, rollouts: pl.DataFrame, probes: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Every completion that was drawn, with its question and outcome."""
    frame = export_raw_rollouts(seeds, rollouts, probes)
    return dg.Output(frame, metadata=described(frame, "question", "steps", "outcome"))


@dg.asset(group_name="datasets")
def published(
    workspace: Workspace,
    seeds: pl.DataFrame,
    rollouts: pl.DataFrame,
    traces: pl.DataFrame,
    sft: pl.DataFrame,
    sft_plain: pl.DataFrame,
    prm: pl.DataFrame,
    prm_verified: pl.DataFrame,
    rl: pl.DataFrame,
    raw_rollouts: pl.DataFrame,
    code_seeds: pl.DataFrame,
    code_thoughts: pl.DataFrame,
) -> dg.MaterializeResult[Any]:
    """All datasets as one folder laid out like a Hub repository, with its card."""
    repository = write_repository(
        workspace.published_path,
        {
            "sft": sft,
            "sft_plain": sft_plain,
            "prm": prm,
            "prm_verified": prm_verified,
            "rl": rl,
            "traces": traces,
            "rollouts": raw_rollouts,
            "code_thoughts": code_thoughts,
        },
        lineage=_lineage(workspace.settings, seeds, code_seeds, rollouts, code_thoughts),
    )
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(repository.folder)),
            "rows": dg.MetadataValue.json(dict(repository.rows)),
            "bytes": repository.n_bytes,
            "card": dg.MetadataValue.md((repository.folder / "README.md").read_text("utf-8")),
        }
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


def _lineage(
    settings: Settings,
    seeds: pl.DataFrame,
    code_seeds: pl.DataFrame,
    rollouts: pl.DataFrame,
    code_thoughts: pl.DataFrame,
) -> Lineage:
    engines = {*rollouts["engine"], *code_thoughts["engine"].drop_nulls()}
    shown: dict[str, Any] = {
        f"{section}.{name}": value if isinstance(value, int | float | str) else str(value)
        for section in ("prefixes", "search", "labels", "code", "export")
        for name, value in getattr(settings, section).model_dump().items()
        if value is not None
    }
    toy = settings.engine.model == EMBEDDED
    notes = {TOY_NOTE: toy, BUNDLED_NOTE: settings.seeds.path == BUNDLED}
    return Lineage(
        engine=", ".join(sorted(engines)) or "none",
        model="embedded reasoner" if toy else settings.engine.model,
        settings=shown,
        code_version=f"datagen {version('datagen')}",
        sources=seed_sources(seeds, code_seeds),
        notes=tuple(note for note, holds in notes.items() if holds),
    )
