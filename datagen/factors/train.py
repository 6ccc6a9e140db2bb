"""``python -m datagen.factors.train``: trains the classifier of steps, and writes its card.

Only documents that are not held out are learned from, so that what ships is what is measured.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datagen.factors.classifier import WEIGHTS, StepClassifier
from datagen.factors.labelled import STEPS, Labelled, read_labelled

_CARD: Final = """\
# The classifier of steps

Tells which thought factor a reasoning step performs. A linear support vector machine over word
and character n-grams, groups of phrases and the place of the step, then a logistic regression over
its scores for the step and its neighbours. Made by `python -m datagen.factors.train` from the
{n_steps:,} steps of the {n_documents} labelled documents in `datagen/factors/steps/` that are
not held out ({styles}).
`datagen bench factors` measures it on the {n_held_out:,} steps that are.

English only. Steps of kinds that the documents do not show (other languages, dialogue, proofs by
machine) are outside of what was measured: look at the probabilities, and at `needs_review`.

`classifier.safetensors` holds weights (float16) and document frequencies, `vocabulary.json` the
terms that they belong to. Loading them runs no code.
"""


def train(documents: Sequence[Labelled], folder: Path) -> StepClassifier:
    """Train on what is not held out, and write classifier and card to ``folder``."""
    known = [doc for doc in documents if not doc.held_out]
    classifier = StepClassifier.fit(known)
    classifier.save(folder)
    card = _CARD.format(
        n_steps=sum(len(doc.trace.steps) for doc in known),
        n_documents=len(known),
        styles=", ".join(sorted({doc.style for doc in documents})),
        n_held_out=sum(len(doc.trace.steps) for doc in documents if doc.held_out),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return classifier


def main() -> None:
    """Train from the shipped documents, and from more of them if files are given."""
    parser = argparse.ArgumentParser(description="train the classifier of reasoning steps")
    parser.add_argument(
        "steps", nargs="*", type=Path, help="more labelled documents, JSON Lines as in the package"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write to")
    given = parser.parse_args()
    documents = read_labelled([*sorted(STEPS.glob("*.jsonl")), *given.steps])
    classifier = train(documents, given.out)
    print(f"{len(classifier.factors)} factors; wrote {given.out}")


if __name__ == "__main__":
    main()
