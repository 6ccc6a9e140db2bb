"""From what several people say of a trace to one decision.

More than half of those who answered decide; without such a majority a senior does, and without a
senior it is a dispute, which goes back to the queue. Everything is decided anew each time, so a
decision goes as soon as the reviews that it was made of are taken back.

The surprising fact: a factor that only one of two people corrects stays as it is. Whoever leaves a
step alone agrees with the factor that it has, so silence is a vote.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple, TypeVar

import polars as pl

from datagen.errors import ConfigError
from datagen.review.ask.queue import in_random_order
from datagen.review.ask.standing import last_words
from schemas import DecidedBy, Decision

Choice = TypeVar("Choice")


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
    step that the trace does not have, is no vote on it; but if enough people have looked and a
    senior is the only one who can tell, that senior decides.

    Args:
        reviews: table ``reviews``: all that were ever submitted and not taken back, also if their
            records are gone from the tool; the order does not matter.
        queue: table ``review_queue`` that people answered last. Reviews of traces that neither it
            nor ``before`` knows wait until a queue has them.
        seniors: people whose word breaks a tie; the last of several.
        min_annotators: fewest people who must have answered.
        before: table ``decisions`` so far. It only tells what people were asked about in earlier
            queues: the trace's seed, what was believed of it then, whether it was a trap, and
            whether it is of the random sample. What they decided is not taken from it.

    Returns:
        Table ``decisions``, ordered by seed and trace. Traps have rows, which change no label. In
        the fixed order that chance goes by, all traces up to the first one that awaits reviews are
        the random sample, for whatever reason they were reviewed. A trace stays of it as long as it
        is decided; once its reviews are taken back, it is among the first of the next prefix.

    Raises:
        ConfigError: if ``min_annotators`` is below 1.
    """
    if min_annotators < 1:
        raise ConfigError(f"min_annotators={min_annotators!r} must be at least 1")
    before = Decision.empty() if before is None else before
    cases = _cases(queue, before)
    decided: dict[str, dict[str, Any]] = {}
    own = last_words(reviews.filter(pl.col("trace_id").is_in([*cases])))
    for (trace_id,), group in own.group_by("trace_id", maintain_order=True):
        case = cases[str(trace_id)]
        row = _decided(case, list(group.iter_rows(named=True)), frozenset(seniors), min_annotators)
        if row is not None:
            decided[case.trace_id] = row
    end = _end_of_sample(queue, decided)
    drawn = set(before.filter("is_random")["trace_id"])
    rows = [
        row | {"is_random": trace_id in drawn or in_random_order(trace_id) <= end}
        for trace_id, row in decided.items()
    ]
    return Decision.from_rows(rows).sort("seed_id", "trace_id")


def _end_of_sample(queue: pl.DataFrame, decided: Collection[str]) -> float:
    """Place of the last trace of the random sample; -1 if there is none.

    Up to its last random item the queue has whatever was undecided, also disputes and traps.
    """
    asked = queue.select("trace_id", "reason").iter_rows()
    places = sorted((in_random_order(trace_id), trace_id, reason) for trace_id, reason in asked)
    last = max((place for place, _, reason in places if reason == "random"), default=-1.0)
    answered = takewhile(lambda item: item[0] <= last and item[1] in decided, places)
    return max((place for place, *_ in answered), default=-1.0)


class _Case(NamedTuple):
    """What was asked about, as it was when people were first asked."""

    trace_id: str
    seed_id: str
    n_steps: int | None
    believed_first_error: int
    trap_first_error: int | None


def _cases(queue: pl.DataFrame, before: pl.DataFrame) -> dict[str, _Case]:
    asked = queue.select(
        "trace_id", "seed_id", pl.col("steps").list.len(), "first_error", "trap_first_error"
    )
    found = {row[0]: _Case(*row) for row in asked.iter_rows()}
    earlier = before.select("trace_id", "seed_id", "believed_first_error", "trap_first_error")
    for trace_id, seed_id, believed, trap in earlier.iter_rows():
        n_steps = found[trace_id].n_steps if trace_id in found else None
        found[trace_id] = _Case(trace_id, seed_id, n_steps, believed, trap)
    return found


def _decided(
    case: _Case, reviews: Sequence[Mapping[str, Any]], seniors: frozenset[str], min_annotators: int
) -> dict[str, Any] | None:
    """The row of a trace; ``None`` if too few people have answered."""
    votes = [row for row in reviews if _is_vote(row["first_error"], case.n_steps)]
    # Whoever could not tell has looked as well; that is enough where a senior can.
    has_senior = any(row["annotator"] in seniors for row in votes)
    if len(reviews if has_senior else votes) < min_annotators:
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
