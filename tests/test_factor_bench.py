"""The factor benchmark: its figures are those of the confusions, and its command writes them."""

import io
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from rich.console import Console

from assets.bench.factors import run_factor_bench
from assets.cli import cli
from datagen.bench.factors import FactorReport, bench_factors
from datagen.errors import ConfigError
from datagen.factors.classifier import WEIGHTS, StepClassifier
from datagen.factors.labelled import Labelled, read_labelled
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step, Trace

pytestmark = pytest.mark.slow

NOUN = {Factor.PLAN: "plan", Factor.COMPUTE: "sum", Factor.ANSWER: "end"}


class Told:
    """A classifier that says the factor of a step's first word, with the probability behind it."""

    factors = (Factor.PLAN, Factor.COMPUTE)

    def probabilities(self, trace: Trace) -> NDArray[np.float64]:
        rows: list[list[float]] = []
        for step in trace.steps:
            noun, sure = step.text.split()
            rows.append([float(sure), 1 - float(sure)] if noun == "plan" else [0.1, 0.9])
        return np.array(rows)


def document(name: str, *steps: tuple[Factor, str], **fields: Any) -> Labelled:
    trace = Trace("?", tuple(Step(text, factor) for factor, text in steps))
    return Labelled(name, fields.pop("style", "a"), trace, **fields)


DOCUMENTS = [
    document("known", (Factor.PLAN, "plan 1")),
    document("a1", (Factor.PLAN, "plan 1"), (Factor.PLAN, "sum 1"), held_out=True),
    document(
        "b1",
        (Factor.COMPUTE, "sum 1"),
        (Factor.ANSWER, "plan 0.6"),
        style="b",
        second=(Factor.COMPUTE, Factor.DEDUCE),
        held_out=True,
    ),
]


def report() -> FactorReport:
    classifier = cast(StepClassifier, Told())
    return bench_factors(
        quick=True, note=lambda _: None, documents=DOCUMENTS, classifier=classifier
    )


def test_figures_are_those_of_the_confusions() -> None:
    found = report()
    assert found.factors == (Factor.PLAN, Factor.COMPUTE, Factor.ANSWER)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert found.figures["n_heldout"] == 4
    # Plan: one of two found, one of two right. The answer, which it does not know, counts as 0.
    assert found.figures["f1"] == pytest.approx({"Plan": 1 / 2, "Compute": 2 / 3, "Answer": 0})
    assert found.figures["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert found.detail["n_training"] == 1
    assert found.detail["accuracy"] == 0.5
    assert found.detail["styles"]["b"] == pytest.approx(
        {"n": 2, "macro_f1": 1 / 2, "accuracy": 0.5}
    )
    # Two of three are right that it is sure of by 1, 0.9 and 0.9; one of 0.6 is not.
    assert found.detail["expected_calibration_error"] == pytest.approx((2.8 - 2 + 0.6 - 0) / 4)


def test_the_second_annotator_is_held_against_the_first_one() -> None:
    agreement = report().detail["annotators"]
    assert (agreement["n"], agreement["share"]) == (2, 0.5)
    assert report().detail["labelled_twice"]["n"] == 2


def test_without_held_out_documents_there_is_nothing_to_measure() -> None:
    with pytest.raises(ConfigError, match="none of 1 labelled documents is held out; every fourth"):
        bench_factors(
            quick=True,
            note=lambda _: None,
            documents=DOCUMENTS[:1],
            classifier=cast(StepClassifier, Told()),
        )


@pytest.mark.slow
def test_a_style_that_is_not_trained_on_is_measured_whole(tmp_path: Path) -> None:
    documents = read_labelled()[::12]
    screen = io.StringIO()
    run_factor_bench(
        Console(file=screen, width=100),
        out=tmp_path,
        quick=False,
        json_path=None,
        plot_path=None,
        documents=documents,
        classifier=StepClassifier.fit([doc for doc in documents if not doc.held_out]),
    )
    unseen = json.loads((tmp_path / "factors.json").read_text())["detail"]["unseen_styles"]
    for style in {doc.style for doc in documents}:
        whole = [doc for doc in documents if doc.style == style]
        assert unseen[style]["n"] == sum(len(doc.trace.steps) for doc in whole)
        assert 0 < unseen[style]["macro_f1"] < 0.9  # what was trained on is told nearly always
        assert f"trained without {style!r}" in screen.getvalue()


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the weights are not made yet")
def test_the_command_prints_figures_and_writes_json_and_picture(tmp_path: Path) -> None:
    out, figures, picture = tmp_path / "out", tmp_path / "new" / "f.json", tmp_path / "f.png"
    given = ["--quick", "--out", str(out), "--json", str(figures), "--plot", str(picture)]
    done = CliRunner().invoke(cli, ["bench", "factors", *given], catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads(figures.read_text())
    assert list(told) == ["macro_f1", "n_heldout", "f1", "detail"]
    assert set(told["f1"]) >= {"Compute", "Backtrack"} and told["n_heldout"] >= 600
    assert told["macro_f1"] == pytest.approx(sum(told["f1"].values()) / len(told["f1"]), abs=1e-3)
    assert (out / "factors.json").read_text() == figures.read_text()
    for path in (out / "factors.png", picture):
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 20_000
    assert "unseen_styles" not in told["detail"]
