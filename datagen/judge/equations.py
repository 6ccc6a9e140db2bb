r"""Equations in running text: where each begins and ends, and whether the text asserts it.

The hard part is not the arithmetic but the edges. ``half of 3 + 4 = 3.5`` holds the false equation
``3 + 4 = 3.5`` and is true all the same. So each side comes with a note if what stands beside it
may belong to it, and a sentence that denies, supposes or asks comes with a note as well. Only an
equation without any note can be called false.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from datagen.judge.arithmetic import TOKEN, Value, evaluate
from datagen.judge.notation import normalised
from datagen.verify.units import VALUE_CHANGING

MAX_LENGTH: Final = 5_000
"""Longest step that is looked at, in characters."""


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that a text calls equal.

    Attributes:
        left: the left side as it was read, ``right`` the other.
        left_value: its value; ``None`` where a side has letters or cannot be evaluated.
        right_value: likewise.
        note: why a mismatch would prove nothing; empty if it would.
        exact: whether it is written with ``=`` and not with ``≈``.
        after: what follows the right side in its sentence.
        sentence: the sentence that holds it.
    """

    left: str
    right: str
    left_value: Value | None
    right_value: Value | None
    note: str
    exact: bool
    after: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.left} {'=' if self.exact else '≈'} {self.right}".replace("∘", "of")


_SYMBOL: Final = re.compile(
    # 'a' and 'I' may be words.
    rf"{TOKEN.pattern}|(?<![A-Za-z'’])(?![aAI]\s+[^-+*/^=)\s])(?:pi|[A-Za-z])(?![A-Za-z])"
)
_LETTER: Final = re.compile(r"(?<![A-Za-z])(?:pi|[A-Za-z])(?![A-Za-z])")
_GAP: Final = re.compile(r"[\s$€£]*")
_EQUALS: Final = re.compile(r"(?<![<>!:=≠])(?:={1,2}(?![=>])|≈)")
_LABELS = """
step day week month year item person case part option number question problem room grade page
chapter hour phase stage box group team bus class example equation line
"""
_PREPOSITIONS = """
times by than over under per less more to from divided multiplied added subtracted modulo choose gcd
lcm
"""
_PORTIONS = "out rest root square cube multiple most all each"
_FOLLOWERS = "times squared modulo remainder percent"
_BINDS_RIGHT: Final = VALUE_CHANGING.union(_LABELS.split(), _PREPOSITIONS.split())
"""Words that make something else of the expression behind them."""

_PART_OF: Final = re.compile(r"([A-Za-z]+|[0-9%)])\s+of$", re.IGNORECASE)
_PARTS: Final = VALUE_CHANGING.union(_PORTIONS.split())
_WORD_BEFORE: Final = re.compile(r"([A-Za-z]+)[\s$€£]*$")
_BINDS_LEFT: Final = VALUE_CHANGING.union(_FOLLOWERS.split())
"""Words that make something else of the expression before them."""

_WORD_AFTER: Final = re.compile(r"\s*-?([A-Za-z]+)")
_SECOND_UNIT: Final = re.compile(
    r"\s*[A-Za-z]+\s+(?:and\s+)?[0-9]+\s?[A-Za-z]|\s*and\s+(?:a|half|one)\b"
)
_OPEN_AFTER: Final = re.compile(r"\s*[-+*/^%∘]|[(\[]|[A-Za-z_\\!|°'\"]|[,.:/][0-9]|\.\.|…")


def _trailing(part: str) -> tuple[str, str]:
    """The expression with which a part ends, and what stands before it; empty if none."""
    run: list[re.Match[str]] = []
    for found in _SYMBOL.finditer(part):
        if run and not _GAP.fullmatch(part, run[-1].end(), found.start()):
            run = []
        run.append(found)
    if not run or not _GAP.fullmatch(part, run[-1].end()):
        return "", part
    depth = 0
    begin = len(run)
    for idx in range(len(run) - 1, -1, -1):
        depth += (run[idx].group() == ")") - (run[idx].group() == "(")
        if depth < 0:
            break
        begin = idx
    if begin == len(run) or depth > 0:
        return "", part
    at = run[begin].start()
    return part[at:].strip(), part[:at]


def _leading(part: str) -> tuple[str, str]:
    """The expression with which a part begins, and what stands behind it; empty if none."""
    at = depth = end = 0
    while (gap := _GAP.match(part, at)) and (found := _SYMBOL.match(part, gap.end())):
        depth += (found.group() == "(") - (found.group() == ")")
        if depth < 0:
            break
        at = found.end()
        if depth == 0 and found.group() not in ("+", "-", "*", "/", "^", "∘", "sqrt"):
            end = at
    return part[:end].strip(), part[end:]


def _note_before(before: str, expression: str) -> str:
    """Why what stands before a left side may belong to it; empty if nothing does."""
    text = before.rstrip()
    if not text:
        return ""
    if expression[0] in "+*/^)%∘" or (expression[0] == "-" and expression[1:2].isspace()):
        return "the left side begins with a sign"
    if before == text and (text[-1].isalnum() or text[-1] in "_\\|.^'/"):
        return "the left side is part of a word"
    if text[-1] in ",:" and before == text and text[-2:-1].isdigit():
        return "the left side is part of a longer number"
    if text[-1] in ")|!^/*+-%°√":
        return "the left side goes on before it"
    word = _WORD_BEFORE.search(before)
    if word is None:
        return ""
    name = word[1].lower()
    if name == "and":
        mixed = text[:-3].rstrip()[-1:].isdigit() and re.match(r"[0-9]+\s?/", expression)
        return "it may be a mixed number" if mixed else ""
    single = len(name) == 1 and name not in ("a", "i")
    part = _PART_OF.search(text)
    if part is not None and (not part[1].isalpha() or part[1].lower() in _PARTS):
        return f"'{part[0]}' stands before it"
    if name in _BINDS_RIGHT or single:
        return f"{word[1]!r} stands before it"
    return ""


def _note_after(after: str) -> str:
    """Why what stands behind a right side may belong to it; empty if nothing does."""
    if _OPEN_AFTER.match(after) or _SECOND_UNIT.match(after):
        return "the right side goes on behind it"
    word = _WORD_AFTER.match(after)
    if word is not None:
        name = word[1].lower()
        if name in _BINDS_LEFT or (len(name) == 1 and name not in ("a", "i")):
            return f"{word[1]!r} stands behind it"
    return ""


_ANNOTATION: Final = re.compile(r"<<([^<>\n]*+)>>")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s+")

_NOT_ASSERTED: Final = re.compile(
    r"(?<![A-Za-z])(?:not|cannot|never|wrong|wrongly|incorrect|incorrectly|mistake|mistakenly|"
    r"mistaken|error|wait|instead|should\s(?:be|have)|suppose|assume|assuming|let(?!['’]?s)|guess|try|"
    r"claim|claims|claimed|say|says|hypothesis|contradiction|contradicts|"
    r"impossible|false|actually|oops)(?![A-Za-z])|n['’]t(?![A-Za-z])|\?\W*$|[≠≟]|!=|\\neq?(?![A-Za-z])",
    re.IGNORECASE,
)

_CLAUSE: Final = re.compile(
    r"(?<![A-Za-z])(?P<condition>if|whether|unless)(?![A-Za-z])"
    r"|,(?![0-9])|(?<![A-Za-z])then(?![A-Za-z])",
    re.IGNORECASE,
)
"""Where a condition begins or ends: of *if 3 * 6 = 18, then 18 + 2 = 20* it holds the first."""


def find_equations(text: str) -> Iterator[Equation]:
    """All equations of a step, in order; calculator annotations (``<<48/2=24>>``) come first.

    A chain ``a = b = c`` is the equations ``a = b`` and ``b = c``. Never raises.
    """
    if len(text) > MAX_LENGTH:
        return
    for found in _ANNOTATION.finditer(text):
        yield from _in_sentence(normalised(found[1]))
    for line in _ANNOTATION.sub("", text).splitlines():
        if "=" in line or "≈" in line or "\\approx" in line:
            for sentence in _SENTENCE_END.split(normalised(line)):
                yield from _in_sentence(sentence)


def _in_sentence(sentence: str) -> Iterator[Equation]:
    signs = list(_EQUALS.finditer(sentence))
    ends = [0, *(sign.end() for sign in signs)]
    begins = [*(sign.start() for sign in signs), len(sentence)]
    parts = [sentence[end:begin] for end, begin in zip(ends, begins, strict=True)]
    denied = "the sentence does not assert it" if _NOT_ASSERTED.search(sentence) else ""
    clauses = [(found.start(), bool(found["condition"])) for found in _CLAUSE.finditer(sentence)]
    for sign, left_part, right_part in zip(signs, parts[:-1], parts[1:], strict=True):
        left, before = _trailing(left_part)
        right, after = _leading(right_part)
        if not left or not right:
            continue
        left_value, right_value = _value(left), _value(right)
        note = _note_before(before, left) or _note_after(after) or denied
        if max((clause for clause in clauses if clause[0] < sign.start()), default=(0, False))[1]:
            note = note or "it is a condition"
        if before.strip() and left_value and not left_value.n_operators:
            note = note or "the left side is a number behind words"
        exact = sign.group() != "≈"
        yield Equation(left, right, left_value, right_value, note, exact, after, sentence)


def _value(side: str) -> Value | None:
    return None if letters(side) else evaluate(side)


def letters(side: str) -> frozenset[str]:
    """The letters that stand for numbers in a side of an equation."""
    return frozenset(_LETTER.findall(side))
