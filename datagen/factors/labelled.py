"""Steps that were labelled one by one: what the classifier learns from and is measured on.

The files in ``steps/`` hold whole documents, not single steps, since what a step does depends on
those around it. A document is wholly for training or wholly held out: every fourth one of a file
is, so that each style is tried, and a document that is added at the end moves no other.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step, Trace

STEPS: Final = Path(__file__).parent / "steps"
"""The folder of the labelled documents, with the guidelines that they were labelled by."""

_HELD_OUT_OF: Final = 4
"""One document in so many of a file is held out."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A document whose steps have labels.

    Attributes:
        doc_id: names the document.
        style: what it is written like.
        trace: its question and steps, each with the label as its factor.
        second: what a second annotator said who did not see the labels, ``(n_steps,)``; empty where
            there was none.
        held_out: whether the shipped classifier has never seen it.
    """

    doc_id: str
    style: str
    trace: Trace
    second: tuple[Factor, ...] = ()
    held_out: bool = False


def read_labelled(paths: Iterable[Path] | None = None) -> list[Labelled]:
    """Read labelled documents, in the order of files and lines.

    Args:
        paths: JSON Lines files with ``doc_id``, ``style``, ``question``, ``steps`` (a list of
            ``[factor, text]``) and, if there is one, ``second``; ``None`` takes the shipped ones.

    Raises:
        ConfigError: if a line is not such a document, names an unknown factor, or repeats a
            ``doc_id``.
    """
    paths = sorted(STEPS.glob("*.jsonl")) if paths is None else paths
    found = [doc for path in paths for doc in _documents(path)]
    seen: set[str] = set()
    for doc in found:
        if doc.doc_id in seen:
            raise ConfigError(f"doc_id={doc.doc_id!r} occurs twice; give each document its own")
        seen.add(doc.doc_id)
    return found


def _documents(path: Path) -> Iterator[Labelled]:
    try:
        # Not splitlines: texts may hold further characters that end a line for it.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read labelled steps from {str(path)!r}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _document(json.loads(line), held_out=number % _HELD_OUT_OF == 0)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{str(path)!r} line {number}: {error!r}; a line has doc_id, style, question and "
                "steps, a list of [factor, text]"
            ) from error


def _document(row: dict[str, Any], *, held_out: bool) -> Labelled:
    steps = tuple(Step(text, Factor(factor), "human") for factor, text in row["steps"])
    second = tuple(map(Factor, row.get("second", ())))
    if not steps or (second and len(second) != len(steps)):
        raise ValueError(f"{len(steps)} steps and {len(second)} second labels")
    trace = Trace(row["question"], steps)
    for text in (row["doc_id"], row["style"], trace.question, *(step.text for step in steps)):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no text")
    return Labelled(row["doc_id"], row["style"], trace, second, held_out)
