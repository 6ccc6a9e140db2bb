"""The classifier of steps: what it says is a posterior, of the step in its place, and lasts."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.metrics import f1_score

from datagen.errors import ConfigError
from datagen.factors.classifier import WEIGHTS, StepClassifier, shipped_classifier
from datagen.factors.extension import VARIABLE
from datagen.factors.labelled import Labelled, read_labelled
from datagen.factors.taxonomy import Factor
from datagen.factors.train import train
from datagen.traces.model import Step, Trace

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason="the weights are not made yet")

QUESTION = "A box holds 6 pens. Ann buys 3 boxes and gives away 4 pens. How many are left?"
TRACE = Trace(
    QUESTION,
    tuple(
        map(
            Step,
            [
                "We are asked how many pens are left.",
                "3 * 6 = 18 pens in all.",
                "18 - 4 = 14.",
                "Wait, that's wrong: I forgot a box.",
                "So the answer is 14.",
            ],
        )
    ),
)


@pytest.fixture(scope="module")
def documents() -> list[Labelled]:
    """A few of each style."""
    return [doc for doc in read_labelled() if not doc.held_out][::6]


@pytest.fixture(scope="module")
def folder(documents: list[Labelled], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    train(documents, folder)
    return folder


@pytest.fixture(scope="module")
def classifier(folder: Path) -> StepClassifier:
    return StepClassifier.load(folder)


def told(classifier: StepClassifier, trace: Trace) -> list[Factor]:
    return [classifier.factors[k] for k in classifier.probabilities(trace).argmax(axis=1)]


def steps(*texts: str) -> Trace:
    return Trace(QUESTION, tuple(map(Step, texts)))


def assert_posterior(classifier: StepClassifier, trace: Trace) -> None:
    mass = classifier.probabilities(trace)
    assert mass.shape == (len(trace.steps), len(classifier.factors))
    assert (mass >= 0).all() and mass.sum(axis=1) == pytest.approx(1)


# ---- what it says


def test_it_learns_what_steps_do(classifier: StepClassifier) -> None:
    found = told(classifier, TRACE)
    expected = (Factor.RESTATE_GOAL, Factor.COMPUTE, Factor.COMPUTE)
    assert tuple(found) == (*expected, Factor.DETECT_ERROR, Factor.ANSWER)
    assert len(classifier.factors) > 20
    assert_posterior(classifier, TRACE)


def test_the_same_words_do_something_else_in_another_place(classifier: StepClassifier) -> None:
    text = "3 * 6 = 18"
    late = steps("Let us add up.", "18 - 4 = 14.", "The answer is 14.", "Let me check:", text)
    early = steps(text, *(step.text for step in late.steps[:-1]))
    mass = [classifier.probabilities(early)[0], classifier.probabilities(late)[-1]]
    assert np.abs(mass[0] - mass[1]).sum() > 0.2
    check = classifier.factors.index(Factor.CHECK_RESULT)
    assert mass[1][check] > mass[0][check]


def test_what_stands_around_a_step_matters_up_to_two_steps_away(
    classifier: StepClassifier,
) -> None:
    texts = [step.text for step in TRACE.steps] * 2
    at = 5
    first = classifier.probabilities(steps(*texts))[at]
    for shift in (-2, -1, 1, 2):
        changed = texts.copy()
        changed[at + shift] = "Either n is even or it is odd."
        assert not np.allclose(classifier.probabilities(steps(*changed))[at], first, atol=1e-4)


@pytest.mark.parametrize(
    "text", ["", " \n\t ", "?", "数学 ∑ 🙂", "\0", "<ACT_Compute-Start> x", "= " * 60, "1" * 400]
)
def test_any_text_has_a_posterior(classifier: StepClassifier, text: str) -> None:
    for trace in (steps(text), steps(text, text), steps("3 * 6 = 18", text, "So 18.")):
        assert_posterior(classifier, trace)


def test_an_empty_trace_has_no_rows(classifier: StepClassifier) -> None:
    assert classifier.probabilities(Trace(QUESTION)).shape == (0, len(classifier.factors))


@pytest.mark.parametrize("unit", ["first ", "if ", "= ", "let x ", "then\n", " ", "7", "a"])
def test_a_very_long_step_takes_no_long_time(classifier: StepClassifier, unit: str) -> None:
    began = time.process_time()
    assert_posterior(classifier, steps(unit * (60_000 // len(unit)), "So 18."))
    assert time.process_time() - began < 5


# ---- kept and loaded


def test_what_is_loaded_says_what_was_saved(
    documents: list[Labelled], classifier: StepClassifier
) -> None:
    before = StepClassifier.fit(documents)
    for doc in documents[:10]:
        ours, theirs = (c.probabilities(doc.trace) for c in (classifier, before))
        assert ours == pytest.approx(theirs, abs=5e-3)
    assert classifier.factors == before.factors


def test_the_card_says_what_it_was_made_from(folder: Path, documents: list[Labelled]) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"the {len(documents)} labelled" in " ".join(card.split())


def damaged(folder: Path, into: Path, **changes: Any) -> Path:
    """A copy of the classifier whose vocabulary or tensors are not what they should be."""
    plain = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "classifier.safetensors")
    tensors.pop(changes.pop("without", ""), None)
    (into / "vocabulary.json").write_text(json.dumps({**plain, **changes}), encoding="utf-8")
    save_file(tensors, into / "classifier.safetensors")
    return into


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"factors": ["Compute", "Guess"]}, "'Guess' is not a valid Factor"),
        ({"terms": {}}, "words"),
        ({"without": "idf_marks"}, "idf_marks"),
        ({"without": "base_weights"}, "base_weights"),
    ],
)
def test_weights_of_other_factors_or_in_pieces_are_refused_with_the_fix(
    folder: Path, tmp_path: Path, changes: dict[str, Any], cause: str
) -> None:
    damaged(folder, tmp_path, **changes)
    with pytest.raises(ConfigError, match=rf"{cause}.*`python -m datagen\.factors\.train`"):
        StepClassifier.load(tmp_path)


def test_a_folder_without_weights_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no classifier .*datagen\.factors\.train"):
        StepClassifier.load(tmp_path)
    for name in ("classifier.safetensors", "vocabulary.json"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ConfigError, match=r"no classifier .*datagen\.factors\.train"):
        StepClassifier.load(tmp_path)


# ---- labels of one's own


def own(n: int, *kinds: tuple[Factor, str]) -> list[Labelled]:
    made = tuple(Step(text, factor, "human") for factor, text in kinds)
    return [Labelled(f"d{idx}", "own", Trace(QUESTION, made)) for idx in range(n)]


def test_two_factors_are_told_apart() -> None:
    kinds = [(Factor.COMPUTE, "calculate three times six"), (Factor.ANSWER, "so eighteen it is")]
    classifier = StepClassifier.fit(own(6, *kinds))
    trace = own(1, *kinds)[0].trace
    assert told(classifier, trace) == [Factor.COMPUTE, Factor.ANSWER]
    assert_posterior(classifier, trace)


@pytest.mark.parametrize(
    "documents",
    [
        own(3, (Factor.COMPUTE, "calculate three times six"), (Factor.ANSWER, "so eighteen")),
        own(6, (Factor.COMPUTE, "calculate three times six")),
        own(6, (Factor.COMPUTE, "."), (Factor.ANSWER, "")),
        [],
    ],
    ids=["documents", "factors", "words", "nothing"],
)
def test_too_few_labels_are_refused(documents: list[Labelled]) -> None:
    with pytest.raises(ConfigError, match=r"learn.*give"):
        StepClassifier.fit(documents)


TAXONOMY = """
version = "lab-1"
[[factor]]
name = "DrawFigure"
definition = "describe a figure"
example = "Draw the height."
counter_example = "AB is parallel to CD."
counter_factor = "ExtractGivens"
maps_to = {}
"""

TRAINS = """
import sys
from pathlib import Path
from datagen.factors.classifier import StepClassifier
from datagen.factors.labelled import read_labelled
from datagen.factors.train import train
documents = read_labelled([Path(sys.argv[1])])
train(documents, Path(sys.argv[2]))
classifier = StepClassifier.load(Path(sys.argv[2]))
mass = classifier.probabilities(documents[3].trace)
print(*(classifier.factors[k].value for k in mass.argmax(axis=1)))
"""


def test_a_factor_of_ones_own_is_learned_and_unknown_without_its_taxonomy(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(TAXONOMY, encoding="utf-8")
    lines = [
        json.dumps({
            "doc_id": f"d{idx}", "style": "own", "question": "What is its area?",
            "steps": [["DrawFigure", f"draw a triangle with base {idx}"],
                      ["Compute", f"half of {idx} times 4 = {2 * idx}"],
                      ["Answer", f"the area is {2 * idx}"]],
        })
        for idx in range(12)
    ]  # fmt: skip
    (tmp_path / "own.jsonl").write_text("\n".join(lines), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", TRAINS, str(tmp_path / "own.jsonl"), str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(tmp_path / "own.toml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout.split(), run.returncode) == (["DrawFigure", "Compute", "Answer"], 0), run
    with pytest.raises(ConfigError, match="'DrawFigure' is not a valid Factor"):
        StepClassifier.load(tmp_path / "out")


# ---- what ships


@needs_weights
def test_the_shipped_classifier_knows_every_factor_and_holds_its_bound() -> None:
    classifier = shipped_classifier()
    held_out = [doc for doc in read_labelled() if doc.held_out]
    truth = [step.factor for doc in held_out for step in doc.trace.steps]
    found = [factor for doc in held_out for factor in told(classifier, doc.trace)]
    assert set(classifier.factors) == set(truth)
    assert f1_score(truth, found, average="macro") >= 0.70
    known = [doc for doc in read_labelled() if not doc.held_out]
    n_steps = sum(len(doc.trace.steps) for doc in known)
    card = " ".join((WEIGHTS / "README.md").read_text(encoding="utf-8").split())
    assert f"the {n_steps:,} steps of the {len(known)} labelled documents" in card
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 8_000_000
