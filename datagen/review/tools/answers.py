"""Turns what a person answered into a row of the ``reviews`` table.

The surprising fact: nothing a person wrote is thrown away. What cannot be read as an answer is
named as a problem and kept in the comment, so that a slip in one line does not cost the review.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from datagen.factors.taxonomy import Factor
from datagen.review.tools.questions import (
    COMMENT,
    CORRECTED,
    FACTORS,
    FIRST_WRONG,
    NONE,
    RATING,
    RATINGS,
    UNSURE,
    VERDICT,
)
from schemas.reviews import ANSWER_VERDICTS

_LINE: Final = re.compile(r"\s*(?:step\s*)?#?(\d{1,6})\s*[:=.)>→–-]*\s*(\S.*?)\s*", re.IGNORECASE)
_FACTORS: Final = {
    re.sub(r"[^a-z0-9]", "", name.lower()): factor.value
    for factor in Factor
    for name in (factor.name, factor.value)
}


class _Refuse(Protocol):
    def __call__(self, question: str, value: object, fix: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers as columns of ``reviews``, and what could not be read.

    Attributes:
        columns: ``first_error``, ``answer_verdict``, ``rating``, ``factors``,
            ``corrected_step_idx``, ``corrected_step`` and ``comment``.
        problems: one sentence each.
    """

    columns: dict[str, Any]
    problems: tuple[str, ...]


def read_answers(given: Mapping[str, Any], *, n_steps: int) -> Answers:
    """Read answers to the questions of :mod:`datagen.review.tools.questions`, keyed by question.

    Args:
        given: the answers; one that is missing, null or empty is not answered.
        n_steps: steps of the trace; the answer ``"1"`` is its first.
    """
    problems: list[str] = []
    unread: list[str] = []

    def refuse(question: str, value: object, fix: str) -> None:
        problems.append(f"{question} is {value!r:.80}; {fix}")
        unread.append(f"{question}: {value}")

    first_error = _first_error(given.get(FIRST_WRONG), n_steps, refuse)
    verdict = _choice(VERDICT, given.get(VERDICT), ANSWER_VERDICTS, refuse)
    rating = _choice(RATING, given.get(RATING), RATINGS, refuse)
    factors = _factors(given.get(FACTORS), n_steps, refuse)
    corrected = _text(CORRECTED, given.get(CORRECTED), refuse)
    if corrected and (first_error is None or first_error < 0):
        refuse(CORRECTED, corrected, "say which step it stands for: no step is named as wrong")
        corrected = None
    comment = _text(COMMENT, given.get(COMMENT), refuse)
    return Answers(
        {
            "first_error": first_error,
            "answer_verdict": verdict,
            "rating": rating,
            "factors": factors,
            "corrected_step_idx": first_error if corrected else None,
            "corrected_step": corrected,
            "comment": "\n".join(filter(None, (comment, *unread))),
        },
        tuple(problems),
    )


def review_id(tool: str, item_id: str, annotator: str) -> str:
    """The id of a person's review of an item: 16 hex digits, the same at every pull."""
    return hashlib.sha256("\0".join((tool, item_id, annotator)).encode()).hexdigest()[:16]


def latest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per ``review_id`` the row that was submitted last, by item and annotator."""
    newest: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["submitted_at"]):
        newest[row["review_id"]] = row
    return sorted(newest.values(), key=lambda row: (row["item_id"], row["annotator"]))


def _first_error(value: object, n_steps: int, refuse: _Refuse) -> int | None:
    if value is None or value in ("", UNSURE):
        return None
    if value == NONE:
        return -1
    number = str(value).strip() if isinstance(value, str | int) else ""
    if number.isascii() and number.isdecimal() and 1 <= int(number[:9]) <= n_steps:
        return int(number) - 1
    refuse(FIRST_WRONG, value, f"write {NONE!r}, {UNSURE!r} or a step from 1 to {n_steps}")
    return None


def _choice(question: str, value: object, choices: Sequence[object], refuse: _Refuse) -> Any:
    if value is None or value == "":
        return None
    for choice in choices:
        if value == choice and type(value) is type(choice):
            return choice
    refuse(question, value, f"use one of {', '.join(map(repr, choices))}, or leave it out")
    return None


def _text(question: str, value: object, refuse: _Refuse) -> str | None:
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    refuse(question, value, "write text")
    return None


def _factors(value: object, n_steps: int, refuse: _Refuse) -> list[dict[str, Any]]:
    """The kinds of steps, by step; of two lines for one step the later one counts."""
    if isinstance(value, Mapping):
        lines = [f"{step}: {name}" for step, name in cast(Mapping[Any, Any], value).items()]
    elif value is None or isinstance(value, str):
        lines = (value or "").splitlines()
    else:
        refuse(FACTORS, value, 'write lines such as "3: Compute"')
        return []
    found: dict[int, str] = {}
    for line in filter(str.strip, lines):
        match = _LINE.fullmatch(line)
        factor = match and _FACTORS.get(re.sub(r"[^a-z0-9]", "", match[2].lower()))
        if match and factor and 1 <= int(match[1]) <= n_steps:
            found[int(match[1]) - 1] = factor
        else:
            refuse(
                FACTORS,
                line,
                f"write a step from 1 to {n_steps} and a kind that the guidelines list, "
                'as in "3: Compute"',
            )
    return [{"step_idx": idx, "factor": found[idx]} for idx in sorted(found)]
