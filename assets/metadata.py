"""What is shown of a table in Dagster: counts, shares, and a few rows that can be read."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from datagen.publish.card.statistics import code_statistics
from datagen.search.budget import Progress

_CELL = 160


def sample_rows(frame: pl.DataFrame, columns: list[str], *, n: int = 3) -> dg.MarkdownMetadataValue:
    """The first ``n`` rows of some columns as a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in frame.select(columns).head(n).iter_rows():
        lines.append("| " + " | ".join(map(_cell, row)) + " |")
    return dg.MetadataValue.md("\n".join(lines))


def counts(frame: pl.DataFrame, column: str) -> dg.MarkdownMetadataValue:
    """How often each value of a column occurs, as a Markdown table."""
    tally = frame[column].value_counts(sort=True)
    lines = [f"| {column} | rows |", "| --- | ---: |"]
    lines += [f"| {_cell(value)} | {n:,} |" for value, n in tally.iter_rows()]
    return dg.MetadataValue.md("\n".join(lines))


def engine_work(progress: Progress) -> Mapping[str, Any]:
    """What a stage had the engine do, and what that took."""
    return {
        "tokens_generated": progress.n_tokens,
        "tokens_per_s": round(progress.tokens_per_s, 1),
        "prompt_tokens": progress.n_prompt_tokens,
        "prompt_cached_share": round(progress.cached_share, 4),
        "completions_generated": progress.n_generated,
        "completions_replayed": progress.n_replayed,
        "requests_cancelled": progress.n_cancelled,
        "requests_retried": progress.n_retries,
        "cost": progress.cost,
        "seconds": progress.seconds,
        "budget_spent": progress.budget_spent,
    }


def thought_figures(code_thoughts: pl.DataFrame) -> Mapping[str, Any]:
    """How thoughts about code fared."""
    found = code_statistics(code_thoughts)
    n, n_verified = (sum(counted[i] for counted in found.routes.values()) for i in (0, 1))
    claims = {verdict: n_all for verdict, (_, n_all) in found.claims.items()}
    return {
        "claims": dg.MetadataValue.json(claims),
        "verified_share": n_verified / n if n else 0.0,
        "sufficiency": found.sufficiency or 0.0,
    }


def described(frame: pl.DataFrame, *columns: str, **more: Any) -> Mapping[str, Any]:
    """Row count, sample rows and whatever else is given."""
    shown: dict[str, Any] = {"dagster/row_count": frame.height, **more}
    if frame.height:
        shown["sample"] = sample_rows(frame, list(columns))
    return shown


def _cell(value: Any) -> str:
    text = str(value).replace("|", "\\|").replace("\n", " ⏎ ").replace("<", "&lt;")
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
