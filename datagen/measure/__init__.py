"""From whole traces to labels: which are measured, the search for first errors, the tables.

:func:`datagen.measure.run.measure_traces` is imported from its own module: it needs PyTorch.
"""

from datagen.measure.config import MeasureConfig
from datagen.measure.selection import pick_traces

__all__ = ["MeasureConfig", "pick_traces"]
