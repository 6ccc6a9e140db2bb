"""Measures a process reward model as ProcessBench does (Zheng et al. 2024, arXiv 2412.06559).

A guide that puts a value on each step says which step is the first wrong one: the first whose value
is below a threshold. The surprising fact: a threshold can be chosen exactly and at once, because
each row is right for one interval of thresholds, from the value at its first wrong step to the
lowest value before it. It is never chosen on the rows that are measured.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.bench.scores import Estimate, Ints, processbench_f1
from datagen.errors import ConfigError
from datagen.guides.guide import Guide
from datagen.traces.model import Step, Trace

Floats = npt.NDArray[np.float64]

TABLE: Final = "processbench"
_TUNED: Final = "the rows to choose a threshold on"
_READ: Final = {"problem": pl.String(), "steps": pl.List(pl.String()), "label": pl.Int64()}
_FILES: Final = {".parquet": pl.read_parquet, ".json": pl.read_json, ".jsonl": pl.read_ndjson}


@dataclass(frozen=True, slots=True)
class Scores:
    """How well first errors are found in some rows.

    Attributes:
        n_erroneous: rows with a wrong step.
        n_correct: rows without one.
        erroneous: share of the former whose first wrong step is found; NaN if there are none.
        correct: share of the latter in which none is found; NaN if there are none.
        f1: harmonic mean of the two, NaN if one is missing, with its 95 % interval over rows.
    """

    n_erroneous: int
    n_correct: int
    erroneous: float
    correct: float
    f1: Estimate


@dataclass(frozen=True, slots=True)
class ProcessBenchReport:
    """What :func:`evaluate_processbench` found.

    Attributes:
        threshold: a step whose value is below it is taken for wrong.
        overall: of all rows.
        by_subset: of the rows of each subset, if there is a column ``subset``.
        by_generator: of the rows of each generator, if there is a column ``generator``.
        predicted: index of the first wrong step as it was predicted, -1 for none; ``(n_rows,)``.
    """

    threshold: float
    overall: Scores
    by_subset: Mapping[str, Scores]
    by_generator: Mapping[str, Scores]
    predicted: Ints


def read_processbench(data: str) -> pl.DataFrame:
    """Rows of ProcessBench, and in column ``subset`` where each is from.

    Args:
        data: a Parquet, JSON or JSONL file, whose name is the subset; or a dataset, in a folder or
            on the Hub, whose splits are: of its config ``processbench`` if it has one, as what this
            package publishes has, else of its default config, as ``Qwen/ProcessBench``.

    Raises:
        ConfigError: if it cannot be read, or does not hold such rows.
    """
    path = Path(data)
    try:
        one = path.is_file()
        tables = {path.stem: _FILES[path.suffix](path)} if one else dict(_splits(data))
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            f"no rows of ProcessBench can be read from {data!r}: {error}; name a Parquet, JSON or "
            "JSONL file, or the folder or Hub name of a dataset, such as out/published or "
            "Qwen/ProcessBench"
        ) from error
    return pl.concat(
        [
            _checked(table, f"{data} ({subset})").with_columns(subset=pl.lit(subset))
            for subset, table in tables.items()
        ],
        how="diagonal_relaxed",
    )


def evaluate_processbench(
    rows: pl.DataFrame,
    guide: Guide,
    *,
    threshold: float = 0.5,
    tune_on: pl.DataFrame | None = None,
) -> ProcessBenchReport:
    """Measure how well a guide finds first errors.

    Args:
        rows: ``problem``, ``steps`` and ``label``, the 0-based index of the first wrong step, -1 if
            there is none; see :func:`read_processbench`.
        guide: puts a value on each step.
        threshold: a step whose value is below it is taken for wrong.
        tune_on: other rows, whose F1 the threshold is to make as large as it can be; instead of
            ``threshold``. The paper takes its subset GSM8K for that.

    Raises:
        ConfigError: if there are no rows, they are not of ProcessBench, or a problem is in both.
    """
    rows = _checked(rows, "the rows to measure on")
    if tune_on is not None:
        tune_on = _checked(tune_on, _TUNED)
        shared = rows.join(tune_on, on="problem", how="semi")
        if shared.height:
            raise ConfigError(
                f"{shared.height} rows to measure on have problems that the threshold would be "
                f"chosen on, first: {shared['problem'][0][:60]!r}; give tune_on other problems"
            )
        threshold = best_threshold(tune_on, guide)
    label = rows["label"].to_numpy()
    predicted = _first_below(_values(rows, guide), threshold)

    def by(column: str) -> dict[str, Scores]:
        if column not in rows.columns:
            return {}
        names = rows[column].to_numpy()
        chosen = {str(name): names == name for name in rows[column].unique().sort()}
        return {name: _scores(predicted[here], label[here]) for name, here in chosen.items()}

    return ProcessBenchReport(
        threshold=threshold,
        overall=_scores(predicted, label),
        by_subset=by("subset"),
        by_generator=by("generator"),
        predicted=predicted,
    )


def best_threshold(rows: pl.DataFrame, guide: Guide) -> float:
    """The threshold of the largest F1; in the middle of the best interval, the lowest of equals.

    Raises:
        ConfigError: if there are not both rows with a wrong step and rows without.
    """
    rows = _checked(rows, _TUNED)
    below, above = np.zeros(rows.height), np.ones(rows.height)
    label = rows["label"].to_numpy()
    for row, values in enumerate(_values(rows, guide)):
        if label[row] >= 0:
            below[row] = values[label[row]]
            values = values[: label[row]]
        above[row] = min(values, default=1.0)
    bad = label >= 0
    if bad.all() or not bad.any():
        raise ConfigError(
            f"{_TUNED}: {int(bad.sum())!r} of {rows.height} have a wrong step; it takes some with "
            "and some without"
        )
    ends = np.unique([0.0, 1.0, *below, *above])
    middles = (ends[1:] + ends[:-1]) / 2

    def share(here: npt.NDArray[np.bool_]) -> Floats:
        """Of these rows, how many are right at each of the middles."""
        open_ = here & (below < above)
        n_begun = np.searchsorted(np.sort(below[open_]), middles)
        n_ended = np.searchsorted(np.sort(above[open_]), middles)
        return (n_begun - n_ended) / here.sum()

    erroneous, correct = share(bad), share(~bad)
    f1 = 2 * erroneous * correct / np.maximum(erroneous + correct, 1e-9)
    return float(middles[f1.argmax()])


def _scores(predicted: Ints, label: Ints) -> Scores:
    hit, bad = predicted == label, label >= 0
    has_both = bad.any() and not bad.all()
    return Scores(
        n_erroneous=int(bad.sum()),
        n_correct=int((~bad).sum()),
        erroneous=float(hit[bad].mean()) if bad.any() else math.nan,
        correct=float(hit[~bad].mean()) if not bad.all() else math.nan,
        f1=processbench_f1(predicted, label) if has_both else Estimate(*[math.nan] * 3),
    )


def _values(rows: pl.DataFrame, guide: Guide) -> list[list[float]]:
    """The guide's value after each step of each row."""
    traces = [
        Trace(problem, tuple(map(Step, steps)))
        for problem, steps in rows.select("problem", "steps").iter_rows()
    ]
    states = [trace.prefix(n + 1) for trace in traces for n in range(len(trace.steps))]
    values: list[float] = []
    for start in range(0, len(states), guide.batch_size):
        found = guide.evaluate(states[start : start + guide.batch_size])
        values += [evaluation.value for evaluation in found]
    rest = iter(values)
    return [list(itertools.islice(rest, len(trace.steps))) for trace in traces]


def _first_below(values: Sequence[Sequence[float]], threshold: float) -> Ints:
    firsts = (
        next((idx for idx, value in enumerate(row) if value < threshold), -1) for row in values
    )
    return np.fromiter(firsts, np.int64, len(values))


def _splits(data: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Split → table of a dataset."""
    from datasets import get_dataset_config_names, load_dataset

    config = TABLE if TABLE in get_dataset_config_names(data) else None
    loaded: Any = load_dataset(data, config)
    for split, rows in loaded.items():
        yield str(split), rows.to_polars()


def _checked(rows: pl.DataFrame, what: str) -> pl.DataFrame:
    """The rows, with the types that are read; raises if they are not of ProcessBench."""
    missing = [name for name in _READ if name not in rows.columns]
    if missing or not rows.height:
        lack = f"no column {missing[0]!r}" if missing else "no row"
        raise ConfigError(
            f"{what}: {lack}; ProcessBench has id, generator, problem, steps, "
            "final_answer_correct and label"
        )
    try:
        typed = rows.with_columns(pl.col(name).cast(dtype) for name, dtype in _READ.items())
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{what}: {error}; label is a number, steps a list of texts") from error
    n_steps = pl.col("steps").list.len().cast(pl.Int64)
    wrong = typed.filter(~pl.col("label").is_between(-1, n_steps - 1).fill_null(False))
    if wrong.height:
        label, steps = wrong.select("label", "steps").row(0)
        raise ConfigError(
            f"{what}: {wrong.height} labels are not of a step, first: {label!r} of "
            f"{len(steps or ())} steps; a label is the 0-based index of the first wrong step, or -1"
        )
    return typed
