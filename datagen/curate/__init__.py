"""Curation: which questions and traces are fit to be published, and where each question goes.

Questions are curated before any rollout is drawn, traces afterwards. Each rule is a filter of its
own, a frame in and rows of ``rejections`` out: nothing is thrown away without a reason.
"""

from datagen.curate.benchmarks import Benchmark, read_benchmarks
from datagen.curate.config import CurateConfig
from datagen.curate.difficulty import curate_questions_by_difficulty
from datagen.curate.questions import describe_questions
from datagen.curate.report import rejection_counts
from datagen.curate.rows import kept
from datagen.curate.seeds import CuratedSeeds, curate_seeds
from datagen.curate.traces import curate_traces

__all__ = [
    "Benchmark",
    "CurateConfig",
    "CuratedSeeds",
    "curate_questions_by_difficulty",
    "curate_seeds",
    "curate_traces",
    "describe_questions",
    "kept",
    "read_benchmarks",
    "rejection_counts",
]
