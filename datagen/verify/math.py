r"""The verifier ``math``: exact fractions first, computer algebra only where it must be.

The order is the design. Numbers are compared as fractions without any library; identical texts are
correct; words are compared as words and never as products of letters; only what remains goes to
math-verify, in a process that can be killed. Every way of *not understanding* ends as
``unverifiable``: ``wrong`` is said only when both sides were read and differ.
"""

import re
from typing import Final

from datagen.verify.notation import plain, undress
from datagen.verify.quantity import (
    Quantity,
    is_unsolved,
    read_quantity,
    same_number,
    sole_quantity,
    units_conflict,
    value_side,
)
from datagen.verify.symbolic import Algebra, has_words, refusal
from datagen.verify.units import VALUE_CHANGING
from datagen.verify.verdict import Verdict, correct, shown, unverifiable, wrong

_MAX_LENGTH: Final = 5_000
_ONE_LETTER_LHS = re.compile(r"\s*\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([a-z]\))?\s*=(?!=)")
_DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
_ARTICLE = re.compile(r"(?:an?|the)\s+(?=[A-Za-z]{2})", re.IGNORECASE)
_CHOSEN = re.compile(r"\(?([A-J])(?:\)|[.:]\s).+", re.DOTALL)
_WHY_UNREAD: Final = {
    "bad_gold": "the gold answer cannot be parsed",
    "bad_answer": "the answer cannot be parsed",
    "timeout": "the comparison took longer than {limit_s:g} s",
    "died": "the comparison ended its worker process (out of memory?)",
    "error": "the comparison failed inside the algebra system",
}


def _words(text: str) -> str:
    """A text without dress and leading article; in lower case if it holds words."""
    text = _ARTICLE.sub("", plain(undress(text)))
    return text.casefold() if re.search(r"(?<!\\)[A-Za-z]{2}", text) else text


def canonical_text(text: str) -> str:
    """A text to compare character by character: :func:`_words` without any white space."""
    text = re.sub(r"\s+", "", _words(text))
    return text[1:-1] if re.fullmatch(r"\([A-Za-z]\)", text) else text


def _read_side(text: str, other: str) -> Quantity | None:
    """The number of one side; of ``x = 5`` the 5, unless the other side is an equation too."""
    whole = read_quantity(text)
    if whole is not None or "=" not in text:
        return whole
    if "=" not in other or _left(text) == _left(other):
        return read_quantity(value_side(text))
    return None


def _left(text: str) -> str:
    found = _ONE_LETTER_LHS.match(plain(undress(text)))
    return re.sub(r"\s", "", found.group()) if found else text


class MathVerifier:
    """Judges mathematical answers; see the module for the order in which it tries.

    Safe to call from many threads. The only state is a cache and the child processes, which start
    when the first answer needs them.
    """

    def __init__(self, *, limit_s: float = 5.0, n_workers: int | None = None) -> None:
        """Set the wall-clock limit of one symbolic comparison and the most child processes."""
        self._algebra = Algebra(limit_s=limit_s, n_workers=n_workers)

    def __call__(self, answer_text: str, gold: str, /) -> Verdict:
        """Judge ``answer_text``, an answer without the reasoning, against ``gold``."""
        for name, text in (("answer", answer_text), ("gold answer", gold)):
            if len(text) > _MAX_LENGTH:
                return unverifiable(
                    answer_text,
                    f"the {name} is {len(text)} characters long, more than {_MAX_LENGTH}",
                )
        answer, expected = undress(answer_text), undress(gold)
        if not answer or not expected:
            return unverifiable(answer_text, f"the {'answer' if expected else 'gold'} is empty")

        gold_number = _read_side(expected, answer)
        number = _read_side(answer, expected)
        if gold_number is not None and number is None and has_words(answer):
            number = sole_quantity(answer)
            if number is None:
                return unverifiable(answer_text, f"no single number in {shown(answer)}")
        if gold_number is not None and number is not None:
            return _judge_numbers(answer_text, gold, number, gold_number)
        if gold_number is not None and is_unsolved(answer):
            return unverifiable(answer_text, f"{shown(answer)} is an equation, not a value")
        if gold_number is not None and _DECIMAL_COMMA.fullmatch(plain(answer)):
            return unverifiable(answer_text, f"{shown(answer)} may be a decimal or a list")
        if canonical_text(answer) == canonical_text(expected):
            return correct(answer_text, "the same text")
        if (chosen := _CHOSEN.fullmatch(plain(answer))) and chosen[1] == canonical_text(expected):
            return correct(answer_text, "the same choice")
        if has_words(expected) or has_words(answer):
            return _judge_words(answer_text, answer, expected)
        return self._judge_expressions(answer_text, answer, expected)

    def _judge_expressions(self, answer_text: str, answer: str, expected: str) -> Verdict:
        for name, text in (("gold answer", expected), ("answer", answer)):
            if (why := refusal(text)) is not None:
                return unverifiable(answer_text, f"the {name} is not compared: {why}")
        state = self._algebra.compare(expected, answer)
        if state == "equal":
            return correct(answer_text, "equal expressions")
        if state == "different":
            return wrong(answer_text, f"{shown(answer)} is not {shown(expected)}")
        why = _WHY_UNREAD.get(state, f"unknown reply {state!r}")
        return unverifiable(answer_text, why.format(limit_s=self._algebra.limit_s))

    def gold_is_parseable(self, gold: str) -> bool:
        """Whether a gold answer is one that this verifier can judge answers against.

        Numbers, single words and whatever math-verify parses are; prose is not.
        """
        expected = undress(gold)
        if not expected or len(expected) > _MAX_LENGTH:
            return False
        if read_quantity(expected) or re.fullmatch(r"[A-Za-z]+", canonical_text(expected)):
            return True
        return not has_words(expected) and self._algebra.parses(expected)

    def close(self) -> None:
        """End the idle child processes; the verifier can be used again afterwards."""
        self._algebra.close()


def _judge_numbers(answer_text: str, gold: str, number: Quantity, expected: Quantity) -> Verdict:
    if units_conflict(expected, number):
        return unverifiable(
            answer_text, f"units differ: {number.unit!r} in the answer, {expected.unit!r} in gold"
        )
    if same_number(expected, number):
        return correct(answer_text, "equal numbers")
    return wrong(answer_text, f"{shown(answer_text)} is not {shown(gold)}")


def _judge_words(answer_text: str, answer: str, expected: str) -> Verdict:
    """Two texts, at least one of them in words, that are not the same."""
    if _differ_as_words(_words(answer), _words(expected)):
        return wrong(answer_text, f"{shown(answer)} is not {shown(expected)}")
    side = "gold answer" if has_words(expected) else "answer"
    return unverifiable(answer_text, f"the {side} is in words that cannot be compared")


def _differ_as_words(answer: str, expected: str) -> bool:
    """Whether two single words are surely different answers.

    ``four`` and ``4`` are not, neither are ``Tues`` and ``Tuesday``; ``abc`` and ``cba`` may be
    products.
    """
    if not (answer.isalpha() and expected.isalpha()) or VALUE_CHANGING & {answer, expected}:
        return False
    if answer.startswith(expected) or expected.startswith(answer):
        return False
    return sorted(answer) != sorted(expected)
