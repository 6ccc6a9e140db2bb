"""What people have said so far: what their tools hold now, and what they held before.

The surprising fact: a review outlives its record. Somebody may delete a record in Argilla, or a
whole dataset; what was submitted there before stays. Only its author takes it back, by discarding
it or by making a draft of it again.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from datagen.errors import ReviewError
from datagen.review.tools.protocol import Problem, PulledSeeds, ReviewTool
from schemas import Review


def collect_reviews(
    tools: Iterable[ReviewTool], earlier: pl.DataFrame | None
) -> tuple[pl.DataFrame, tuple[Problem, ...]]:
    """Pull from several tools, and keep what was pulled before.

    Args:
        tools: where people answer.
        earlier: table ``reviews`` as it was collected last.

    Returns:
        Table ``reviews``, by item and annotator, and what could not be read.

    Raises:
        ReviewError: a tool cannot be used.
    """
    pulled = [tool.pull() for tool in tools]
    fresh = pl.concat([Review.empty(), *(found.reviews for found in pulled)])
    gone = {*fresh["review_id"], *(id for found in pulled for id in found.retracted)}
    kept = Review.empty() if earlier is None else earlier
    kept = kept.filter(~pl.col("review_id").is_in(list(gone)))
    reviews = pl.concat([kept, fresh]).sort("item_id", "annotator", "review_id")
    return Review.validate(reviews), tuple(
        problem for found in pulled for problem in found.problems
    )


def keep_seeds(path: Path, pulled: Iterable[PulledSeeds]) -> int:
    """Write what people authored into a JSONL source of seeds, beside what is there.

    Args:
        path: the file; a seed with the ``seed_id`` of one in it takes that one's place.
        pulled: what people have submitted.

    Returns:
        How many seeds the file holds.

    Raises:
        ReviewError: it cannot be read or written.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rows: dict[str, dict[str, Any]] = {
            row["seed_id"]: row for row in map(json.loads, filter(str.strip, lines))
        }
        before = dict(rows)
        for found in pulled:
            for seed_id in found.retracted:
                rows.pop(seed_id, None)
            rows |= {row["seed_id"]: row for row in found.rows}
        if rows != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".new")
            draft.write_text(
                "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values()),
                encoding="utf-8",
            )
            draft.replace(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReviewError(
            f"the authored seeds in {str(path)!r} cannot be kept ({error}); mend that file, or "
            "move it away: it is made anew from what the review tool holds"
        ) from error
    return len(rows)
