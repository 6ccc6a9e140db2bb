"""The rows of exported files: their instructions, an item, an empty form, and what comes back.

The surprising fact: a row that came back needs nothing but what stands in it. It brings the steps
that its annotator saw, so it can still be read when the queue has long changed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from datagen.review.tools import authoring, questions
from datagen.review.tools.records import Item, guidelines, suggestions_of, view_of
from schemas.reviews import ANSWER_VERDICTS

_STATUSES: Final = ("submitted", "draft", "discarded")
_ABOUT_WHO: Final = {
    "annotator": "who answers; else the name of the file",
    "submitted_at": "when, ISO 8601 as in 2026-03-01T12:00:00Z; else the time of the file",
    "status": "draft or discarded, if the answers are not to count; else submitted",
}
_HOW: Final = (
    "Each further line is one item. Write your answers into its response, keep everything else, "
    "name the file after yourself (ann.jsonl), and send it back. A response that stays {} is "
    "skipped."
)

SEEDS_HEADER: Final[dict[str, Any]] = {
    "about": "New seeds. " + _HOW,
    "response": {name: blank.description for name, blank in authoring.FORM.items()} | _ABOUT_WHO,
    "guidelines": authoring.GUIDELINES,
}
"""The first line of a file of empty forms."""


@dataclass(frozen=True, slots=True)
class Response:
    """What somebody made of a row.

    Attributes:
        moment: when, ISO 8601 in UTC.
        annotator: by whom.
        answers: by question or blank; None if it is a draft or was discarded.
    """

    moment: str
    annotator: str
    answers: Mapping[str, Any] | None


class Refused(Exception):
    """A row cannot be taken; says why and how to mend it."""


def header() -> dict[str, Any]:
    """The first line of a file of items: how to fill it in."""
    choices = {
        questions.FIRST_WRONG: f'"{questions.NONE}", "{questions.UNSURE}" or a number: ',
        questions.VERDICT: f"{', '.join(map(json.dumps, ANSWER_VERDICTS))}: ",
        questions.RATING: "a number from 1 to 5: ",
        questions.FACTORS: 'text, or an object such as {"3": "Compute"}: ',
    }
    asked = {
        name: f"{title} {choices.get(name, '')}{questions.DESCRIPTIONS[name]}"
        for name, title in questions.TITLES.items()
    }
    return {
        "about": "Reviews of thoughts. " + _HOW,
        "required": list(questions.REQUIRED),
        "response": asked | _ABOUT_WHO,
        "guidelines": guidelines(),
    }


def row_of(item: Item, *, suggest: bool) -> dict[str, Any]:
    """An item with an empty response; never why it is in the queue."""
    suggested = {name: value for name, (value, _) in suggestions_of(item).items()}
    return {
        "item_id": item["item_id"],
        **view_of(item),
        **({"suggested": suggested} if suggest else {}),
        "response": {},
    }


def form(form_id: str) -> dict[str, Any]:
    """An empty form for a seed."""
    return {"form_id": form_id, "task": authoring.TASK, "response": {}}


def parsed(line: bytes) -> dict[str, Any]:
    """One line as an object.

    Raises:
        Refused: it is none, or neither an item, a form nor the instructions.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"it is no JSON: {error}; keep one row per line") from None
    if not isinstance(row, dict):
        raise Refused("it is no JSON object; keep the rows as they were sent")
    given = cast(dict[str, Any], row)
    ids = [given[name] for name in ("item_id", "form_id") if name in given]
    if not (ids and all(isinstance(id, str) and id for id in ids)) and "about" not in given:
        raise Refused("it has no item_id; keep the rows as they were sent")
    return given


def steps_of(row: Mapping[str, Any]) -> Sequence[object]:
    """The steps that the annotator saw.

    Raises:
        Refused: the row has none.
    """
    steps = row.get("steps")
    if not isinstance(steps, list) or not steps:
        raise Refused("it has no steps; keep everything but the response as it was sent")
    return cast(list[object], steps)


def read_response(row: Mapping[str, Any], path: Path) -> Response | None:
    """What somebody answered to an item; None if nobody has touched it.

    Raises:
        Refused: the response cannot be read.
    """
    return _read(row, path, known=questions.TITLES, required=questions.REQUIRED)


def read_seed(row: Mapping[str, Any], path: Path) -> Response | None:
    """What somebody wrote into a form; None if nobody has touched it.

    Raises:
        Refused: the response cannot be read.
    """
    required = [name for name, blank in authoring.FORM.items() if blank.is_required]
    return _read(row, path, known=authoring.FORM, required=required)


def _read(
    row: Mapping[str, Any], path: Path, *, known: Mapping[str, Any], required: Sequence[str]
) -> Response | None:
    response = row.get("response")
    if response is None or response == {}:
        return None
    if not isinstance(response, dict):
        raise Refused(f"response is {response!r:.60}; write an object")
    given = cast(dict[str, Any], response)
    if unknown := given.keys() - {*known, *_ABOUT_WHO}:
        raise Refused(
            f"response has {', '.join(map(repr, sorted(unknown)))}; it may have "
            f"{', '.join((*known, *_ABOUT_WHO))}"
        )
    status = given.get("status", "submitted")
    if status not in _STATUSES:
        raise Refused(f"status is {status!r}; use one of {', '.join(_STATUSES)}")
    annotator = given.get("annotator", path.stem)
    if not isinstance(annotator, str) or not annotator.strip():
        raise Refused(f"annotator is {annotator!r}; write a name")
    answers = None
    if status == "submitted":
        answers = {name: value for name, value in given.items() if name in known}
        if missing := [name for name in required if given.get(name) in (None, "")]:
            raise Refused(f"{', '.join(missing)} is not answered")
    return Response(_moment(given.get("submitted_at"), path), annotator.strip(), answers)


def _moment(given: object, path: Path) -> str:
    """ISO 8601 in UTC; a time without an offset is UTC."""
    if given is None:
        return datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        raise Refused(
            f"submitted_at is {given!r}; write ISO 8601, as in 2026-03-01T12:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
