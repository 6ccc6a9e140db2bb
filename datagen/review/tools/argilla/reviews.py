"""Turns responses in Argilla into reviews.

The surprising fact: one person may have two responses to one item, for an item that is wanted from
more people than before moves to another dataset, and what was answered stays where it was. Of two
that were submitted the later one counts, and one that was submitted counts against a draft.
"""

from collections.abc import Iterable
from typing import Any

from datagen.review.tools.answers import latest, read_answers, review_id
from datagen.review.tools.argilla.records import Response
from datagen.review.tools.protocol import Problem, Pulled
from schemas.reviews import Review


def reviews_of(responses: Iterable[Response], *, tool: str) -> Pulled:
    """Rows of ``reviews``, what could not be read, and what was taken back.

    Args:
        responses: to records that we pushed, and to others, which are named as problems.
        tool: what the tool is called in ``reviews``.
    """
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    retracted: set[str] = set()
    for given in responses:
        item_id = given.record["external_id"]
        n_steps = (given.record.get("metadata") or {}).get("n_steps")
        if not given.is_submitted:
            retracted.add(review_id(tool, item_id or "", given.user_id))
        elif not item_id or n_steps is None:
            where = f"record {given.record['id']}, {given.annotator}"
            problems.append(Problem(where, "we did not push it; it is left out"))
        else:
            answers = read_answers(given.answers, n_steps=n_steps)
            where = f"item {item_id}, {given.annotator}"
            problems += [Problem(where, reason) for reason in answers.problems]
            rows.append(
                {
                    "review_id": review_id(tool, item_id, given.user_id),
                    "item_id": item_id,
                    "trace_id": item_id,
                    "annotator": given.annotator,
                    "submitted_at": given.changed_at,
                    "tool": tool,
                    **answers.columns,
                }
            )
    reviews = Review.from_rows(latest(rows))
    return Pulled(reviews, tuple(problems), frozenset(retracted.difference(reviews["review_id"])))
