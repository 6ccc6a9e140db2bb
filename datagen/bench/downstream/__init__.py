"""The downstream benchmark: what students and verifiers learn from the pipeline's data."""

from datagen.bench.downstream.findings import DownstreamReport
from datagen.bench.downstream.metered import MeteredJournal
from datagen.bench.downstream.plan import QUICK, Plan
from datagen.bench.downstream.run import FIGURES, bench_downstream
from datagen.bench.downstream.scaling import plot_scaling

__all__ = [
    "FIGURES",
    "QUICK",
    "DownstreamReport",
    "MeteredJournal",
    "Plan",
    "bench_downstream",
    "plot_scaling",
]
