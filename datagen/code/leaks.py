"""Tells whether a thought betrays that the code lay before its writer.

A hidden thought must read as if written before the code. The words alone do not decide: "the Morse
code", "the error code" and "the function should return" are about the problem, so each pattern
asks for the words that make it about a finished program.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from datagen.code.claims.tokens import is_literal
from datagen.code.tracer import normalised
from datagen.traces.model import Step

_PROGRAM: Final = r"(?:code|solution|implementation|function|snippet|program|script)"
_DOES: Final = (
    r"(?:does|works|uses|computes|calculates|iterates|initiali[sz]es|checks|loops|starts|returns|"
    r"takes|counts|builds|creates|defines|handles|sorts|adds|keeps|appends)"
)
_TO_COME: Final = (
    r"(?:should|must|will|would|could|can|may|might|needs?|has to|have to|that I|I|we|to|"
    r"points?|units?|words?|books?|numbers?|letters?|names?|systems?|strings?|values?|lists?|"
    r"lengths?|of|for)"
)
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"```[^\n]{0,20}",
        r"\bdef\s+\w+\s*\(",
        r"(?:^|;)\s*(?:import\s+[\w.]+(?:\s+as\s+\w+)?\s*(?:$|;)|from\s+[\w.]+\s+import\s+\w+)",
        r"\bfrom\s+[a-z_.]+\s+import\s+\w+",
        rf"(?<!write )(?<!writing )\bthe\s+code\b(?!\s+{_TO_COME}\b)",
        rf"\bthe\s+(?:given|provided|above|following|existing|original)\s+{_PROGRAM}\b",
        rf"\b(?:this|that)\s+{_PROGRAM}\s+{_DOES}\b",
        rf"\bthe\s+(?:solution|implementation|snippet|program|script)\s+{_DOES}\b",
        rf"\blooking\s+at\s+the\s+{_PROGRAM}\b",
        r"\bthe\s+snippet\b",
        r"\b(?:on|in|at|of|see)\s+lines?\s+[0-9]+\b(?!\s+of\s+(?:the\s+)?(?:file|text|input|poem))",
        r"^\s*lines?\s+[0-9]+\b(?!\s+of\s+(?:the\s+)?(?:file|text|input|poem))",
        r"\blines?\s+[0-9]+(?:\s*[-–]\s*[0-9]+)?\s+(?:says|does|sets|adds|returns|checks|shows|is)\b",
        r"\bas\s+implemented\b",
        r"\bin\s+the\s+implementation\b",
        r"\bthe\s+(?:author|programmer|coder)(?:'s|’s)?\s+(?:\w+s|\w+ed|chose|wrote|code|approach|"
        r"choice|intent)\b",
        r"\b(?:execution|run)\s+(?:log|trace)\b",
        r"\b(?:the|this)\s+(?:trace|log)\s+(?:shows?|says|records?|confirms|tells|gives|has)\b",
        r"\b(?:according\s+to|from|in|per|looking\s+at)\s+the\s+(?:trace|log)\b(?!\s+of\s+the\s+m)",
    )
)
# A constant set alone is said by any thought: 'total = 0, count = 0'. So are single key words.
_COMMON: Final = re.compile(r"\w+ = [^()+*/%]{1,12}|\w+|else:|try:|finally:|return \w+")
_HEADER: Final = re.compile(r"(?:if|elif|while|for)\b")


def find_leak(steps: Sequence[Step], *, code: str) -> str | None:
    """What gives the thought away, or ``None`` if it reads as if written before the code.

    Args:
        steps: of the thought.
        code: the code that it must not betray; two of its statements quoted one after the other
            do.

    Returns:
        The reason, with the words quoted.
    """
    pairs = _pairs(code)
    for idx, step in enumerate(steps):
        for pattern in _PATTERNS:
            if found := pattern.search(step.text):
                return f"step {idx} speaks of finished code: {' '.join(found.group().split())!r}"
        text = _squeezed(step.text)
        for first, second in pairs:
            begin = text.find(first)
            while begin >= 0:
                rest = text[begin + len(first) :]
                if _GAP.sub("", rest, count=1).startswith(second):
                    return f"step {idx} quotes statements of the code: {first!r}, {second!r}"
                begin = text.find(first, begin + 1)
    return None


_GAP: Final = re.compile(r"[\s:;,`]*(?:(?:and|then)\s+)*")


def _squeezed(text: str) -> str:
    return " ".join(text.replace("`", " ").split())


def _pairs(code: str) -> Sequence[tuple[str, str]]:
    """Statements that follow each other and are both long enough to be known again."""
    try:
        lines = normalised(code).splitlines()
    except SyntaxError:
        lines = code.splitlines()
    statements = [_squeezed(line).rstrip(":") for line in lines if line.strip()]
    return [
        (first, second)
        for first, second in pairwise(statements)
        if not _is_common(first)
        and not _is_common(second)
        # A plan in words repeats conditions too: 'if a != b: if best is None: …'.
        and not (_HEADER.match(first) and _HEADER.match(second))
    ]


def _is_common(statement: str) -> bool:
    """Whether any thought may say the same, being about values: ``vowels = 'aeiou'``."""
    _, _, value = statement.partition(" = ")
    return _COMMON.fullmatch(statement) is not None or is_literal(value)
