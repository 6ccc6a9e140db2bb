"""The factor benchmark: how well the classifier tells what a step does, on documents it never saw.

Three questions of rising difficulty: documents that were held out, of styles that it knows; whole
styles that it never saw; and, for scale, how often a second annotator gave the first one's label.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import matplotlib
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    classification_report,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
)

from datagen.errors import ConfigError
from datagen.factors.classifier import StepClassifier, shipped_classifier
from datagen.factors.labelled import Labelled, read_labelled
from datagen.factors.taxonomy import Factor

matplotlib.use("Agg")

from matplotlib import pyplot as plt

FIGURES: Final = ("macro_f1", "n_heldout")
"""The figures that every report has; one ``f1`` per factor stands beside them."""

_SURE: Final = 0.5
_N_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class FactorReport:
    """What was found.

    Attributes:
        figures: ``macro_f1``, ``n_heldout`` and ``f1``, a mapping from factor to F1.
        detail: accuracy, calibration, styles, and agreement of the annotators.
        factors: labels of the confusion matrix, in its order.
        confusion: steps by true and predicted factor, ``(n_factors, n_factors)``.
    """

    figures: dict[str, Any]
    detail: dict[str, Any]
    factors: tuple[Factor, ...]
    confusion: NDArray[np.int64]


def bench_factors(
    *,
    quick: bool,
    note: Callable[[str], None],
    documents: Sequence[Labelled] | None = None,
    classifier: StepClassifier | None = None,
) -> FactorReport:
    """Measure the shipped classifier on the held-out documents.

    Args:
        quick: leaves out the styles that it never saw, for which it is trained anew six times.
        note: is told what comes next.
        documents: labelled documents, if not the shipped ones.
        classifier: what is measured, if not the shipped one.

    Raises:
        ConfigError: if no document is held out, or there is no shipped classifier.
    """
    documents = read_labelled() if documents is None else documents
    classifier = classifier or shipped_classifier()
    held_out = [doc for doc in documents if doc.held_out]
    if not held_out:
        raise ConfigError(
            f"none of {len(documents)} labelled documents is held out; every fourth of a file is, "
            "so give files of four or more"
        )
    note(f"{len(held_out)} held-out documents")
    truth, told, sure = _predict(classifier, held_out)
    factors = tuple(f for f in Factor if f in {*classifier.factors, *truth})
    names = [factor.value for factor in factors]
    f1_of = classification_report(
        truth, told, labels=names, output_dict=True, zero_division=cast(Any, 0.0)
    )
    each = [float(cast(Any, f1_of)[name]["f1-score"]) for name in names]
    figures: dict[str, Any] = {
        "macro_f1": float(np.mean(each)),
        "n_heldout": len(truth),
        "f1": dict(zip(names, each, strict=True)),
    }
    right = np.array(truth) == np.array(told)
    detail: dict[str, Any] = {
        "n_training": sum(len(doc.trace.steps) for doc in documents if not doc.held_out),
        "accuracy": float(right.mean()),
        "expected_calibration_error": _calibration_error(sure, right),
        "sure_share": float((sure >= _SURE).mean()),
        "sure_accuracy": float(right[sure >= _SURE].mean()) if (sure >= _SURE).any() else None,
        "styles": _by_style(classifier, held_out),
        "labelled_twice": _scores(classifier, [doc for doc in held_out if doc.second]),
        "annotators": _agreement(documents),
        "annotators_heldout": _agreement(held_out),
    }
    if not quick:
        detail["unseen_styles"] = _unseen_styles(documents, note)
    confusion = np.asarray(confusion_matrix(truth, told, labels=names), np.int64)
    return FactorReport(figures, detail, factors, confusion)


def confusion_plot(report: FactorReport, path: Path) -> None:
    """The confusion matrix as a picture, each row as shares of the true factor."""
    names = [factor.value for factor in report.factors]
    totals = report.confusion.sum(axis=1, keepdims=True)
    shares = report.confusion / np.maximum(totals, 1)
    figure: Any
    axes: Any
    figure, axes = plt.subplots(figsize=(9.5, 8.8), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), n in np.ndenumerate(report.confusion):
        if n:
            color = "white" if shares[row, column] > 0.6 else "#333333"
            axes.text(column, row, str(n), ha="center", va="center", fontsize=7, color=color)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("told by the classifier")
    axes.set_ylabel("label")
    macro, n = report.figures["macro_f1"], report.figures["n_heldout"]
    axes.set_title(f"{n:,} held-out steps, macro-F1 {macro:.2f}", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _predict(
    classifier: StepClassifier, documents: Sequence[Labelled]
) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """True factor, told factor and its probability, of each step."""
    truth: list[str] = []
    told: list[str] = []
    sure: list[float] = []
    for doc in documents:
        mass = classifier.probabilities(doc.trace)
        truth += [step.factor.value for step in doc.trace.steps]
        told += [classifier.factors[k].value for k in mass.argmax(axis=1)]
        sure += list(map(float, mass.max(axis=1)))
    return truth, told, np.array(sure)


def _macro(truth: Sequence[str], told: Sequence[str]) -> float:
    """Macro-F1 over the factors that occur in ``truth``."""
    return float(f1_score(truth, told, labels=sorted(set(truth)), average="macro"))


def _scores(classifier: StepClassifier, documents: Sequence[Labelled]) -> dict[str, Any] | None:
    truth, told, _ = _predict(classifier, documents)
    if not truth:
        return None
    accuracy = float(np.mean(np.array(truth) == np.array(told)))
    return {"n": len(truth), "macro_f1": _macro(truth, told), "accuracy": accuracy}


def _by_style(classifier: StepClassifier, documents: Sequence[Labelled]) -> dict[str, Any]:
    return {
        style: _scores(classifier, [doc for doc in documents if doc.style == style])
        for style in sorted({doc.style for doc in documents})
    }


def _unseen_styles(
    documents: Sequence[Labelled], note: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for style in sorted({doc.style for doc in documents}):
        note(f"trained without {style!r}")
        known = [doc for doc in documents if doc.style != style]
        others = StepClassifier.fit(known)
        truth, told, _ = _predict(others, [doc for doc in documents if doc.style == style])
        found[style] = {"n": len(truth), "macro_f1": _macro(truth, told)}
    return found


def _agreement(documents: Sequence[Labelled]) -> dict[str, Any] | None:
    """How often the second annotator, who saw no labels, gave the label that now stands."""
    pairs = [
        (step.factor.value, other.value)
        for doc in documents
        for step, other in zip(doc.trace.steps, doc.second, strict=bool(doc.second))
    ]
    if not pairs:
        return None
    first, second = map(list, zip(*pairs, strict=True))
    return {
        "n": len(pairs),
        "share": float(np.mean(np.array(first) == np.array(second))),
        "kappa": float(cohen_kappa_score(first, second)),
    }


def _calibration_error(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten equal bins (Guo et al. 2017, section 2)."""
    bins = np.minimum((sure * _N_BINS).astype(int), _N_BINS - 1)
    return float(
        sum(
            abs(sure[bins == k].mean() - right[bins == k].mean()) * (bins == k).mean()
            for k in np.unique(bins)
        )
    )
