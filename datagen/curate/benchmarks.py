"""Reads the questions of benchmarks, so that none of them gets into the data.

The surprising fact: a benchmark that was asked for and cannot be read stops the run. A dataset that
was silently not compared with GSM8K looks exactly like one that was found free of it.
"""

# datasets ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from datagen.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The questions of one benchmark.

    Attributes:
        name: what it is called in settings and reports.
        source: where it was read from: a file or folder, or ``org/name``, with the configuration,
            the revision where it is known, and the split.
        digest: SHA-256 of its questions, in order.
        questions: one string per row, in the benchmark's order; empty where the row has none.
    """

    name: str
    source: str
    digest: str
    questions: pl.Series


@dataclass(frozen=True, slots=True)
class OnHub:
    """Where the Hugging Face Hub keeps a benchmark."""

    repo: str
    config: str | None = None
    split: str | None = None
    column: str | None = None
    revision: str | None = None


BENCHMARKS: Final[Mapping[str, OnHub]] = {
    "aime24": OnHub("HuggingFaceH4/aime_2024", None, "train", "problem"),
    "aime25": OnHub("math-ai/aime25", None, "test", "problem"),
    "amc23": OnHub("math-ai/amc23", None, "test", "question"),
    "gpqa": OnHub("Idavidrein/gpqa", "gpqa_diamond", "train", "Question"),
    "gsm8k": OnHub("openai/gsm8k", "main", "test", "question"),
    "humaneval": OnHub("openai/openai_humaneval", None, "test", "prompt"),
    "math500": OnHub("HuggingFaceH4/MATH-500", None, "test", "problem"),
    "mbpp": OnHub("google-research-datasets/mbpp", "full", "test", "text"),
    "minerva": OnHub("math-ai/minervamath", None, "test", "question"),
    "mmlu_pro": OnHub("TIGER-Lab/MMLU-Pro", None, "test", "question"),
    "olympiadbench": OnHub("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train", "question"),
}
"""The benchmarks that are known by name. LiveCodeBench is not among them: its repository is a
program, which ``datasets`` no longer runs, so it needs a local file."""

QUESTION_COLUMNS: Final = (
    *("question", "problem", "prompt", "text", "question_content", "problem_statement"),
    *("instruction", "query", "input"),
)
"""Columns that are taken for the questions, the first that is there, in any case."""

_SUFFIXES: Final[Mapping[str, Callable[[Path], pl.DataFrame]]] = {
    ".jsonl": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    ".ndjson": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    ".json": lambda path: _json(path),
    ".parquet": lambda path: pl.read_parquet(path),
    ".csv": lambda path: pl.read_csv(path, infer_schema=False),
}
_HUB_NAME: Final = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<config>[^:@/\s]+))?(?:@(?P<revision>[^\s@]+))?"
)
_COMMIT: Final = re.compile("[0-9a-f]{40}")


def read_benchmarks(wanted: Mapping[str, str]) -> tuple[Benchmark, ...]:
    """Read benchmarks, in the order of their names.

    Args:
        wanted: name → where it is: ``hub`` for one of :data:`BENCHMARKS`; a JSONL, JSON, Parquet or
            CSV file; a dataset folder; or ``org/name``, ``org/name:config``, ``org/name@revision``
            on the Hub. ``#column`` behind it says which column holds the questions, by default the
            first of :data:`QUESTION_COLUMNS`. What exists on disk is not looked for on the Hub. A
            dataset of several splits is read in its split ``test``.

    Raises:
        ConfigError: if one is unknown, cannot be read, or has no question. Names it and the fix.
    """
    return tuple(_read(name, wanted[name].strip()) for name in sorted(wanted))


def _read(name: str, place: str) -> Benchmark:
    if place == "hub":
        if name not in BENCHMARKS:
            raise ConfigError(
                f"curate.benchmarks.{name} = 'hub', but no benchmark {name!r} is known; known are "
                f"{', '.join(BENCHMARKS)}; for another one give a file or org/name"
            )
        questions, source = _from_hub(name, BENCHMARKS[name])
    else:
        questions, source = _from_place(name, place)
    questions = questions.cast(pl.String).fill_null("").rename("question")
    if not questions.str.contains(r"\w").any():
        raise _unreadable(name, source, "none of its rows holds a question")
    digest = hashlib.sha256()
    for question in questions:
        digest.update(question.encode("utf-8", "surrogatepass") + b"\0")
    return Benchmark(name, source, digest.hexdigest(), questions)


def _from_place(name: str, place: str) -> tuple[pl.Series, str]:
    path, column = Path(place).expanduser(), None
    if not path.exists() and "#" in place:
        place, _, column = place.rpartition("#")
        path = Path(place).expanduser()
    if path.is_dir():
        dataset = _load(name, place, OnHub(str(path)))
        return _column(name, place, _frame(dataset, column), column), place
    if path.is_file():
        return _column(name, place, _file(name, path), column), place
    hub = _HUB_NAME.fullmatch(place)
    if hub is None or path.suffix.lower() in _SUFFIXES:
        raise _unreadable(name, place, f"it does not exist (looked in {str(Path.cwd())!r})")
    return _from_hub(name, OnHub(hub["repo"], hub["config"], None, column, hub["revision"]))


def _file(name: str, path: Path) -> pl.DataFrame:
    reader = _SUFFIXES.get(path.suffix.lower())
    if reader is None:
        raise _unreadable(name, str(path), f"it must end in one of {', '.join(_SUFFIXES)}")
    try:
        return reader(path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise _unreadable(name, str(path), f"{type(error).__name__}: {error}") from error


def _json(path: Path) -> pl.DataFrame:
    """A list of rows, or one row per line."""
    text = path.read_bytes()
    return (
        pl.read_json(text, infer_schema_length=None)
        if text.lstrip()[:1] == b"["
        else pl.read_ndjson(text, infer_schema_length=None)
    )


def _from_hub(name: str, where: OnHub) -> tuple[pl.Series, str]:
    place = where.repo + (f":{where.config}" if where.config else "")
    dataset = _load(name, place, where)
    commit = where.revision or _cached_commit(dataset)
    source = place + (f"@{commit}" if commit else "") + f" ({dataset.split})"
    return _column(name, source, _frame(dataset, where.column), where.column), source


def _cached_commit(dataset: Any) -> str | None:
    """The commit that was read: ``datasets`` keeps each in a folder of its name."""
    folders = [Path(file["filename"]).parent.name for file in dataset.cache_files]
    return next((folder for folder in folders if _COMMIT.fullmatch(folder)), None)


def _load(name: str, place: str, where: OnHub) -> Any:
    """One split of a dataset on the Hub or in a folder; from the Hub's cache when offline."""
    # Imported here because it takes seconds, and most benchmarks are plain files.
    from datasets import load_dataset

    try:
        splits: Any = load_dataset(where.repo, where.config, revision=where.revision)
    except Exception as error:  # datasets raises a different type for each of a dozen causes
        raise _unreadable(name, place, f"{type(error).__name__}: {error}") from error
    names = list(splits)
    split = where.split or (names[0] if len(names) == 1 else "test")
    if split not in splits:
        raise _unreadable(name, place, f"it has no split {split!r}, only {', '.join(names)}")
    return splits[split]


def _frame(dataset: Any, column: str | None) -> pl.DataFrame:
    """Its columns that could hold the questions, or all column names without rows."""
    names = [column] if column else _candidates(dataset.column_names)
    kept = [name for name in names if name in dataset.column_names]
    if not kept:
        return pl.DataFrame(schema=dict.fromkeys(dataset.column_names, pl.Null))
    return pl.DataFrame(pl.from_arrow(dataset.select_columns(kept).with_format("arrow")[:]))


def _column(name: str, place: str, frame: pl.DataFrame, column: str | None) -> pl.Series:
    names = [column] if column else _candidates(frame.columns)
    for found in names:
        if found in frame.columns and frame.schema[found] == pl.String:
            return frame[found]
    missing = f"column {column!r} of strings" if column else "column of questions"
    raise _unreadable(
        name, place, f"it has no {missing}, only {', '.join(frame.columns) or 'no columns'}"
    )


def _candidates(columns: list[str]) -> list[str]:
    return [column for known in QUESTION_COLUMNS for column in columns if column.lower() == known]


def _unreadable(name: str, place: str, cause: str) -> ConfigError:
    cause = cause.strip().splitlines()[0]
    return ConfigError(
        f"benchmark {name!r} cannot be read from {place!r}: {cause}. Nothing is published that was "
        f'not compared with it: give a local file, curate.benchmarks.{name} = "{name}.jsonl" '
        f'(or "{name}.jsonl#column"), or take {name!r} out of curate.benchmarks'
    )
