"""Plants one error in a sound thought, to measure whether the checks find it.

Whether the planted error is one that execution can refute is not asked here: a benchmark that
planted only what the checker knows would measure nothing.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from datagen.code.check import ThoughtCheck
from datagen.code.claims.closed import agrees
from datagen.code.claims.tokens import is_literal, literal_value, tokenise
from datagen.traces.model import Step


@dataclass(frozen=True, slots=True)
class Mutation:
    """A thought with one change.

    Attributes:
        step_idx: of the changed step.
        kind: what was changed.
        before: the words that stood there; ``after`` those that do now.
        steps: the whole thought.
    """

    step_idx: int
    kind: Literal["value", "operator"]
    before: str
    after: str
    steps: tuple[Step, ...]


def mutate_value(steps: Sequence[Step], check: ThoughtCheck, rng: random.Random) -> Mutation | None:
    """Change the value of one claim that holds; ``None`` if no claim has one to change."""
    targets = [
        (claim.claim.step_idx, claim.claim.span)
        for claim in check.claims
        if claim.verdict == "holds"
        and is_literal(_cut(steps[claim.claim.step_idx].text, claim.claim.span))
    ]
    for idx, span in rng.sample(targets, len(targets)):
        before = _cut(steps[idx].text, span)
        for _ in range(20):
            after = repr(_changed(literal_value(before), rng))
            if is_literal(after) and not agrees(after, before) and not agrees(before, after):
                return _replaced(steps, idx, span, "value", after)
    return None


def _changed(value: Any, rng: random.Random) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return _changed_number(value, rng)
        case str():
            return _changed_text(value, rng)
        case list() | tuple():
            return type(value)(_changed_items(list(value), rng))
        case set():
            return set(_changed_items(sorted(value, key=repr), rng))
        case dict() if value:
            key = rng.choice(list(value))
            return {**value, key: _changed(value[key], rng)}
        case None:
            return 0
        case _:
            return value


def _changed_number(value: int | float, rng: random.Random) -> int | float:
    if rng.random() < 0.5:
        return value + rng.choice([-2, -1, 1, 2])
    text = repr(value)
    at = rng.choice([i for i, char in enumerate(text) if char.isdigit()] or [0])
    digits = text[:at] + rng.choice("123456789") + text[at + 1 :]
    return literal_value(digits) if is_literal(digits) else value + 1


def _changed_text(value: str, rng: random.Random) -> str:
    if not value:
        return "a"
    at = rng.randrange(len(value))
    return value[:at] + rng.choice("abcdexyz") + value[at + 1 :]


def _changed_items(items: list[Any], rng: random.Random) -> list[Any]:
    choices: list[Callable[[], list[Any]]] = [lambda: [*items, items[-1] if items else 0]]
    if items:
        at = rng.randrange(len(items))
        choices.append(lambda: items[:at] + items[at + 1 :])
        choices.append(lambda: [*items[:at], _changed(items[at], rng), *items[at + 1 :]])
    return rng.choice(choices)()


_SIGNS: Final = {
    "+": "-", "-": "+", "*": "+", "//": "%", "%": "//", "<": "<=", "<=": "<", ">": ">=",
    ">=": ">", "==": "!=", "!=": "==",
}  # fmt: skip
_WORDS: Final = {
    "even": "odd", "odd": "even", "max": "min", "min": "max", "maximum": "minimum",
    "minimum": "maximum", "largest": "smallest", "smallest": "largest", "larger": "smaller",
    "smaller": "larger", "greater": "less", "less": "greater", "longest": "shortest",
    "shortest": "longest", "increase": "decrease", "decrease": "increase",
}  # fmt: skip
_ADD: Final = re.compile(r"\badd (?P<what>[^;:.]{1,60}?) to\b")


def mutate_operator(steps: Sequence[Step], rng: random.Random) -> Mutation | None:
    """Swap one operator, in a sign or in a word; ``None`` if the thought has none."""
    targets: list[tuple[int, tuple[int, int], str]] = []
    for idx, step in enumerate(steps):
        for token in tokenise(step.text):
            span = token.start, token.end
            around = step.text[max(0, token.start - 1) : token.end + 1]
            spaced = around[:1].isspace() and around[-1:].isspace()  # no sign, bullet or hyphen
            if token.kind in ("op", "relation") and spaced and token.text in _SIGNS:
                targets.append((idx, span, _SIGNS[token.text]))
            elif token.kind == "word" and token.text in _WORDS:
                targets.append((idx, span, _WORDS[token.text]))
        for found in _ADD.finditer(step.text):
            targets.append((idx, found.span(), f"take {found['what']} from"))
    if not targets:
        return None
    idx, span, after = rng.choice(targets)
    return _replaced(steps, idx, span, "operator", after)


def _cut(text: str, span: tuple[int, int]) -> str:
    return text[span[0] : span[1]].replace("−", "-")


def _replaced(
    steps: Sequence[Step],
    idx: int,
    span: tuple[int, int],
    kind: Literal["value", "operator"],
    after: str,
) -> Mutation:
    text = steps[idx].text
    changed = replace(steps[idx], text=text[: span[0]] + after + text[span[1] :])
    before = text[span[0] : span[1]]
    return Mutation(idx, kind, before, after, (*steps[:idx], changed, *steps[idx + 1 :]))
