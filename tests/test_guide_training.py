"""Training of guides on what a short search found: they get better at what they have not seen."""

import math
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from datagen.config import EngineSettings
from datagen.engines.registry import WEIGHTS, open_engine
from datagen.errors import ConfigError
from datagen.export import export_policy_value
from datagen.factors.taxonomy import ACTIONS, TAXONOMY_VERSION, Factor
from datagen.guides import load_guide
from datagen.guides.training import Schedule, read_rows, train_two_heads
from datagen.guides.training.rows import split_by_question
from datagen.journal import Journal
from datagen.reasoner.bundle import SEEDS
from datagen.search.expansion import Replica
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig
from datagen.search.run import search_prefixes
from datagen.seeds import read_seeds
from datagen.traces.model import Step, Trace
from datagen.traces.prefixes import make_prefixes

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
STATE = {
    "question": "q",
    "steps": ["3+4=7"],
    "factors": ["Compute"],
    "legal_factors": ["Compute", "Answer"],
    "prior": [0.5, 0.5],
    "pi": [0.25, 0.75],
    "value": 0.5,
    "outcome": "correct",
    "taxonomy": TAXONOMY_VERSION,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``policy_value`` of one search by the embedded reasoner, as a Parquet file."""
    prefixes = make_prefixes(read_seeds(str(SEEDS)).seeds, n_prefixes=0)
    config = PuctConfig(n_simulations=8, n_root_rollouts=6, replicas=(Replica(1.0),))
    engine = open_engine(EngineSettings(device="cpu"))
    with Journal(":memory:") as journal:
        found = search_prefixes(prefixes, engine, journal, config=GenerateConfig(puct=config))
    path = tmp_path_factory.mktemp("tables") / "policy_value.parquet"
    export_policy_value(found.nodes, found.rollouts, prefixes).write_parquet(path)
    return path


@pytest.mark.slow
def test_two_heads_come_nearer_to_search_and_outcome_than_prior_and_mean(
    table: Path, tmp_path: Path
) -> None:
    rows = pl.read_parquet(table)
    report = train_two_heads(
        rows, checkpoint=WEIGHTS, out=tmp_path, schedule=Schedule(epochs=3), device="cpu"
    )
    assert report.n_train + report.n_heldout == rows.height
    assert 0 < report.n_choices <= report.n_heldout
    assert report.floor < report.policy < min(report.policy_before, report.prior)
    assert report.value < report.value_base
    guide = load_guide(tmp_path, device="cpu")
    assert guide.has_policy


@pytest.mark.slow
def test_the_published_example_trains_what_a_search_can_ask(table: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, EXAMPLES / "train_policy_value.py", "--data", table),
            *("--out", tmp_path / "guide", "--minutes", "0.05"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = ("cross-entropy to π", "the prior P has", "Brier score", "mean value")
    assert all(words in done.stdout for words in said)
    assert load_guide(tmp_path / "guide", device="cpu").has_policy


# ---- rows


def questions(n: int) -> pl.DataFrame:
    return pl.DataFrame({"question": [f"q{idx // 3}" for idx in range(3 * n)], "n": range(3 * n)})


@pytest.mark.parametrize(("n", "n_heldout"), [(2, 1), (10, 2), (100, 20)])
def test_whole_questions_are_held_out_whatever_the_order_of_the_rows(
    n: int, n_heldout: int
) -> None:
    rows = questions(n)
    train, heldout = split_by_question(rows, "question", heldout=0.2)
    assert train.height + heldout.height == rows.height
    assert heldout["question"].n_unique() == n_heldout
    assert not set(train["question"]) & set(heldout["question"])
    _, again = split_by_question(rows.sample(fraction=1, shuffle=True), "question", heldout=0.2)
    assert set(again["question"]) == set(heldout["question"])


def test_rows_of_one_question_cannot_be_split() -> None:
    with pytest.raises(ConfigError, match="rows of 1 questions"):
        split_by_question(questions(1), "question", heldout=0.2)


def test_rows_of_another_taxonomy_are_refused(tmp_path: Path) -> None:
    rows = pl.DataFrame([STATE, STATE | {"question": "r", "taxonomy": "another"}])
    with pytest.raises(ConfigError, match=r"taxonomy \['another'\]"):
        train_two_heads(rows, checkpoint=WEIGHTS, out=tmp_path)


def test_rows_are_read_from_a_file_or_from_a_published_folder(tmp_path: Path) -> None:
    rows = questions(2)
    rows.write_parquet(tmp_path / "rows.parquet")
    assert read_rows(str(tmp_path / "rows.parquet"), "prm").equals(rows)
    folder = tmp_path / "published" / "prm"
    folder.mkdir(parents=True)
    rows.write_parquet(folder / "train-00000-of-00001.parquet")
    card = (
        "configs:\n- config_name: prm\n  data_files:\n  - split: train\n    path: prm/*.parquet\n"
    )
    (folder.parent / "README.md").write_text(f"---\n{card}---\n")
    assert read_rows(str(folder.parent), "prm").equals(rows)


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no table 'prm' can be read from .*nowhere"):
        read_rows(str(tmp_path / "nowhere"), "prm")


# ---- what is learned


@pytest.mark.parametrize(
    ("outcome", "value"), [("correct", 0.75), ("wrong", 0.25), ("unverifiable", 0.5), (None, 0.5)]
)
def test_only_an_outcome_that_is_right_or_wrong_is_mixed_into_the_value(
    outcome: str | None, value: float, tmp_path: Path
) -> None:
    # The mean of the training rows is what the report holds the value against.
    rows = pl.DataFrame(
        [STATE | {"question": q, "outcome": outcome} for q in ("q", "r", "s")],
        schema_overrides={"outcome": pl.String},
    )
    report = train_two_heads(
        rows,
        checkpoint=WEIGHTS,
        out=tmp_path,
        schedule=Schedule(epochs=0),
        outcome_weight=0.5,
        device="cpu",
    )
    assert report.value_base == 0
    assert report.value == pytest.approx((0.5 - value) ** 2)


def test_the_policy_is_measured_over_the_legal_factors_alone(tmp_path: Path) -> None:
    rows = pl.DataFrame([STATE | {"question": q} for q in "qrs"])
    report = train_two_heads(
        rows, checkpoint=WEIGHTS, out=tmp_path, schedule=Schedule(epochs=0), device="cpu"
    )
    assert report.policy == report.policy_before
    assert report.prior == pytest.approx(0.6931, abs=1e-4)
    assert report.floor == pytest.approx(0.5623, abs=1e-4)
    _, heldout = split_by_question(rows, "question", heldout=0.2)
    state = Trace(heldout["question"].item(), (Step("3+4=7", Factor.COMPUTE),))
    policy = load_guide(tmp_path, device="cpu").evaluate([state])[0].policy or ()
    said = dict(zip(ACTIONS, policy, strict=True))
    legal = [said[Factor.COMPUTE], said[Factor.ANSWER]]
    assert sum(legal) < 0.9
    expected = -sum(
        pi * math.log(p / sum(legal)) for pi, p in zip([0.25, 0.75], legal, strict=True)
    )
    assert report.policy == pytest.approx(expected, abs=1e-4)
    with_one = pl.DataFrame(
        [
            STATE | {"question": q, "legal_factors": ["Answer"], "prior": [1.0], "pi": [1.0]}
            for q in "qrs"
        ]
    )
    one = train_two_heads(
        with_one, checkpoint=WEIGHTS, out=tmp_path, schedule=Schedule(epochs=0), device="cpu"
    )
    assert one.n_choices == 0


@pytest.mark.slow
def test_training_ends_when_its_time_is_up(tmp_path: Path) -> None:
    rows = pl.DataFrame([STATE | {"question": q} for q in "qrs"])
    steps: list[float] = []
    train_two_heads(
        rows,
        checkpoint=WEIGHTS,
        out=tmp_path,
        schedule=Schedule(epochs=10_000, minutes=0.03),
        device="cpu",
        on_step=lambda done, loss: steps.append(done),
    )
    assert 0 < len(steps) < 5_000
    assert steps == sorted(steps)
