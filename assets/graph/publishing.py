"""The published repository: every dataset, its card, and where it all came from."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.metadata import picture, row_counts, work_table
from assets.parquet_io import last_table
from assets.shards import OR_EMPTY, RETRY, of_all
from assets.workspace import Workspace
from datagen.config import BUNDLED, EMBEDDED, Settings
from datagen.engines.registry import open_tokenizer
from datagen.factors.taxonomy import TAXONOMY_VERSION
from datagen.pictures import stage_work
from datagen.publish import (
    Lineage,
    check_repository,
    code_version,
    curation,
    longest_tokens,
    seed_sources,
    write_repository,
)
from datagen.publish.review import Review
from datagen.publish.transfer.target import parse_target, publish
from datagen.report import REPORT_TABLES, RunReport, work_of_shards
from datagen.review.decide.quality import measure_reviews

TOY_NOTE = (
    "**This is a demonstration.** The traces were written by the embedded reasoner, a language "
    "model of two million parameters that knows a small world of word problems, and one of short "
    "functions. They show the form of the data; they will not teach a real model anything."
)

BUNDLED_NOTE = (
    "**The seeds are bundled demonstration seeds.** No person wrote them: a script did, in the "
    "same small world. Where this page calls a seed *human*, read *stand-in for human* here."
)

_SHOWN = (
    *("curation", "prefixes", "search", "labels", "code", "factors", "corrections", "summaries"),
    "export",
)
"""Sections of settings that the card shows."""


_FRESH = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=26), fail_window=timedelta(hours=50)
)
"""A night may fail, two in a row may not go unnoticed."""

_ONLY_REPORTED = (
    *("quarantine", "prefixes", "nodes", "executions", "measured_traces", "critiques", "probes"),
    *("trace_labels", "reviewed_step_labels", "review_queue", "annotators"),
)
"""Tables that the report shows, and that no dataset is."""


def _published(
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
    policy_value: pl.DataFrame,
    advantages: pl.DataFrame,
    preference: pl.DataFrame,
    step_preference: pl.DataFrame,
    kto: pl.DataFrame,
    critique: pl.DataFrame,
    reviewed_corrections: pl.DataFrame,
    reviewed_tags: pl.DataFrame,
    rubric_rewards: pl.DataFrame,
    orm: pl.DataFrame,
    processbench: pl.DataFrame,
    reviewed_trace_labels: pl.DataFrame,
    questions: pl.DataFrame,
    rejected_questions: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    rejected_by_difficulty: pl.DataFrame,
    benchmark_checks: pl.DataFrame,
    reviews: pl.DataFrame,
    decisions: pl.DataFrame,
    **further: pl.DataFrame,
) -> dg.MaterializeResult[Any]:
    """All datasets as one folder laid out like a Hub repository, with its card."""
    settings = workspace.settings
    tables = {
        "sft": sft,
        "sft_plain": sft_plain,
        "prm": prm,
        "prm_verified": prm_verified,
        "orm": orm,
        "rl": rl,
        "policy_value": policy_value,
        "advantages": advantages,
        "preference": preference,
        "step_preference": step_preference,
        "kto": kto,
        "critique": critique,
        "processbench": processbench,
        "rubric_rewards": rubric_rewards,
        "traces": traces,
        "corrections": reviewed_corrections,
        "tags": reviewed_tags,
        "rollouts": raw_rollouts,
        "code_thoughts": code_thoughts,
        **further,
    }
    tokenizer = open_tokenizer(settings.engine)
    report = run_report(
        Path(workspace.out),
        settings,
        loaded={
            "seeds": seeds,
            "code_seeds": code_seeds,
            "questions": questions,
            "rollouts": rollouts,
            "traces": traces,
            "code_thoughts": code_thoughts,
            "prm": prm,
            "reviews": reviews,
            "decisions": decisions,
            "reviewed_trace_labels": reviewed_trace_labels,
            "rejected_questions": rejected_questions,
            "rejected_traces": rejected_traces,
            "rejected_by_difficulty": rejected_by_difficulty,
        },
    )
    repository = write_repository(
        workspace.published_path,
        tables,
        questions=questions,
        lineage=_lineage(settings, seeds, code_seeds, rollouts, code_thoughts),
        curation=curation(
            rejected_questions,
            rejected_traces,
            rejected_by_difficulty,
            benchmark_checks=benchmark_checks,
            trace_labels=reviewed_trace_labels,
        ),
        review=Review.of(measure_reviews(reviews, decisions, published=prm["id"])),
        license=settings.publish.license,
        repo_id=_repo_id(settings.publish.to),
        longest_tokens=longest_tokens(tables, tokenizer) if tokenizer else None,
        further=report.documents,
    )
    report.remember(repository.manifest)
    work = work_of_shards(workspace.root)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(repository.folder)),
            "rows": row_counts(repository.rows),
            "digest": repository.manifest.digest,
            "bytes": repository.n_bytes,
            "work": work_table(work),
            "work_by_stage": picture(stage_work, work),
            "card": dg.MetadataValue.md((repository.folder / "README.md").read_text("utf-8")),
        }
    )


def published_with(further: Iterable[str]) -> dg.AssetsDefinition:
    """The asset, with the names of further datasets to publish."""
    ins = dict.fromkeys(further, dg.AssetIn())
    decorator = of_all(
        name="published",
        group_name="datasets",
        deps=_ONLY_REPORTED,
        ins={**ins, "reviews": OR_EMPTY, "decisions": OR_EMPTY},
        freshness_policy=_FRESH,
    )
    return decorator(_published)


published = published_with(())


@dg.asset_check(asset=published)  # which ``uploaded`` asks for itself
def fit_to_publish(workspace: Workspace) -> dg.AssetCheckResult:
    """Whether the published folder is whole, and is what its card says."""
    wanted = workspace.settings.publish
    checks = check_repository(
        workspace.published_path,
        require_benchmarks=wanted.require_benchmarks,
        license=wanted.license,
        min_reviewed_share=wanted.min_reviewed_share,
        min_alpha=wanted.min_alpha,
    )
    failed = {check.name: check.detail for check in checks if not check.passed}
    return dg.AssetCheckResult(
        passed=not failed,
        description="; ".join(f"{name}: {detail}" for name, detail in failed.items()),
        metadata={check.name: check.detail for check in checks},
    )


@dg.asset(group_name="datasets", deps=[published], freshness_policy=_FRESH, retry_policy=RETRY)
def uploaded(workspace: Workspace) -> dg.MaterializeResult[Any]:
    """The published folder, sent to the Hub or to another folder, if the settings name one."""
    settings = workspace.settings.publish
    if settings.to is None:
        return dg.MaterializeResult(metadata={"nowhere": "publish.to is unset"})
    sent = publish(
        workspace.published_path,
        settings.to,
        private=settings.private,
        gated=False if settings.gated == "no" else settings.gated,
        license=settings.license,
        require_benchmarks=settings.require_benchmarks,
        min_reviewed_share=settings.min_reviewed_share,
        min_alpha=settings.min_alpha,
    )
    return dg.MaterializeResult(
        metadata={
            "url": sent.url,
            "commit": sent.commit,
            "tag": sent.tag,
            "changed": sent.changed,
            "load": sent.load,
            "bytes_sent": sent.plan.n_bytes,
        }
    )


def run_report(
    out: Path, settings: Settings, *, loaded: Mapping[str, pl.DataFrame] | None = None
) -> RunReport:
    """The report of a run, from its tables; those that it has not made yet count as empty.

    Args:
        out: the run's folder.
        settings: those of the run.
        loaded: tables that need not be read again.
    """
    loaded = loaded or {}
    return RunReport(
        {name: loaded[name] if name in loaded else last_table(out, name) for name in REPORT_TABLES},
        out=out,
        model=_model(settings),
        remarks=_notes(settings),
    )


def _model(settings: Settings) -> str:
    """The model's name as a reader would look for it."""
    engine = settings.engine
    if engine.is_embedded:
        return "embedded reasoner"
    return engine.kind if engine.model == EMBEDDED else engine.model


def _notes(settings: Settings) -> tuple[str, ...]:
    """What a reader must know first."""
    notes = {TOY_NOTE: settings.engine.is_embedded, BUNDLED_NOTE: settings.seeds.path == BUNDLED}
    return tuple(note for note, holds in notes.items() if holds)


def _repo_id(to: str | None) -> str | None:
    return parse_target(to).repo_id if to else None


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
        for section in _SHOWN
        for name, value in getattr(settings, section).model_dump().items()
        if value is not None
    }
    return Lineage(
        engine=", ".join(sorted(engines)) or "none",
        model=_model(settings),
        settings=shown,
        code_version=code_version(),
        sources=seed_sources(seeds, code_seeds),
        notes=_notes(settings),
        taxonomy=TAXONOMY_VERSION,
        prompts=settings.engine.dialect.fingerprint,
    )
