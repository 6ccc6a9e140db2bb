"""From a row of a table back to the trace in it."""

from collections.abc import Mapping
from typing import Any

from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step, Trace


def trace_of(row: Mapping[str, Any]) -> Trace:
    """The trace in a row with ``question``, ``steps``, ``factors`` and ``answer``."""
    pairs = zip(row["steps"], row["factors"], strict=True)
    steps = tuple(Step(text, Factor(factor)) for text, factor in pairs)
    return Trace(row["question"], steps, row["answer"])
