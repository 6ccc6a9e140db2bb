"""Turns an item of the queue into what a person is shown, and what is filled in beforehand.

The surprising fact: the whole item travels as one string of JSON in which ``<``, ``$``, ``#`` and
``&`` are escaped a second time. Argilla pastes a record into a script of its page by plain text
replacement, so a step that holds ``</script>``, ``$'`` (which is common in TeX) or the name of its
placeholder would otherwise run as a program in the reviewer's session, or blank the page.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from datagen.factors.taxonomy import Factor
from datagen.review.tools.questions import FACTORS, FIRST_WRONG, NONE, VERDICT
from datagen.show.styles import FAMILY

Item = Mapping[str, Any]
"""A row of ``review_queue``, as from ``frame.iter_rows(named=True)``."""

_ACTIVE: Final = re.compile("[<>&$#\u2028\u2029]")
_FAMILIES: Final = {factor.value: family for factor, family in FAMILY.items()}
_PARTS: Final = {
    "prelude": "# a program that is right",
    "code": "# the program",
    "tests": "# what must hold",
    "output": "# what it must return",
}
"""What the JSON of a right answer about code has, in the order in which it is shown."""

_VERDICTS: Final = {"correct": "right", "wrong": "wrong"}


def view_of(item: Item) -> dict[str, Any]:
    """What is drawn of an item, for JSON; steps are counted from 1.

    Neither why it is in the queue nor what is known of a trap is in it. ``before`` holds what
    others decided, which only a senior may be shown.
    """
    doubts = set(item["factor_doubts"])
    p = [round(share, 4) for share in item["p_first_error"]]
    return {
        "kind": item["kind"],
        "question": item["question"],
        "gold": _readable(item["gold"]),
        "answer": item["answer"],
        "outcome": item["outcome"],
        "steps": [
            {
                "n": idx + 1,
                "text": text,
                "factor": factor,
                "about": Factor(factor).definition if factor in _KNOWN else "",
                "family": _FAMILIES.get(factor, "other"),
                "doubt": idx in doubts,
                "trials": item["n_trials"][idx],
                "successes": item["n_successes"][idx],
                "p": p[idx],
                "role": item["step_roles"][idx] if item["step_roles"] else None,
                "check": item["step_checks"][idx] if item["step_checks"] else None,
            }
            for idx, (text, factor) in enumerate(zip(item["steps"], item["factors"], strict=True))
        ],
        "p_none": p[-1],
        "judge": {
            "step": None if item["judge_first_error"] is None else item["judge_first_error"] + 1,
            "text": item["judge_text"],
        },
        "before": list(item["decisions_before"]),
    }


def _readable(gold: str) -> str:
    """A right answer as people read it: that of code is JSON of programs and tests."""
    try:
        parts = json.loads(gold)
    except (ValueError, RecursionError):
        return gold
    if not isinstance(parts, dict) or not parts.keys() & _PARTS.keys():
        return gold
    shown = ((title, str(parts.get(name) or "")) for name, title in _PARTS.items())
    return "\n\n".join(f"{title}\n{text.strip()}" for title, text in shown if text.strip())


def field_of(item: Item) -> dict[str, str]:
    """The value of the one field of a record, which :func:`template` draws."""
    text = json.dumps(view_of(item), ensure_ascii=False, separators=(",", ":"))
    return {"json": _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)}


def suggestions_of(item: Item) -> dict[str, tuple[str, float | None]]:
    """What the pipeline believes: per question a value and, where there is one, its score."""
    first, outcome = item["first_error"], _VERDICTS.get(item["outcome"])
    suggested: dict[str, tuple[str, float | None]] = {
        FIRST_WRONG: (NONE if first < 0 else str(first + 1), min(1.0, item["first_error_mass"]))
    }
    if outcome is not None:
        suggested[VERDICT] = (outcome, None)
    if item["factor_doubts"]:
        lines = (f"{idx + 1}: {item['factors'][idx]}" for idx in item["factor_doubts"])
        suggested[FACTORS] = ("\n".join(lines), None)
    return suggested


def digest_of(item: Item, *, suggest: bool = True) -> str:
    """16 hex digits that tell whether an item would be shown differently."""
    shown = json.dumps([view_of(item), suggestions_of(item) if suggest else {}], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


@cache
def template() -> str:
    """HTML, CSS and JavaScript that draw the field of a record, without any network."""
    return _packaged("template.html")


@cache
def guidelines() -> str:
    """What a reviewer should read first, in Markdown, with the kinds of steps in force."""
    kinds = "\n".join(f"- `{factor.value}`: {factor.definition}" for factor in Factor)
    return _packaged("guidelines.md").replace("{{kinds}}", kinds)


_KNOWN: Final = frozenset(factor.value for factor in Factor)


def _packaged(name: str) -> str:
    return files("datagen.review.tools").joinpath(name).read_text(encoding="utf-8")
