"""The verifiers that compare words: ``exact`` and ``choice``."""

import re
from typing import Final

from datagen.verify.notation import plain, undress
from datagen.verify.verdict import Verdict, correct, shown, unverifiable, wrong

_MAX_LENGTH: Final = 20_000


def _normalised(text: str, ignore_case: bool) -> str:
    text = " ".join(undress(text).split())
    return text.casefold() if ignore_case else text


def exact(answer_text: str, gold: str, /, *, ignore_case: bool = True) -> Verdict:
    """Compare two texts word for word.

    White space is collapsed, and what stands around the answer (quotes, bold, math delimiters, a
    final full stop) is taken off. Nothing inside is interpreted: ``0.5`` is not ``1/2``.
    """
    if len(answer_text) > _MAX_LENGTH:
        return unverifiable(
            answer_text, f"the answer is {len(answer_text)} characters long, over {_MAX_LENGTH}"
        )
    answer, expected = _normalised(answer_text, ignore_case), _normalised(gold, ignore_case)
    if not answer or not expected:
        return unverifiable(answer_text, f"the {'answer' if expected else 'gold'} is empty")
    if answer == expected:
        return correct(answer_text, "the same text")
    return wrong(answer_text, f"{shown(answer)} is not {shown(expected)}")


_LETTER = re.compile(
    r"""(?:(?:the\ )?(?:correct\ |right\ |best\ )?(?:final\ )?(?:answer|option|choice)
           (?:\ (?:is|letter))?\ ?:?\ ?)*
        (?: \( \ ?(?P<bracketed>[A-J]) \ ?\)
          | (?P<bare>[A-J]) (?=[.):,]|$|\ (?:is|-|—)(?![A-Za-z])) )""",
    re.VERBOSE | re.IGNORECASE,
)
_ANOTHER = re.compile(
    r"(?:,|/|&|\band\b|\bor\b)\s?\(?(?:option )?[A-J](?![A-Za-z'])", re.IGNORECASE
)


def read_choice(text: str) -> str | None:
    """The letter (A to J) that an answer names, in upper case.

    Read are ``B``, ``(B)``, ``B.``, ``b)``, ``B) 15 cm``, ``option B``, ``the answer is B``;
    several letters, or none, are ``None``.
    """
    text = plain(undress(text[:1_000]))
    found = _LETTER.match(text)
    if found is None or _ANOTHER.match(text[found.end() :].lstrip(" .)")):
        return None
    return (found["bracketed"] or found["bare"]).upper()


def choice(answer_text: str, gold: str, /) -> Verdict:
    """Compare the letters of two multiple-choice answers."""
    expected = read_choice(gold)
    if expected is None:
        return unverifiable(answer_text, f"the gold answer {shown(gold)} names no single choice")
    answer = read_choice(answer_text)
    if answer is None:
        return unverifiable(answer_text, f"no single choice in {shown(answer_text)}")
    if answer == expected:
        return correct(answer_text, "the same choice")
    return wrong(answer_text, f"choice {answer} is not {expected}")
