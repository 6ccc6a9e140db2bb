"""Tells the thought factor of a step on a CPU, without a language model, and how sure it is.

Two stages. A linear support vector machine scores each step by word and character n-grams, phrases
and marks (:mod:`datagen.factors.features`) of the step and, more faintly, of its neighbours. Then a
logistic regression reads these scores along the thought, two steps back and two ahead, since what
a step does depends on what was done before (stacking: Wolpert 1992). What is shipped is not a
pickle but numbers and words, so loading it runs no code.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from datagen.errors import ConfigError
from datagen.factors.features import marks, phrases, words
from datagen.factors.labelled import Labelled
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Trace

WEIGHTS: Final = Path(__file__).parent / "weights"
"""The shipped classifier, with its card."""

_N_FOLDS: Final = 4
_MARK: Final = 0.7
_NEIGHBOUR: Final = 0.5
_PHRASE: Final = 0.25
_BASE_C: Final = 0.3
_SHARPNESS: Final = 4.0
"""Scores are multiplied by this before they are read as log-odds of the neighbours."""
_AROUND: Final = (-2, -1, 1, 2)
_AROUND_WEIGHT: Final = 3.0
_STACK_C: Final = 0.03
# All of these were chosen by cross-validation within the documents that are not held out.

_VECTORIZERS: Final[dict[str, dict[str, Any]]] = {
    "words": {
        "ngram_range": (1, 3),
        "min_df": 2,
        "sublinear_tf": True,
        "token_pattern": r"(?u)\b\w[\w']*\b|[^\w\s]",
    },
    "characters": {
        "analyzer": "char_wb",
        "ngram_range": (2, 5),
        "min_df": 3,
        "sublinear_tf": True,
    },
    "marks": {"token_pattern": r"\S+", "sublinear_tf": True, "min_df": 2},
    "neighbours": {"ngram_range": (1, 2), "min_df": 3, "sublinear_tf": True},
}


@dataclass(frozen=True, slots=True)
class _Base:
    """The first stage: one score per step and factor, ``(n_steps, n_factors)``."""

    vectorizers: dict[str, TfidfVectorizer]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def fit(cls, traces: Sequence[Trace], factors: Sequence[Factor]) -> "_Base":
        vectorizers = {name: TfidfVectorizer(**how) for name, how in _VECTORIZERS.items()}
        labels = [step.factor.value for trace in traces for step in trace.steps]
        model = LinearSVC(C=_BASE_C, class_weight="balanced", random_state=0)
        try:
            for name, vectorizer in vectorizers.items():
                vectorizer.fit([text for trace in traces for text in _texts(name, trace)])
            matrices = [_matrix(vectorizers, trace) for trace in traces]
            model.fit(sparse.csr_matrix(sparse.vstack(matrices)), labels)
        except ValueError as error:  # what scikit-learn says of too few words, or of one factor
            raise ConfigError(
                f"the labelled documents cannot be learned from: {error}; give more of them"
            ) from error
        coefficients, intercept = _per_class(model)
        # A factor that no step has is as far off as can be.
        weights = np.zeros((coefficients.shape[1], len(factors)), np.float32)
        bias = np.full(len(factors), -2.0, np.float32)
        columns = [factors.index(Factor(name)) for name in model.classes_]
        weights[:, columns] = coefficients.T
        bias[columns] = intercept
        return cls(vectorizers, weights, bias)

    def scores(self, trace: Trace) -> NDArray[np.float64]:
        found = _matrix(self.vectorizers, trace) @ self.weights + self.bias
        return np.asarray(found, np.float64)


class StepClassifier:
    """P(factor | step, its neighbours, the question)."""

    def __init__(
        self,
        factors: tuple[Factor, ...],
        base: _Base,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        temperature: float,
    ) -> None:
        self.factors = factors
        self._base = base
        self._weights = weights
        self._bias = bias
        self._temperature = temperature

    @classmethod
    def fit(cls, documents: Sequence[Labelled]) -> "StepClassifier":
        """Learn from labelled documents.

        The second stage learns from scores of documents that the first did not see, and the
        temperature is set on documents that the second did not see.

        Raises:
            ConfigError: if there are too few documents, factors or words.
        """
        traces = [doc.trace for doc in documents]
        present = {step.factor for trace in traces for step in trace.steps}
        factors = tuple(factor for factor in Factor if factor in present)
        if len(documents) < _N_FOLDS or len(factors) < 2:
            raise ConfigError(
                f"{len(documents)} labelled documents with {len(factors)} factors are too few to "
                f"learn from; give {_N_FOLDS} documents and 2 factors, or more"
            )
        seen_by_none = [np.empty(0)] * len(traces)
        for known, rest in _folds(len(traces)):
            part = _Base.fit([traces[i] for i in known], factors)
            for i in rest:
                seen_by_none[i] = _context(part.scores(traces[i]))
        truth = [
            np.array([factors.index(step.factor) for step in trace.steps], np.intp)
            for trace in traces
        ]
        logits: list[NDArray[np.float64]] = []
        aims: list[NDArray[np.intp]] = []
        for known, rest in _folds(len(traces)):
            weights, bias = _stack(
                [seen_by_none[i] for i in known], [truth[i] for i in known], len(factors)
            )
            logits += [seen_by_none[i] @ weights + bias for i in rest]
            aims += [truth[i] for i in rest]
        temperature = _temperature(np.concatenate(logits), np.concatenate(aims))
        weights, bias = _stack(seen_by_none, truth, len(factors))
        return cls(factors, _Base.fit(traces, factors), weights, bias, temperature)

    def probabilities(self, trace: Trace) -> NDArray[np.float64]:
        """P(factor) of each step, ``(n_steps, n_factors)``, in the order of ``factors``."""
        if not trace.steps:
            return np.zeros((0, len(self.factors)))
        logits = _context(self._base.scores(trace)) @ self._weights + self._bias
        return _softmax(logits / self._temperature)

    def save(self, folder: Path) -> None:
        """Write ``classifier.safetensors`` and ``vocabulary.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        base = self._base
        tensors = {
            "base_weights": base.weights.astype(np.float16),
            "base_bias": base.bias,
            "weights": self._weights,
            "bias": self._bias,
            "temperature": np.array([self._temperature], np.float64),
            **{f"idf_{name}": v.idf_.astype(np.float32) for name, v in base.vectorizers.items()},
        }
        save_file(tensors, folder / "classifier.safetensors")
        plain = {
            "factors": [factor.value for factor in self.factors],
            "terms": {
                name: list(map(str, v.get_feature_names_out()))
                for name, v in base.vectorizers.items()
            },
        }
        text = json.dumps(plain, ensure_ascii=False, indent=0)
        (folder / "vocabulary.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path = WEIGHTS) -> "StepClassifier":
        """Read what :meth:`save` wrote.

        Raises:
            ConfigError: if the folder holds no classifier, or one of other factors.
        """
        try:
            tensors = load_file(folder / "classifier.safetensors")
            plain = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
            factors = tuple(map(Factor, plain["factors"]))
            vectorizers: dict[str, TfidfVectorizer] = {}
            for name, how in _VECTORIZERS.items():
                vectorizers[name] = TfidfVectorizer(**how, vocabulary=plain["terms"][name])
                vectorizers[name].idf_ = tensors[f"idf_{name}"].astype(np.float64)
            base = _Base(
                vectorizers, tensors["base_weights"].astype(np.float32), tensors["base_bias"]
            )
            temperature = float(tensors["temperature"][0])
            return cls(factors, base, tensors["weights"], tensors["bias"], temperature)
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise ConfigError(
                f"no classifier of these thought factors in {str(folder)!r} ({error}); make one "
                "with `python -m datagen.factors.train`"
            ) from error


@cache
def shipped_classifier() -> StepClassifier:
    """The classifier that ships with this package."""
    return StepClassifier.load()


def _texts(name: str, trace: Trace) -> list[str]:
    return marks(trace) if name == "marks" else words(trace)


def _matrix(vectorizers: dict[str, TfidfVectorizer], trace: Trace) -> sparse.csr_matrix:
    """``(n_steps, n_features)``."""
    texts = words(trace)
    near = vectorizers["neighbours"]
    blocks = [
        vectorizers["words"].transform(texts),
        vectorizers["characters"].transform(texts),
        _MARK * vectorizers["marks"].transform(marks(trace)),
        _PHRASE * sparse.csr_matrix(phrases(trace)),
        _NEIGHBOUR * near.transform(["", *texts[:-1]]),
        _NEIGHBOUR * near.transform([*texts[1:], ""]),
    ]
    return sparse.csr_matrix(sparse.hstack(blocks))


def _context(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Own scores, and the softmax of those around; ``(n_steps, n_factors * 5)``."""
    sharp = _SHARPNESS * scores
    mass = _AROUND_WEIGHT * _softmax(sharp)
    blocks = [sharp]
    for shift in _AROUND:
        block = np.zeros_like(mass)
        for idx in range(max(0, -shift), min(len(mass), len(mass) - shift)):
            block[idx] = mass[idx + shift]
        blocks.append(block)
    return np.hstack(blocks)


def _stack(
    rows: Sequence[NDArray[np.float64]], truth: Sequence[NDArray[np.intp]], n_factors: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and bias of the second stage."""
    model = LogisticRegression(C=_STACK_C, max_iter=300, class_weight="balanced")
    model.fit(np.vstack(rows), np.concatenate(truth))
    coefficients, intercept = _per_class(model)
    weights = np.zeros((coefficients.shape[1], n_factors), np.float32)
    bias = np.full(n_factors, -30.0, np.float32)
    weights[:, model.classes_] = coefficients.T
    bias[model.classes_] = intercept
    return weights, bias


def _per_class(
    model: LinearSVC | LogisticRegression,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and bias of each class, ``(n_classes, n_features)`` and ``(n_classes,)``."""
    weights, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(weights) == 1:  # of two classes only the second one has its own
        weights = np.vstack([-weights, weights]) / 2
        bias = np.concatenate([-bias, bias]) / 2
    return weights.astype(np.float32), bias.astype(np.float32)


def _folds(n: int) -> list[tuple[list[int], list[int]]]:
    """Documents known and left out, ``_N_FOLDS`` times."""
    return [
        ([i for i in range(n) if i % _N_FOLDS != k], list(range(k, n, _N_FOLDS)))
        for k in range(_N_FOLDS)
    ]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _temperature(logits: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    """The temperature at which left-out labels are likeliest (Guo et al. 2017, section 4.2)."""

    def loss(temperature: float) -> float:
        mass = _softmax(logits / temperature)
        return float(-np.log(mass[np.arange(len(truth)), truth] + 1e-12).mean())

    return float(min(np.geomspace(0.25, 4.0, 81), key=loss))
