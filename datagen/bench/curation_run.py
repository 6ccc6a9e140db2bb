"""One run of everything between generation and a published folder, measured: ``python -m`` this.

The surprising fact: each stage reads its tables from disk and stores what it makes, as an asset
does. A benchmark that held all of them at once would measure its own memory, not the pipeline's.
"""

import json
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from datagen.bench.curation_traces import ENGINE
from datagen.bench.memory import peak_memory_mib
from datagen.curate import (
    CurateConfig,
    curate_questions_by_difficulty,
    curate_seeds,
    curate_traces,
    describe_questions,
    kept,
    read_benchmarks,
)
from datagen.export import (
    export_advantages,
    export_critique,
    export_kto,
    export_orm,
    export_policy_value,
    export_preference,
    export_prm,
    export_processbench,
    export_raw_rollouts,
    export_rl,
    export_sft,
    export_step_preference,
)
from datagen.export.sft import Form
from datagen.factors.tagging import with_tags
from datagen.factors.taxonomy import TAXONOMY_VERSION
from datagen.publish import Lineage, Repository, curation, seed_sources, write_repository

TABLES = "tables"
"""Folder of the raw tables, in the folder of the run."""

BENCHMARK = "benchmark.jsonl"
"""What the questions are compared with."""

REJECTED = "rejected.parquet"
"""Where the rejections go."""


@dataclass(slots=True)
class CurationRun:
    """What a run took.

    Attributes:
        seconds: wall time, from the raw tables on disk to the published folder.
        peak_mb: most memory resident at a time, in the whole life of the process, in 10^6 bytes.
        stages: stage → seconds.
        rows: config → rows of the published folder.
        n_bytes: size of that folder.
    """

    seconds: float = 0.0
    peak_mb: float = 0.0
    stages: dict[str, float] = field(default_factory=dict[str, float])
    rows: dict[str, int] = field(default_factory=dict[str, int])
    n_bytes: int = 0

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Count the time of what stands inside."""
        began = time.perf_counter()
        yield
        spent = time.perf_counter() - began
        self.stages[name] = spent
        self.seconds += spent


class _Tables:
    """The tables of a folder, each read anew: what nobody holds takes no memory.

    Attributes:
        config: how they are curated.
        seeds: the seeds that are kept.
        code_seeds: the code seeds that are kept.
        rejections: the questions that are not, and then the traces.
        benchmark_checks: what the questions were compared with.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.config = CurateConfig()
        curated = curate_seeds(
            self.read("seeds"),
            self.read("code_seeds"),
            config=self.config,
            benchmarks=read_benchmarks({"planted": str(folder / BENCHMARK)}),
        )
        self.seeds, self.code_seeds = curated.seeds, curated.code_seeds
        self.rejections, self.benchmark_checks = curated.rejections, curated.benchmark_checks

    def read(self, name: str) -> pl.DataFrame:
        """A table as it was generated."""
        return pl.read_parquet(self._folder / TABLES / f"{name}.parquet")

    def ours(self, name: str) -> pl.DataFrame:
        """The rows of the seeds that are kept: in a run nobody draws rollouts for the others."""
        return self.read(name).join(self.seeds, on="seed_id", how="semi", maintain_order="left")

    def good(self, name: str) -> pl.DataFrame:
        """Of these, those of no rejected trace."""
        return kept(self.ours(name), self.rejections)

    def store(self, name: str, table: pl.DataFrame) -> None:
        """Write what was made of the tables."""
        table.write_parquet(self._folder / f"{name}.parquet", compression="zstd")

    def stored(self, name: str) -> pl.DataFrame:
        """Read it again."""
        return pl.read_parquet(self._folder / f"{name}.parquet")


def _sft(tables: _Tables, form: Form) -> pl.DataFrame:
    traces = with_tags(tables.good("traces"), tables.good("tags"))
    return export_sft(traces, tables.ours("summaries"), tables.ours("corrections"), form=form)


def _replies(tables: _Tables) -> tuple[pl.DataFrame, ...]:
    names = ("traces", "probes", "step_labels", "trace_labels")
    return (*map(tables.ours, names), tables.rejections)


def _prm_verified(tables: _Tables) -> pl.DataFrame:
    verified = tables.ours("trace_labels").filter("verified")["trace_id"]
    return tables.stored("prm").filter(pl.col("id").is_in(verified.implode()))


_DATASETS: Final[Mapping[str, Callable[[_Tables], pl.DataFrame]]] = {
    "questions": lambda t: describe_questions(
        t.seeds, t.code_seeds, t.read("code_tasks"), t.ours("rollouts"), config=t.config
    ),
    "sft": lambda t: _sft(t, "tagged"),
    "sft_plain": lambda t: _sft(t, "plain"),
    "prm": lambda t: export_prm(t.good("measured_traces"), t.ours("step_labels")),
    "prm_verified": _prm_verified,
    "orm": lambda t: export_orm(t.good("traces")),
    "processbench": lambda t: export_processbench(
        t.good("measured_traces"), t.ours("step_labels"), t.ours("trace_labels")
    ),
    "critique": lambda t: export_critique(
        t.good("measured_traces"), *map(t.ours, ("critiques", "trace_labels", "step_labels"))
    ),
    "rl": lambda t: export_rl(t.seeds, t.stored("questions"), t.read("code_tasks")),
    "advantages": lambda t: export_advantages(
        t.good("traces"), t.stored("questions"), t.ours("step_labels"), t.ours("trace_labels")
    ),
    "preference": lambda t: export_preference(*_replies(t)),
    "kto": lambda t: export_kto(*_replies(t)),
    "step_preference": lambda t: export_step_preference(t.ours("nodes"), t.ours("prefixes")),
    "policy_value": lambda t: export_policy_value(*map(t.ours, ("nodes", "rollouts", "prefixes"))),
    "rollouts": lambda t: export_raw_rollouts(t.seeds, t.ours("rollouts"), t.ours("probes")),
}
"""What is made of the curated tables, in this order; all but the questions are published."""


def run_here(folder: Path) -> CurationRun:
    """Curate, export and publish the tables of a folder; its peak is that of the whole process.

    Args:
        folder: with :data:`TABLES` and :data:`BENCHMARK`; :data:`REJECTED` and ``published`` are
            written there.
    """
    run = CurationRun()
    with run.stage("curating questions"):
        tables = _Tables(folder)
    with run.stage("curating traces"):
        rejected = curate_traces(tables.ours("traces"), config=tables.config)
        tables.rejections = pl.concat([tables.rejections, rejected])
        tables.rejections.write_parquet(folder / REJECTED)
    for name, export in _DATASETS.items():
        with run.stage(name):
            tables.store(name, export(tables))
    with run.stage("publishing"):
        repository = _publish(tables, folder / "published")
    run.rows, run.n_bytes = dict(repository.rows), repository.n_bytes
    run.peak_mb = peak_memory_mib() * (1 << 20) / 1e6
    return run


def _publish(tables: _Tables, folder: Path) -> Repository:
    datasets = {name: tables.stored(name) for name in _DATASETS}
    questions = datasets.pop("questions")
    return write_repository(
        folder,
        {**datasets, **{name: tables.good(name) for name in ("traces", "tags", "corrections")}},
        questions=questions,
        lineage=Lineage(
            engine=ENGINE,
            model="none",
            settings={},
            code_version="datagen",
            sources=seed_sources(tables.seeds, tables.code_seeds),
            taxonomy=TAXONOMY_VERSION,
        ),
        curation=curation(
            tables.rejections,
            curate_questions_by_difficulty(questions, config=tables.config),
            benchmark_checks=tables.benchmark_checks,
            trace_labels=tables.ours("trace_labels"),
        ),
    )


if __name__ == "__main__":
    print(json.dumps(asdict(run_here(Path(sys.argv[1])))))
