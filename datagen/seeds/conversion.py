"""Makes a row of the ``seeds`` table a trace.

The surprising fact: the two say "step" differently. A row's steps join to the thought and so keep
their tags; a trace's steps carry the factor beside the text, so the tags come off here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step, Trace
from datagen.traces.tagged import words_of


def seed_trace(row: Mapping[str, Any]) -> Trace:
    """The human trace of one row of the ``seeds`` table (as from ``frame.iter_rows(named=True)``).

    Steps keep their order and number, so a ``step_idx`` of the row's facts is one of the trace's.
    """
    texts, factors = cast(Sequence[str], row["steps"]), cast(Sequence[str], row["factors"])
    return Trace(
        question=row["question"],
        steps=tuple(
            Step(words_of(text), Factor(factor), "human")
            for text, factor in zip(texts, factors, strict=True)
        ),
        answer=row["answer"],
    )
