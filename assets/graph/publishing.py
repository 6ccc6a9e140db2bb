"""The published repository: every dataset, its card, and where it all came from."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.parquet_io import earlier_table
from assets.workspace import Workspace
from datagen.config import BUNDLED, EMBEDDED, Settings
from datagen.engines.registry import open_tokenizer
from datagen.factors.taxonomy import TAXONOMY_VERSION
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
from datagen.report import REPORT_TABLES, RunReport
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


_ONLY_REPORTED = (
    *("quarantine", "prefixes", "nodes", "executions", "measured_traces", "critiques", "probes"),
    *("trace_labels", "reviewed_step_labels", "review_queue", "annotators"),
)
"""Tables that the report shows, and that no dataset is."""


@dg.asset(group_name="datasets", deps=_ONLY_REPORTED)
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
    }
    tokenizer = open_tokenizer(settings.engine)
    lineage = _lineage(settings, seeds, code_seeds, rollouts, code_thoughts)
    report = RunReport(
        {name: earlier_table(workspace.out, name) for name in REPORT_TABLES},
        out=Path(workspace.out),
        model=lineage.model,
        remarks=lineage.notes,
    )
    repository = write_repository(
        workspace.published_path,
        tables,
        questions=questions,
        lineage=lineage,
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
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(repository.folder)),
            "rows": dg.MetadataValue.json(dict(repository.rows)),
            "digest": repository.manifest.digest,
            "bytes": repository.n_bytes,
            "card": dg.MetadataValue.md((repository.folder / "README.md").read_text("utf-8")),
        }
    )


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


@dg.asset(group_name="datasets", deps=[published])
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
    toy = settings.engine.model == EMBEDDED
    notes = {TOY_NOTE: toy, BUNDLED_NOTE: settings.seeds.path == BUNDLED}
    return Lineage(
        engine=", ".join(sorted(engines)) or "none",
        model="embedded reasoner" if toy else settings.engine.model,
        settings=shown,
        code_version=code_version(),
        sources=seed_sources(seeds, code_seeds),
        notes=tuple(note for note, holds in notes.items() if holds),
        taxonomy=TAXONOMY_VERSION,
        prompts=settings.engine.dialect.fingerprint,
    )
