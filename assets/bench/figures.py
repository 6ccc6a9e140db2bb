"""Writes what a benchmark measured, for machines to read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_figures(figures: Mapping[str, Any], *paths: Path | None) -> None:
    """Write figures as JSON, rounded to four digits; what is not finite is null.

    Args:
        figures: by name; dicts and lists in them are followed.
        paths: the files, made with their folders; ``None`` is none.
    """
    text = json.dumps(_plain(dict(figures)), indent=2) + "\n"
    for path in filter(None, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """Further digits are noise, and JSON knows neither infinity nor not-a-number."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
