"""Versions of what makes each table: its code, its prompts, and the settings that it goes by.

The surprising fact: the code version is not a number that somebody has to remember to raise. It is
a digest of the packages that a stage is made of. Dagster marks as stale what was made by another
one, and the nightly schedule makes just that anew, and what depends on it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from math import inf
from pathlib import Path
from typing import Any, Final

import dagster as dg

import datagen
from assets.parquet_io import table_path
from assets.workspace import Workspace, default_settings
from datagen.config import AUTO, BUNDLED, NONE, Settings
from datagen.shards import MAIN
from datagen.shards.sources import file_revision

_MODEL: Final = "engine.model"
_PROMPTS: Final = "prompts"
"""Package of the prompts; stages of it ask a model, so that its dialect counts, too."""

MADE_BY: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "seed_tables": (
        ("seeds", "curate", "rubrics"),
        ("seeds", "curation", "code.path", "code.format", "code.license", "code.limit"),
    ),
    "executions": (("code", "verify"), ("sandbox",)),
    "code_tasks": (("code",), ("code.n_predictions",)),
    "code_thoughts": (("code", "verify", _PROMPTS), ("code", "sandbox", _MODEL)),
    "prefixes": (("traces",), ("prefixes",)),
    "search_tables": (("search", "verify", _PROMPTS), ("search", _MODEL)),
    "rubric_rewards": (("rubrics", "judge", _PROMPTS), (_MODEL,)),
    "questions": (("curate",), ("curation",)),
    "rejected_by_difficulty": (("curate",), ("curation",)),
    "traces": (("traces", "code"), ()),
    "rejected_traces": (("curate",), ("curation",)),
    "tags": (("factors", _PROMPTS), ("factors", _MODEL)),
    "measured_traces": (("measure",), ("labels.n_right_traces", "labels.n_wrong_traces")),
    "critiques": (("judge", _PROMPTS), ("labels", _MODEL)),
    "label_tables": (("measure", "labels", "search", _PROMPTS), ("labels", "search", _MODEL)),
    "corrections": (("corrections", _PROMPTS), ("corrections", _MODEL)),
    "summaries": (("summaries", _PROMPTS), ("summaries", _MODEL)),
}
"""Per asset that is made shard by shard: packages of ``datagen``, and sections of the settings or
single ones."""


SOURCES: Final = "sources"
"""Key of the state of the sources that the settings name, beside those of :data:`MADE_BY`."""

LIMITS: Final = "checks"
"""Key of the checks and their limits, which make no table stale."""


def versioned(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, those of :data:`MADE_BY` with their version, by the settings of the process."""
    settings = default_settings()

    def with_version(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        if asset.op.name not in MADE_BY:
            return asset
        version = version_of(asset.op.name, settings)
        return asset.map_asset_specs(lambda spec: spec.replace_attributes(code_version=version))

    return [with_version(asset) for asset in assets]


def shard_versions(
    out: Path, shard: str, settings: Settings, *, before: float = inf
) -> Mapping[str, str]:
    """What a shard's tables are, or would be, made by.

    Args:
        out: the output folder.
        shard: its name. Only :data:`~datagen.shards.MAIN` has sources that may change.
        settings: of the run.
        before: when the sources were read, seconds since 1970; a later state of one does not count.
    """
    versions = {op: version_of(op, settings) for op in MADE_BY}
    limits = f"{settings.checks.model_dump_json()} {settings.publish.require_benchmarks}"
    return versions | {
        LIMITS: _short(_digest("checks"), limits),
        SOURCES: _sources(out, settings, before) if shard == MAIN else "",
    }


def made_by(workspace: Workspace) -> Mapping[str, str]:
    """The versions of the shard of this run, its sources as they were when they were read."""
    seeds = table_path(workspace.folder, "seeds")
    before = seeds.stat().st_mtime if seeds.exists() else inf
    return shard_versions(workspace.root, workspace.shard, workspace.settings, before=before)


def version_of(op: str, settings: Settings) -> str:
    """The version of what makes an asset.

    Args:
        op: a key of :data:`MADE_BY`.
        settings: of the run.

    Returns:
        12 hex digits.
    """
    packages, names = MADE_BY[op]
    told = [_digest(package) for package in packages]
    told += [f"{name}={_setting(settings, name)}" for name in names]
    if _PROMPTS in packages:
        told.append(settings.engine.dialect.fingerprint)
    return _short(*told)


def _short(*told: str) -> str:
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _sources(out: Path, settings: Settings, before: float) -> str:
    """Files that the settings name, and what people authored; revisions of the Hub are pinned."""
    named = [settings.seeds.path, settings.code.path, str(out / "review" / "authored.jsonl")]
    paths = [Path(text).expanduser() for text in named if text not in (BUNDLED, NONE, AUTO)]
    found = [file_revision(path) for path in paths if path.exists()]
    return " ".join(revision for revision, changed in found if changed < before)


@cache
def _digest(package: str) -> str:
    folder = Path(datagen.__file__).parent / package
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _setting(settings: Settings, name: str) -> Any:
    section, _, single = name.partition(".")
    found = getattr(settings, section)
    return getattr(found, single) if single else found.model_dump_json()
