r"""Finding the final answer in what a model wrote.

Rules stand in strict order of how sure they are, and the last rule is not "the last number in the
text": a chain of thought that merely ends has not given an answer, and a guess here would become a
wrong label. What is looked at is only what a reader of the answer sees; a thought that was opened
(``<Think_Start>``, ``<think>``) and never closed holds no answer, however often it says "answer".
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from datagen.traces.markup import THINK_END, THINK_START
from datagen.verify.notation import balanced_end, plain, undress
from datagen.verify.quantity import read_quantity, value_side
from datagen.verify.statements import answer_in, stated_answers

Rule = Literal["boxed", "hashes", "stated", "markup", "bare", "code", "literal"]


@dataclass(frozen=True, slots=True)
class Extraction:
    r"""An answer and how it was found.

    Attributes:
        answer: the answer, without the dress around it (delimiters, bold, final full stop).
        rule: the rule that found it.
        closed: whether the text shows that the answer was complete. ``#### 7`` at the very end of
            a text that was cut off may be the beginning of 72; ``\boxed{7}`` is 7.
    """

    answer: str
    rule: Rule
    closed: bool


_MAX_ANSWER: Final = 2_000
_MAX_BARE: Final = 200
_MAX_BARE_WORDS: Final = 3
_LOOK_BACK: Final = 20
"""How many candidates of a rule are tried, from the last backwards; bounds hostile texts."""

# The markup's escape puts a backslash before a tag that is only quoted inside a step.
_MARKUP_END = re.compile(rf"(?<!\\){re.escape(THINK_END.strip())}(?:\n|$)")


def extract_answer(text: str) -> Extraction | None:
    r"""Find the final answer of a completion.

    In order: the visible part is what follows the end of the thought, or the whole text if no
    thought is marked; in it the last ``\boxed{…}`` or ``\fbox{…}`` (several joined by commas or
    *and* are one answer), the last ``#### x``, the last "the answer is x" or "Answer: x", the text
    itself if it is no more than an answer.

    Returns:
        The answer, or ``None`` if none of the rules finds one. Never raises; linear time.
    """
    marked, visible = visible_part(text)
    if visible is None:
        return None
    return _boxed(visible) or _hashes(visible) or _stated(visible) or _bare(visible, marked)


def visible_part(text: str) -> tuple[bool, str | None]:
    """Whether a thought is marked, and what a reader sees after it (``None``: it never ends)."""
    if found := _MARKUP_END.search(text):
        return True, text[found.end() :]
    if THINK_START.strip() in text:
        return True, None
    _, closing, after = text.rpartition("</think>")
    if closing:
        return True, after
    return False, None if text.lstrip().startswith("<think>") else text


_BOX = re.compile(r"\\(?:boxed|fbox)\s?(?:\{|(?P<bare>-?[0-9]+(?:\.[0-9]+)?|[A-Za-z](?![A-Za-z])))")
_BETWEEN_BOXES = re.compile(r"[\s$]*(?:,|,?\s*(?:and|or)(?![a-z]))[\s$]*")


def _boxed(text: str) -> Extraction | None:
    boxes: list[tuple[int, int, str]] = []
    for found in list(_BOX.finditer(text))[: -_LOOK_BACK - 1 : -1]:
        if found["bare"]:
            box = found.start(), found.end(), found["bare"]
        else:
            end = balanced_end(text, found.end(), limit=_MAX_ANSWER)
            box = found.start(), end, undress(text[found.end() : end - 1])
        if box[1] < 0 or not box[2]:
            continue
        if boxes and not _BETWEEN_BOXES.fullmatch(text[box[1] : boxes[-1][0]][:50]):
            break
        boxes.append(box)
    if not boxes:
        return None
    answers = dict.fromkeys(answer for _, _, answer in reversed(boxes))
    return Extraction(", ".join(answers), "boxed", closed=True)


_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*([^\n]{1,300})(\n|\Z)?")
_LABEL = re.compile(
    r"(?:the\s)?(?:final\s)?answer(?:\s(?:is|was)(?![a-z]))?\s?[:=]?\s", re.IGNORECASE
)


def _hashes(text: str) -> Extraction | None:
    # '#### Step 2' is also a heading, so in the middle of a text only a number is believed.
    last_line_at = text.rstrip().rfind("\n") + 1
    for found in list(_HASHES.finditer(text))[: -_LOOK_BACK - 1 : -1]:
        line = found[1].strip()
        label = _LABEL.match(undress(line) + " ")
        answer = undress(undress(line)[label.end() :] if label else line)
        if not answer:
            continue
        if read_quantity(value_side(answer)) or found.start() >= last_line_at:
            return Extraction(answer, "hashes", closed=found[2] == "\n")
    return None


def _stated(text: str) -> Extraction | None:
    for answer, closed in stated_answers(text, limit=_LOOK_BACK):
        return Extraction(answer, "stated", closed)
    return None


def _is_number(text: str) -> bool:
    return read_quantity(value_side(text)) is not None


def _bare(text: str, marked: bool) -> Extraction | None:
    """The text itself, if it is no more than an answer.

    After a marked thought that is nearly always so, and a sentence will do. Of several lines one
    must be a number and no other line a different one. An unmarked text must be one short line.
    """
    rule: Rule = "markup" if marked else "bare"
    lines = [line for line in text[: 4 * _MAX_ANSWER].split("\n") if undress(line)]
    if len(text) > 4 * _MAX_ANSWER or not lines:
        return None
    closed = text.rstrip(" \t").endswith("\n")
    if len(lines) == 1:
        answer = undress(lines[0])
        if len(answer) > _MAX_BARE or answer.startswith("<") or _BOX.search(answer):
            return None  # prose, a stray tag, a box that never closes
        if _is_number(answer):
            return Extraction(answer, rule, closed)
        first, _ = answer_in(lines[0])
        if first and _is_number(first):
            return Extraction(first, rule, closed=True)
        if marked or len(plain(answer).split()) <= _MAX_BARE_WORDS or "=" in answer:
            return Extraction(answer, rule, closed)
        return None
    if not marked:
        return None
    numbers = {undress(line) for line in lines if len(line) <= _MAX_BARE and _is_number(line)}
    return Extraction(numbers.pop(), rule, closed=True) if len(numbers) == 1 else None
