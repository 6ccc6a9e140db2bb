"""The published repository: every dataset, its card, and where it all came from."""

from importlib.metadata import version
from typing import Any

import dagster as dg
import polars as pl

from assets.workspace import Workspace
from datagen.config import BUNDLED, EMBEDDED, Settings
from datagen.factors.taxonomy import TAXONOMY_VERSION
from datagen.publish import Lineage, seed_sources, write_repository

TOY_NOTE = (
    "**This is a demonstration.** The traces were written by the embedded reasoner, a language "
    "model of two million parameters that knows a small world of word problems, and one of short "
    "functions. They show the form of the data; they will not teach a real model anything."
)

BUNDLED_NOTE = (
    "**The seeds are bundled demonstration seeds.** No person wrote them: a script did, in the "
    "same small world. Where this card says *human*, read *stand-in for human* here."
)

_SHOWN = (
    *("prefixes", "search", "labels", "code", "factors", "corrections", "summaries"),
    "export",
)
"""Sections of settings that the card shows."""


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
    policy_value: pl.DataFrame,
    advantages: pl.DataFrame,
    preference: pl.DataFrame,
    step_preference: pl.DataFrame,
    kto: pl.DataFrame,
    critique: pl.DataFrame,
    corrections: pl.DataFrame,
    tags: pl.DataFrame,
    rubric_rewards: pl.DataFrame,
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
            "policy_value": policy_value,
            "advantages": advantages,
            "preference": preference,
            "step_preference": step_preference,
            "kto": kto,
            "critique": critique,
            "rubric_rewards": rubric_rewards,
            "traces": traces,
            "corrections": corrections,
            "tags": tags,
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
        code_version=f"datagen {version('datagen')}",
        sources=seed_sources(seeds, code_seeds),
        notes=tuple(note for note, holds in notes.items() if holds),
        taxonomy=TAXONOMY_VERSION,
    )
