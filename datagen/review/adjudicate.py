"""From what several people say of a trace to one decision.

More than half of those who answered decide; without such a majority a senior does, and without a
senior it is a dispute, which goes back to the queue. The surprising fact: a factor that only one of
two people corrects stays as it is. Whoever leaves a step alone agrees with the factor that it
has, so silence is a vote.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, NamedTuple, TypeVar

import polars as pl

from datagen.errors import ConfigError
from datagen.review.queue import in_random_order
from schemas import DecidedBy, Decision

Choice = TypeVar("Choice")

_FROM_QUEUE: Final = ("trace_id", "seed_id", "steps", "first_error", "reason", "trap_first_error")


def adjudicate(
    reviews: pl.DataFrame,
    queue: pl.DataFrame,
    *,
    seniors: Collection[str] = (),
    min_annotators: int = 2,
    before: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Decide on every trace that enough people have reviewed.

    Of several reviews of a trace by one person the last counts. One that names no first error, or a
    step that the trace does not have, is no vote on it.

    Args:
        reviews: table ``reviews``, all there are; the order does not matter.
        queue: table ``review_queue`` that they answer.
        seniors: people whose word breaks a tie; the last of several.
        min_annotators: fewest people who must have answered.
        before: table ``decisions`` so far. They stay, also if their reviews cannot be had any more;
            where there are as many or more, it is decided anew.

    Returns:
        Table ``decisions``, ordered by seed and trace. Traps have rows, which change no label. In
        the fixed order that chance goes by, all traces up to the first one that awaits reviews are
        the random sample, for whatever reason they were reviewed.

    Raises:
        ConfigError: if ``min_annotators`` is below 1.
    """
    if min_annotators < 1:
        raise ConfigError(f"min_annotators={min_annotators!r} must be at least 1")
    before = Decision.empty() if before is None else before
    asked = {row["trace_id"]: row for row in queue.select(_FROM_QUEUE).iter_rows(named=True)}
    decided = {row["trace_id"]: row for row in before.iter_rows(named=True)}
    own = (
        reviews.filter(pl.col("trace_id").is_in([*asked, *decided]))
        .sort("submitted_at", "review_id")
        .unique(["trace_id", "annotator"], keep="last", maintain_order=True)
    )
    for (trace_id,), group in own.group_by("trace_id", maintain_order=True):
        case = _case(asked.get(str(trace_id)), decided.get(str(trace_id)))
        row = _decided(case, list(group.iter_rows(named=True)), frozenset(seniors), min_annotators)
        last = decided.get(case.trace_id)
        if row is not None and (last is None or row["n_reviews"] >= last["n_reviews"]):
            decided[case.trace_id] = row | {"is_random": last is not None and last["is_random"]}
    end = _end_of_sample(asked, decided)
    rows = [
        row | {"is_random": row["is_random"] or in_random_order(trace_id) <= end}
        for trace_id, row in decided.items()
    ]
    return Decision.from_rows(rows).sort("seed_id", "trace_id")


def _end_of_sample(asked: Mapping[str, Mapping[str, Any]], decided: Collection[str]) -> float:
    """Place of the last trace of the random sample; -1 if there is none."""
    drawn = sorted(
        (in_random_order(trace_id), trace_id in decided)
        for trace_id, row in asked.items()
        if row["reason"] == "random"
    )
    answered = [place for place, _ in takewhile(lambda item: item[1], drawn)]
    return answered[-1] if answered else -1.0


class _Case(NamedTuple):
    """What was asked about."""

    trace_id: str
    seed_id: str
    n_steps: int | None
    believed_first_error: int
    trap_first_error: int | None


def _case(asked: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> _Case:
    if before is not None:
        # What was believed, and whether it was a trap, is as when people were first asked.
        n_steps = None if asked is None else len(asked["steps"])
        return _Case(
            before["trace_id"],
            before["seed_id"],
            n_steps,
            before["believed_first_error"],
            before["trap_first_error"],
        )
    assert asked is not None
    return _Case(
        asked["trace_id"],
        asked["seed_id"],
        len(asked["steps"]),
        asked["first_error"],
        asked["trap_first_error"],
    )


def _decided(
    case: _Case, reviews: Sequence[Mapping[str, Any]], seniors: frozenset[str], min_annotators: int
) -> dict[str, Any] | None:
    """The row of a trace; ``None`` if too few people have answered."""
    votes = [row for row in reviews if _is_vote(row["first_error"], case.n_steps)]
    if len(votes) < min_annotators:
        return None
    first_error, by = _verdict([(row["annotator"], row["first_error"]) for row in votes], seniors)
    agreeing = [row for row in votes if row["first_error"] == first_error]
    mended = [row for row in agreeing if row["corrected_step"] is not None]
    # A senior's words before the others', then the earliest.
    mended.sort(key=lambda row: row["annotator"] not in seniors)
    answers = [(row["annotator"], row["answer_verdict"]) for row in votes if row["answer_verdict"]]
    is_open = by is None
    return {
        "trace_id": case.trace_id,
        "seed_id": case.seed_id,
        "first_error": first_error,
        "answer_verdict": None if is_open else _verdict(answers, seniors)[0],
        "status": "disputed" if is_open else "decided",
        "decided_by": by,
        "n_reviews": len(votes),
        "n_agreeing": 0 if is_open else len(agreeing),
        "annotators": [row["annotator"] for row in votes],
        "answers": [row["first_error"] for row in votes],
        "factors": [] if is_open else _factors(votes, seniors, case.n_steps),
        "corrected_step_idx": mended[0]["corrected_step_idx"] if mended else None,
        "corrected_step": mended[0]["corrected_step"] if mended else None,
        "believed_first_error": case.believed_first_error,
        "is_random": False,
        "trap_first_error": case.trap_first_error,
    }


def _is_vote(first_error: int | None, n_steps: int | None) -> bool:
    return first_error is not None and (n_steps is None or first_error < n_steps)


def _verdict(
    votes: Iterable[tuple[str, Choice]], seniors: frozenset[str]
) -> tuple[Choice | None, DecidedBy | None]:
    """What more than half say; else what the last senior does; else nothing."""
    said = list(votes)
    if not said:
        return None, None
    choice, count = Counter(vote for _, vote in said).most_common(1)[0]
    if 2 * count > len(said):
        return choice, "single" if len(said) == 1 else "majority"
    by_seniors = [vote for who, vote in said if who in seniors]
    return (by_seniors[-1], "senior") if by_seniors else (None, None)


def _factors(
    votes: Sequence[Mapping[str, Any]], seniors: frozenset[str], n_steps: int | None
) -> list[dict[str, Any]]:
    """Per step the factor that people agree on, where they do; in the order of the steps."""
    said = [
        (row["annotator"], {choice["step_idx"]: choice["factor"] for choice in row["factors"]})
        for row in votes
    ]
    named = sorted({idx for _, factors in said for idx in factors})
    found: list[dict[str, Any]] = []
    for idx in named:
        factor, _ = _verdict([(who, factors.get(idx)) for who, factors in said], seniors)
        if factor is not None and _is_vote(idx, n_steps):
            found.append({"step_idx": idx, "factor": factor})
    return found
