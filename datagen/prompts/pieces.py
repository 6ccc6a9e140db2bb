r"""Cuts what a model wrote into steps with their places, and repairs each on the way.

The surprising fact: nothing here says whether it repaired anything. Whoever wants to know writes
the steps down as they should have been, and compares.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from datagen.factors.taxonomy import Factor
from datagen.prompts.tag_lines import CLOSING_TAG, THOUGHT_CLOSES, THOUGHT_OPENS, tags, unescape
from datagen.traces.model import Step, Trace
from datagen.traces.splitting import split
from datagen.verify.notation import balanced_end

_FENCE: Final = re.compile(r"^```[^\n`]*$", re.MULTILINE)
_BOX: Final = re.compile(r"\\(?:boxed|fbox)\s?\{")
_REST_OF_BOX: Final = re.compile(r"[^\n]*(?:\n[ \t]*(?:\\\]|\$\$|\\end\{[a-z]{1,20}\*?\})\.?)*")
_MOST_BOXES: Final = 20
_HELLO: Final = re.compile(
    r"(?:sure|ok(?:ay)?|certainly|of course|absolutely|alright|great|here (?:is|are)|here's|let's|"
    r"let me|i will|i'll|we will|we'll)(?![A-Za-z])[^0-9]*\Z|[^0-9\n]*:\Z",
    re.IGNORECASE,
)
_MOST_HELLO: Final = 300
_MOST_CLOSING: Final = 60
"""Characters at the end of a step that are looked at; bounds hostile texts."""
_GOODBYE: Final = re.compile(
    r"^[ \t>*_-]{0,4}(?:let me know|i hope|hope (?:this|that)|feel free|if you (?:have|need|want)|"
    r"please|note(?: that)?[: ]|would you|thank|good luck|do you|is there|-{3}|```)[\s\S]*",
    re.IGNORECASE | re.MULTILINE,
)

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A step, and the half-open range of the text that it stands in."""

    step: Step
    begin: int
    end: int

    @property
    def answers(self) -> bool:
        """Whether it is an answer step."""
        return self.step.factor is Factor.ANSWER


def parts(text: str) -> tuple[Range | None, Range]:
    """The thought, if one is marked, and the reply behind it.

    A thought may have been opened by the chat template, so its end alone marks one.
    """
    opened = THOUGHT_OPENS.match(text, len(text) - len(text.lstrip()))
    begin = opened.end() if opened else 0
    closings = list(THOUGHT_CLOSES.finditer(text, begin))
    if closings:
        return (begin, closings[-1].start()), (closings[-1].end(), len(text))
    return ((begin, len(text)), (len(text), len(text))) if opened else (None, (0, len(text)))


def pieces_of(text: str) -> tuple[list[Piece], int]:
    """All steps of a text that began at the start of one, and the offset from which it was read.

    A thought before a reply in steps is passed over. Otherwise it is the steps, by its tags or by
    its paragraphs, and the reply is the answer, if the thought has none.
    """
    thought, reply = parts(text)
    if thought is None:
        return _steps(text, reply), 0
    behind = text[slice(*reply)]
    named = {tag.factor for tag in tags(behind)}
    if named - {Factor.ANSWER}:
        return tagged(text, reply), reply[0]
    pieces = _steps(text, thought)
    if named:
        pieces += [piece for piece in tagged(text, reply) if piece.answers]
    elif behind.strip() and not any(piece.answers for piece in pieces):
        pieces.append(Piece(Step(behind.strip(), Factor.ANSWER), *reply))
    return pieces, 0


def _steps(text: str, within: Range) -> list[Piece]:
    has_tags = next(tags(text[slice(*within)]), None) is not None
    return tagged(text, within) if has_tags else untagged(text, within)


def tagged(text: str, within: Range) -> list[Piece]:
    """The steps of a range that has tags, else none; a tag without words is no step."""
    begin, end = within
    found = list(tags(text[begin:end]))
    if not found:
        return []
    lead = text[begin : begin + found[0].begin]
    fence = _FENCE.search(lead)
    hello = _is_hello(_FENCE.sub("", lead))
    pieces = [] if hello else untagged(text, (begin, begin + len(lead)))
    ends = [tag.begin for tag in found[1:]] + [end - begin]
    for tag, until in zip(found, ends, strict=True):
        words = text[begin + tag.end : begin + until]
        if fence and (closing := _FENCE.search(words)):
            words = words[: closing.start()]
        if closing := CLOSING_TAG.search(words, max(0, len(words) - _MOST_CLOSING)):
            words = words[: closing.start()]
        if tag.closes == "**" and words.count("**") % 2:
            words = words.replace("**", "", 1)
        words = unescape(words.rstrip().removesuffix("]") if tag.closes == "]" else words)
        if words:
            pieces.append(Piece(Step(words, tag.factor), begin + tag.begin, begin + until))
    return pieces


def untagged(text: str, within: Range) -> list[Piece]:
    """The paragraphs, lines or sentences of a range, whatever they do."""
    pieces: list[Piece] = []
    at = within[0]
    for part in split(text[slice(*within)]):
        words = _GOODBYE.sub("", part).strip()
        if words and not (at == within[0] and _is_hello(words)):
            pieces.append(Piece(Step(words), at, at + len(part)))
        at += len(part)
    return pieces


def _is_hello(text: str) -> bool:
    """Whether a text before the first step is none itself."""
    words = text.strip()
    return not words or (len(words) <= _MOST_HELLO and _HELLO.match(words) is not None)


def beyond(pieces: Sequence[Piece], state: Trace) -> list[Piece]:
    """The pieces without those that tell ``state`` again."""
    told = [(p.step.factor, " ".join(p.step.text.split())) for p in pieces[: len(state.steps)]]
    known = [(step.factor, " ".join(step.text.split())) for step in state.steps]
    return list(pieces[len(known) :] if told == known else pieces)


def to_answer(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces up to the last answer, whose words end with its box or before a goodbye."""
    at = max((idx for idx, piece in enumerate(pieces) if piece.answers), default=None)
    if at is None:
        return list(pieces)
    words = pieces[at].step.text
    end = box_end(words)
    if end > 0:
        rest = _REST_OF_BOX.match(words, end)
        words = words[: rest.end() if rest else end].strip()
    else:
        words = before_goodbye(words)
    return [*pieces[:at], replace(pieces[at], step=Step(words, Factor.ANSWER))]


def before_goodbye(text: str) -> str:
    """The last step's words without what a model says, or fences, behind them; never nothing."""
    return _GOODBYE.sub("", text).strip() or text


def box_end(text: str) -> int:
    """Offset behind the last box that closes; -1 without one."""
    boxes = list(_BOX.finditer(text))[: -_MOST_BOXES - 1 : -1]
    return max((balanced_end(text, box.end()) for box in boxes), default=-1)
