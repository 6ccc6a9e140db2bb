"""What a summary must be, whoever wrote it: free of markup, short, and true to the answer.

The answer that it states is compared with the gold answer and not with the trace's own words. The
trace is correct, so both are the same answer, and gold is what the verifier surely reads.
"""

import re
from typing import Final

from datagen.factors.taxonomy import Factor
from datagen.prompts.tag_lines import THOUGHT_CLOSES, THOUGHT_OPENS
from datagen.verify import Outcome, verify_completion

WITHOUT_STATED_ANSWER: Final = frozenset({"python", "python_output", "python_input", "command"})
"""Verifiers whose answers are code, which no summary says again."""

_JOINED: Final = "|".join(factor.value for factor in Factor)
_SPACED: Final = "|".join(re.sub(r"(?<=[a-z])(?=[A-Z])", "[ _-]?", f.value) for f in Factor)
_TAG: Final = re.compile(
    rf"<\\*/?(?:ACT_|Think)|[\[【<]\s?/?(?:{_SPACED})\s?[\]】>]", re.IGNORECASE
)
# A name of two words written as one, such as ExtractGivens, is no word of plain prose.
_NAME: Final = re.compile(rf"\b(?=[A-Z][a-z]+[A-Z])(?:{_JOINED})\b")


def n_words(text: str) -> int:
    """Words, told apart by white space."""
    return len(text.split())


def problem_of(
    summary: str | None, thought: str, gold: str, *, verifier: str, max_words: int
) -> str | None:
    """Why a summary cannot be used; ``None`` if it can.

    Args:
        summary: ``None`` if what was written could not be read as one.
        thought: the words of all steps.
        gold: the answer that it must state, unless that is code.
        verifier: how answers are compared.
        max_words: most words; it must also have fewer than the thought.
    """
    if summary is None:
        return "it was cut off, or is empty"
    for pattern in (_TAG, THOUGHT_OPENS, THOUGHT_CLOSES, _NAME):
        if found := pattern.search(summary):
            return f"it leaks the markup {found[0]!r}"
    n = n_words(summary)
    if n > max_words:
        return f"it has {n} words, more than {max_words}"
    if n >= (n_thought := n_words(thought)):
        return f"it has {n} words, no fewer than the thought's {n_thought}"
    if verifier in WITHOUT_STATED_ANSWER:
        return None
    verdict = verify_completion(summary, gold, verifier=verifier)
    if verdict.outcome is Outcome.CORRECT:
        return None
    stated = f"states {verdict.extracted!r}" if verdict.extracted else "states no answer"
    return f"it {stated:.120}, not {gold!r:.80} ({verdict.reason:.120})"
