"""The verifier of questions without a checkable answer: it never has a verdict.

Scores by a rubric are a model's opinion. They are made by :mod:`datagen.rubrics` and kept in a
table of their own, so that no opinion is ever counted as a verified outcome.
"""

from datagen.verify.verdict import Verdict, unverifiable


def rubric(answer_text: str, gold: str, /) -> Verdict:
    """Always ``unverifiable``; the gold answer is for people to read."""
    return unverifiable(
        answer_text, "answers by rubric cannot be verified; their scores are kept apart"
    )
