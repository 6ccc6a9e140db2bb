"""Charts of a run as small PNG files, each with a sentence that says what there is to see.

Every function takes tables and returns a :class:`Picture`, or ``None`` where there is nothing to
draw. None of them counts by itself: the statistics are those of the report.
"""

from datagen.pictures.canvas import Picture
from datagen.pictures.labels import label_reliability, thought_reliability, value_by_step
from datagen.pictures.mix import factor_mix, pass_rate_histogram
from datagen.pictures.searches import outcomes_by_start, tree_shape
from datagen.pictures.work import stage_work

__all__ = [
    "Picture",
    "factor_mix",
    "label_reliability",
    "outcomes_by_start",
    "pass_rate_histogram",
    "stage_work",
    "thought_reliability",
    "tree_shape",
    "value_by_step",
]
