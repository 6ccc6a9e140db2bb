"""The GSM8K dialect: the solution and its answer in one field, calculations in angle brackets.

::

    Natalia sold 48/2 = <<48/2=24>>24 clips in May.
    #### 24

The surprising fact: the ``<<…>>`` annotations are taken out of the text (they were made for a
calculator and a model should not learn to write them) but kept as facts about their step: a human
label that a checker can decide without any rollout. Some are false; they are kept all the same.

Source: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", appendix on calculator
annotations.
"""

import re
from typing import Final

from datagen.seeds.refusals import Refused
from datagen.seeds.rows import Annotation, Dialect, Fields

_ANNOTATION: Final = re.compile(r"<<([^<>\n]*+)>>")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def looks_like_gsm8k(fields: Fields) -> bool:
    """Whether a row has GSM8K's two fields and answer mark."""
    answer = fields.get("answer")
    return "thought" not in fields and isinstance(answer, str) and "\n####" in answer


def from_gsm8k(fields: Fields) -> tuple[Fields, tuple[Annotation, ...]]:
    """Take the thought, the gold answer and the annotations out of the ``answer`` field.

    Raises:
        Refused: if ``answer`` is no text or has no ``####``.
    """
    solution = fields.get("answer")
    if not isinstance(solution, str):
        raise Refused(
            "answer",
            "missing" if solution is None else "wrong type",
            f"answer is {solution!r:.60}; GSM8K keeps the solution there, as text",
            solution,
        )
    annotated, mark, gold = solution.rpartition("####")
    if not mark:
        raise Refused(
            "answer",
            "no '####'",
            "answer has no '####' line; GSM8K ends each solution with '#### <answer>'",
            solution,
        )
    thought, annotations = take_annotations(annotated.rstrip())
    answer = _THOUSANDS.sub("", gold.strip())
    return {**fields, "thought": thought, "answer": answer}, annotations


def take_annotations(text: str) -> tuple[str, tuple[Annotation, ...]]:
    """Remove each ``<<expression=value>>``; return the clean text and what was removed.

    An annotation without ``=`` has an empty value.
    """
    kept: list[str] = []
    annotations: list[Annotation] = []
    at = offset = 0
    for match in _ANNOTATION.finditer(text):
        kept.append(text[at : match.start()])
        offset += match.start() - at
        at = match.end()
        expression, equals, value = match[1].rpartition("=")
        annotations.append(
            Annotation(offset, expression.strip(), value.strip())
            if equals
            else Annotation(offset, match[1].strip(), "")
        )
    kept.append(text[at:])
    return "".join(kept), tuple(annotations)


GSM8K: Final = Dialect(
    read=from_gsm8k, required=("question", "answer"), license="MIT", verifier="numeric"
)
"""GSM8K's two fields, from whichever container."""
