r"""Thought-factor markup: render and parse, each the other's inverse.

::

    <Think_Start>
    <ACT_RestateGoal-Start> find how many apples Tom has <ACT_RestateGoal-End>
    <ACT_Compute-Start> 3*6=18 <ACT_Compute-End>
    <Think_End>
    18

A step's text may contain anything, this very markup included: a ``<`` that could open a tag gets a
backslash behind it (``<\Think_End>``), one more than stands there already. The round trip is
therefore exact for every string, and no tag, which may be one token or a stop string, ever occurs
inside a step.

The white space beside a tag belongs to the tag, so that a tokenizer can hold each tag as one token
(see :data:`MARKUP_TOKENS`).
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from datagen.errors import MarkupError
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Provenance, Step, Trace

THINK_START: Final = "<Think_Start>\n"
THINK_END: Final = "<Think_End>\n"

_TAG_LIKE = re.compile(r"<(\\*)(?=Think_|ACT_)")
_ESCAPED = re.compile(r"<\\(\\*)(?=Think_|ACT_)")
_FACTOR_OF_NAME = {factor.value: factor for factor in Factor}
_START = re.compile(r"<ACT_([A-Za-z]+)-Start> ")


@cache
def start_tag(factor: Factor) -> str:
    """Opening tag of ``factor``, with its trailing space."""
    return f"<ACT_{factor.value}-Start> "


@cache
def end_tag(factor: Factor) -> str:
    """Closing tag of ``factor``, with its leading space and line end."""
    return f" <ACT_{factor.value}-End>\n"


MARKUP_TOKENS: Final[tuple[str, ...]] = (
    THINK_START,
    THINK_END,
    *(tag(factor) for factor in Factor for tag in (start_tag, end_tag)),
)
"""Every tag, for tokenizers that hold each as one token and for stop strings."""


def escape(text: str) -> str:
    """Write ``text`` so that nothing in it reads as a tag."""
    if "<" not in text:  # nearly always, and states are rendered all the time
        return text
    return _TAG_LIKE.sub(r"<\\\1", text)


def unescape(text: str) -> str:
    """Undo :func:`escape`."""
    return _ESCAPED.sub(r"<\1", text)


def render_step(step: Step) -> str:
    """One step with its tags."""
    return f"{start_tag(step.factor)}{escape(step.text)}{end_tag(step.factor)}"


def render_thought(steps: tuple[Step, ...]) -> str:
    """The opening tag and the steps, without the closing tag: a state to be continued."""
    return THINK_START + "".join(map(render_step, steps))


def render(trace: Trace) -> str:
    """The whole thought and the answer, as a model writes it after the question.

    An unfinished trace (``answer is None``) ends after its last step.
    """
    thought = render_thought(trace.steps)
    return thought if trace.answer is None else f"{thought}{THINK_END}{trace.answer}"


@dataclass(frozen=True, slots=True)
class ParsedTail:
    """What :func:`parse_tail` read from generated text.

    Attributes:
        steps: the complete steps.
        answer: the text after ``<Think_End>``, or ``None`` if the thought did not end.
        offsets: per step, its half-open character range in the text that was parsed.
        rest: text that could not be read: an unfinished step, or anything outside tags.
    """

    steps: tuple[Step, ...]
    answer: str | None
    offsets: tuple[tuple[int, int], ...]
    rest: str


def parse_tail(text: str, *, provenance: Provenance = "model") -> ParsedTail:
    """Read as many complete steps as ``text`` holds; never raises.

    ``text`` is what a model wrote from the beginning of a step on. Reading stops at the first thing
    that is not a known, properly closed step; the remainder is returned as ``rest``.
    """
    steps: list[Step] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    while True:
        if text.startswith(THINK_END, at):
            return ParsedTail(tuple(steps), text[at + len(THINK_END) :], tuple(offsets), "")
        opening = _START.match(text, at)
        factor = _FACTOR_OF_NAME.get(opening.group(1)) if opening else None
        if opening is None or factor is None:
            break
        closing = end_tag(factor)
        end = text.find(closing, opening.end())
        # A nested, unescaped tag means that the model lost the structure: stop before it.
        if end < 0 or any(not m.group(1) for m in _TAG_LIKE.finditer(text, opening.end(), end)):
            break
        steps.append(Step(unescape(text[opening.end() : end]), factor, provenance))
        offsets.append((at, end + len(closing)))
        at = end + len(closing)
    return ParsedTail(tuple(steps), None, tuple(offsets), text[at:])


def parse(text: str, *, question: str = "", provenance: Provenance = "model") -> Trace:
    """Read a rendered trace; the inverse of :func:`render`.

    Raises:
        MarkupError: if the text does not open a thought, or holds anything but closed steps.
    """
    if not text.startswith(THINK_START):
        raise MarkupError(f"a thought must open with {THINK_START!r}, found {text[:40]!r}")
    tail = parse_tail(text[len(THINK_START) :], provenance=provenance)
    if tail.rest:
        raise MarkupError(
            f"after {len(tail.steps)} steps the markup breaks at {tail.rest[:40]!r}; "
            "each step must stand between <ACT_x-Start> and <ACT_x-End> of a known factor"
        )
    return Trace(question=question, steps=tail.steps, answer=tail.answer)
