"""A guide is measured as ProcessBench measures: first errors found, and right traces passed."""

import json
import math
import re
import runpy
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from datagen.engines.protocol import Evaluation
from datagen.errors import ConfigError
from datagen.guides.processbench import (
    best_threshold,
    evaluate_processbench,
    read_processbench,
)
from datagen.traces.model import Trace

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Hub, and no cache but a temporary one."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


class Said:
    """A guide that says what it is told of each step of each problem, three states at a time."""

    fingerprint = "said"
    batch_size = 3
    has_policy = False

    def __init__(self, values: dict[str, list[float]]) -> None:
        self.values = values

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        assert len(states) <= self.batch_size
        return [Evaluation(self.values[state.question][len(state.steps) - 1]) for state in states]


VALUES = {
    "found": [0.9, 0.2, 0.1],
    "too early": [0.4, 0.9, 0.1],
    "missed": [0.9, 0.9, 0.6],
    "passed": [0.9, 0.8],
    "accused": [0.9, 0.3],
}
LABELS = {"found": 1, "too early": 2, "missed": 2, "passed": -1, "accused": -1}


def rows_of(labels: dict[str, int], values: dict[str, list[float]] = VALUES) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "id": f"row-{problem}",
                "generator": "a" if label < 0 else "b",
                "problem": problem,
                "steps": [f"step {idx}" for idx in range(len(values[problem]))],
                "final_answer_correct": label < 0,
                "label": label,
            }
            for problem, label in labels.items()
        ]
    )


def test_the_first_step_below_the_threshold_is_the_predicted_error() -> None:
    report = evaluate_processbench(rows_of(LABELS), Said(VALUES))
    assert report.predicted.tolist() == [1, 0, -1, -1, 1]
    assert report.threshold == 0.5


def test_a_step_at_the_threshold_is_not_below_it() -> None:
    report = evaluate_processbench(rows_of(LABELS), Said(VALUES), threshold=0.4)
    assert report.predicted.tolist() == [1, 2, -1, -1, 1]


def test_f1_is_the_harmonic_mean_of_errors_found_and_right_traces_passed() -> None:
    overall = evaluate_processbench(rows_of(LABELS), Said(VALUES)).overall
    assert (overall.n_erroneous, overall.n_correct) == (3, 2)
    assert overall.erroneous == pytest.approx(1 / 3)
    assert overall.correct == pytest.approx(1 / 2)
    assert overall.f1.value == pytest.approx(2 / (3 + 2))
    assert overall.f1.low <= overall.f1.value <= overall.f1.high


def test_to_pass_everything_is_worth_nothing() -> None:
    overall = evaluate_processbench(rows_of(LABELS), Said(VALUES), threshold=0).overall
    assert (overall.erroneous, overall.correct, overall.f1.value) == (0, 1, 0)


def test_subsets_and_generators_are_measured_by_themselves() -> None:
    rows = rows_of(LABELS).with_columns(subset=pl.Series(["x", "x", "x", "y", "x"]))
    report = evaluate_processbench(rows, Said(VALUES))
    assert list(report.by_subset) == ["x", "y"]
    assert (report.by_subset["x"].n_erroneous, report.by_subset["x"].n_correct) == (3, 1)
    assert report.by_subset["x"].f1.value == 0
    assert report.by_subset["y"].correct == 1
    assert math.isnan(report.by_subset["y"].erroneous)
    assert math.isnan(report.by_subset["y"].f1.value)
    assert report.by_generator["b"].erroneous == pytest.approx(1 / 3)
    assert report.by_generator["a"].correct == pytest.approx(1 / 2)


def test_the_best_threshold_is_chosen_on_other_rows() -> None:
    values = VALUES | {"other bad": [0.8, 0.6], "other good": [0.75, 0.7]}
    other = rows_of({"other bad": 1, "other good": -1}, values)
    report = evaluate_processbench(rows_of(LABELS), Said(values), tune_on=other)
    # From 0.6, below which the bad step is passed, to 0.7, above which the good one is not.
    assert report.threshold == pytest.approx(0.65)
    assert report.predicted.tolist() == [1, 0, 2, -1, 1]


def test_no_other_threshold_has_a_larger_f1() -> None:
    values = {
        f"{kind} {n}": [
            round(((n * 7 + step * 11 + 5 * len(kind)) % 23) / 23, 3) for step in range(4)
        ]
        for n in range(20)
        for kind in ("bad", "good")
    }
    labels = {
        problem: -1 if problem.startswith("good") else int(problem.split()[1]) % 4
        for problem in values
    }
    rows, guide = rows_of(labels, values), Said(values)
    best = evaluate_processbench(rows, guide, threshold=best_threshold(rows, guide))
    tried = [
        evaluate_processbench(rows, guide, threshold=(n + 0.5) / 23).overall.f1.value
        for n in range(23)
    ]
    assert best.overall.f1.value == max(tried) > 0


def test_a_threshold_is_not_chosen_on_problems_that_are_measured() -> None:
    with pytest.raises(ConfigError, match="'found'"):
        evaluate_processbench(rows_of(LABELS), Said(VALUES), tune_on=rows_of(LABELS).head(1))


def test_a_threshold_takes_rows_of_both_kinds() -> None:
    with pytest.raises(ConfigError, match="3 of 3 have a wrong step"):
        best_threshold(rows_of(LABELS).head(3), Said(VALUES))


@pytest.mark.parametrize("suffix", ["parquet", "json", "jsonl"])
def test_rows_are_read_from_files_of_each_kind(tmp_path: Path, suffix: str) -> None:
    rows, path = rows_of(LABELS), tmp_path / f"gsm8k.{suffix}"
    match suffix:
        case "parquet":
            rows.write_parquet(path)
        case "json":
            path.write_text(json.dumps(rows.to_dicts()))
        case _:
            rows.write_ndjson(path)
    read = read_processbench(str(path))
    assert read["subset"].unique().to_list() == ["gsm8k"]
    assert read.drop("subset").to_dicts() == rows.to_dicts()


def test_splits_of_a_dataset_are_subsets(tmp_path: Path) -> None:
    rows = rows_of(LABELS)
    for split, part in (("gsm8k", rows.head(2)), ("math", rows.tail(3))):
        part.write_ndjson(tmp_path / f"{split}.jsonl")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - {split: gsm8k, path: gsm8k.jsonl}\n  - {split: math, path: math.jsonl}\n---\n"
    )
    read = read_processbench(str(tmp_path))
    assert read["subset"].to_list() == ["gsm8k", "gsm8k", "math", "math", "math"]
    assert read["label"].to_list() == list(LABELS.values())


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (rows_of(LABELS).drop("steps"), "no column 'steps'"),
        (rows_of(LABELS).clear(), "no row"),
        (rows_of({**LABELS, "passed": 2}), "first: 2 of 2 steps"),
        (rows_of({**LABELS, "passed": -2}), "first: -2 of 2 steps"),
        (rows_of(LABELS).with_columns(label=pl.lit("first")), "label is a number"),
    ],
)
def test_rows_of_something_else_are_refused(tmp_path: Path, rows: pl.DataFrame, told: str) -> None:
    rows.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ConfigError, match=told):
        read_processbench(str(tmp_path / "rows.parquet"))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in ("missing", "rows.csv"):
        (tmp_path / "rows.csv").write_text("a,b")
        with pytest.raises(ConfigError, match=name):
            read_processbench(str(tmp_path / name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_trained_on_prm_finds_the_errors_of_what_it_has_seen(
    demo_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By both examples. Steps that were one place off would be learned as well, and found in vain.

    On so few rows a model learns by heart; how good it is elsewhere is not asked here.
    """
    in_words = ~pl.col("seed_id").str.contains("code")
    published = demo_run / "published"
    data, seen, model = tmp_path / "data", tmp_path / "seen.parquet", tmp_path / "model"
    data.mkdir()
    prm = pl.read_parquet(published / "prm" / "*.parquet").filter(in_words)
    prm.write_parquet(data / "train.parquet")
    (data / "README.md").write_text(
        "---\nconfigs:\n- {config_name: prm, data_files: train.parquet}\n---\n"
    )
    bench = pl.read_parquet(published / "processbench" / "*.parquet").filter(in_words)
    assert {-1} < set(bench["label"])
    bench.write_parquet(seen)

    train = ["--data", str(data), "--out", str(model), "--epochs", "15", "--learning-rate", "1e-3"]
    runpy.run_path(str(EXAMPLES / "train_prm.py"))["main"](train)
    capsys.readouterr()
    evaluate = ["--model", str(model), "--data", str(seen)]
    runpy.run_path(str(EXAMPLES / "evaluate_prm.py"))["main"](evaluate)

    told = capsys.readouterr().out
    (overall,) = re.findall(r"^all .*? ([\d.]+) \[([\d.]+), [\d.]+\]$", told, re.MULTILINE)
    f1, low = map(float, overall)
    assert f1 > 0.25 and low > 0.05, told  # a model that never finds an error has 0
    assert re.search(rf"^seen +{bench.filter(pl.col('label') >= 0).height} ", told, re.MULTILINE)
