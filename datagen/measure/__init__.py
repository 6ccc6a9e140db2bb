"""From whole traces to labels: which are measured, the search for first errors, the tables."""

from datagen.measure.run import MeasureConfig, Measured, measure_traces
from datagen.measure.selection import pick_traces

__all__ = ["MeasureConfig", "Measured", "measure_traces", "pick_traces"]
