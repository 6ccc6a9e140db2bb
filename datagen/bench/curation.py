"""The curation benchmark: does it find what is planted, spare what is not, and how long it takes.

The surprising fact: false positives are counted on nothing but questions that people wrote. Those
made up out of templates share no run of words with any benchmark, so a thousand of them would only
thin the rate.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from datagen.bench.curation_data import Kinds, Planted, make_tables
from datagen.bench.curation_run import BENCHMARK, REJECTED, TABLES, CurationRun
from datagen.bench.curation_traces import PER_QUESTION
from datagen.curate import Benchmark, read_benchmarks
from datagen.curate.contamination import find_contaminated
from datagen.curate.words import normal_text
from datagen.errors import ConfigError, DatagenError
from datagen.factors.labelled import read_labelled

_REPEATED: Final = ("duplicate", "near_duplicate")

_TOLD_ELSEWHERE: Final = frozenset(
    ("r1m-01", "scim-06", "scim-36", "scim-07", "r1m-18", "scim-26", "notea-06")
)
"""Labelled documents that ask in other words what another document asks, told by reading them. A
question of which a benchmark has the twin is not innocent."""

LEAKS: Final = "benchmark questions"
COPIES: Final = "near-duplicate questions"
SAID_TWICE: Final = "near-duplicate traces"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        n_rows: traces, a multiple of :data:`~datagen.bench.curation_traces.PER_QUESTION`.
        n_planted: questions of the benchmark, near-duplicates among the questions and among the
            traces: so many of each, a multiple of 4.
        n_halves: random halves of the written questions, each of which is once a benchmark that
            the other half is held against.
        seed: another one draws other texts and halves.
    """

    n_rows: int = 100_000
    n_planted: int = 200
    n_halves: int = 10
    seed: int = 0


QUICK: Final = Plan(n_rows=10_000)


@dataclass(frozen=True, slots=True)
class CurationReport:
    """What was measured.

    Attributes:
        figures: ``rows``, ``seconds``, ``peak_mb``, ``planted_found``, ``false_positive_rate`` and
            ``duplicates_found``.
        found: :data:`LEAKS`, :data:`COPIES` or :data:`SAID_TWICE` → kind of disguise or edit → how
            many were found, and of how many.
        innocent: how many written questions were called contaminated, and of how many; one that
            was innocent several times counts as often.
        accused: what was not planted, and how many of it were called so.
        run: the run itself.
    """

    figures: Mapping[str, float]
    found: Mapping[str, Mapping[str, tuple[int, int]]]
    innocent: tuple[int, int]
    accused: Mapping[str, tuple[int, int]]
    run: CurationRun


def bench_curation(
    plan: Plan, *, note: Callable[[str], None], questions: Path | None = None
) -> CurationReport:
    """Make tables, let another process curate, export and publish them, and look what it found.

    Args:
        plan: how much.
        note: told what is being done.
        questions: file of questions that people wrote, such as GSM8K's; ``None``: those of the
            labelled documents that are shipped.

    Raises:
        ConfigError: if the file cannot be read or has too few questions.
        DatagenError: if the run fails.
    """
    written = written_questions(questions)
    if len(written) < 2 * plan.n_planted:
        raise ConfigError(
            f"{str(questions or 'the labelled documents')!r} has {len(written)} different "
            f"questions; {2 * plan.n_planted} or more are needed"
        )
    rng = random.Random(plan.seed)
    benchmark, innocent = _halves(written, rng)
    n_questions = plan.n_rows // PER_QUESTION
    with tempfile.TemporaryDirectory(prefix="datagen-bench-") as name:
        folder = Path(name)
        note(f"making {plan.n_rows:,} traces of {n_questions:,} questions")
        tables, planted = make_tables(
            n_questions,
            plan.n_planted,
            benchmark=benchmark,
            innocent=innocent[: n_questions // 4],
            seed=plan.seed,
        )
        _write(folder, tables, benchmark)
        n_items = {"question": tables["seeds"].height, "trace": tables["traces"].height}
        del tables
        note("curating, exporting and publishing them in a process of its own")
        run = _run_apart(folder)
        rejected = pl.read_parquet(folder / REJECTED)
    note(f"holding {len(written):,} written questions against each other, half against half")
    called = [_n_called(*_halves(written, rng)) for _ in range(plan.n_halves)]
    return report(rejected, planted, n_items, called, run)


def written_questions(path: Path | None) -> list[str]:
    """Questions that people wrote, those with the same words once."""
    if path is None:
        documents = (doc for doc in read_labelled() if doc.doc_id not in _TOLD_ELSEWHERE)
        asked = pl.Series([doc.trace.question for doc in documents])
    else:
        asked = read_benchmarks({"questions": str(path)})[0].questions
    frame = asked.alias("question").to_frame().with_columns(words=normal_text(pl.col("question")))
    return (
        frame.filter(pl.col("words") != "")
        .unique("words", keep="first", maintain_order=True)["question"]
        .to_list()
    )


def _halves(questions: Sequence[str], rng: random.Random) -> tuple[list[str], list[str]]:
    shuffled = rng.sample(questions, len(questions))
    return shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]


def _write(folder: Path, tables: Mapping[str, pl.DataFrame], benchmark: Sequence[str]) -> None:
    (folder / TABLES).mkdir()
    for name, table in tables.items():
        table.write_parquet(folder / TABLES / f"{name}.parquet")
    pl.DataFrame({"question": benchmark}).write_ndjson(folder / BENCHMARK)


def _run_apart(folder: Path) -> CurationRun:
    """Run in a fresh process, whose memory is that of the run alone."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "datagen.bench.curation_run", str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DatagenError(f"the run failed:\n{done.stderr[-2000:]}")
    return CurationRun(**json.loads(done.stdout))


def _n_called(benchmark: Sequence[str], innocent: Sequence[str]) -> tuple[int, int]:
    """How many innocent questions are called contaminated, and how many there are."""
    asked = Benchmark("half", "", "", pl.Series("question", benchmark))
    ours = pl.DataFrame({"text": innocent}).with_row_index("id")
    found = find_contaminated(ours, [asked], text="text", id="id")
    return found["id"].n_unique(), len(innocent)


def report(
    rejected: pl.DataFrame,
    planted: Planted,
    n_items: Mapping[str, int],
    called: Sequence[tuple[int, int]],
    run: CurationRun,
) -> CurationReport:
    """Count what a run found.

    Args:
        rejected: table ``rejections``, all of it.
        planted: what was hidden.
        n_items: how many questions and traces there were, by kind.
        called: further written questions that were called contaminated, and of how many.
        run: what it took.
    """
    held = _ids(rejected, "question", "contaminated")
    asked_twice = _ids(rejected, "question", *_REPEATED)
    said_twice = _ids(rejected, "trace", *_REPEATED)
    found = {
        LEAKS: _hits(planted.leaks, held),
        COPIES: _hits(planted.questions, asked_twice),
        SAID_TWICE: _hits(planted.traces, said_twice),
    }
    in_run = (len(held.intersection(planted.innocent)), len(planted.innocent))
    innocent = _total([in_run, *called])
    leaks, copies, repeats = map(_members, (planted.leaks, planted.questions, planted.traces))
    made_up = n_items["question"] - len(leaks) - len(planted.innocent)
    accused = {
        "made-up questions called contaminated": (
            len(held - leaks - set(planted.innocent)),
            made_up,
        ),
        "other questions called duplicates": (
            len(asked_twice - copies),
            n_items["question"] - len(copies),
        ),
        "other traces called duplicates": (
            len(said_twice - repeats),
            n_items["trace"] - len(repeats),
        ),
    }
    figures = {
        "rows": n_items["trace"],
        "seconds": run.seconds,
        "peak_mb": run.peak_mb,
        "planted_found": _share(_total(found[LEAKS].values())),
        "false_positive_rate": _share(innocent),
        "duplicates_found": _share(_total([*found[COPIES].values(), *found[SAID_TWICE].values()])),
    }
    return CurationReport(figures, found, innocent, accused, run)


def _ids(rejected: pl.DataFrame, kind: str, *rules: str) -> set[str]:
    return set(rejected.filter(pl.col("kind") == kind, pl.col("rule").is_in(rules))["id"])


def _hits(planted: Kinds, ids: set[str]) -> dict[str, tuple[int, int]]:
    """Per kind, how many were found: of a pair it does not matter which one."""
    return {
        kind: (sum(not ids.isdisjoint(one) for one in own), len(own))
        for kind, own in planted.items()
    }


def _members(planted: Kinds) -> set[str]:
    return {name for own in planted.values() for one in own for name in one}


def _total(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    pairs = list(counts)
    return sum(n for n, _ in pairs), sum(of for _, of in pairs)


def _share(count: tuple[int, int]) -> float:
    n, of = count
    return n / of
