"""The few thoughts about code that the report shows beside their program and its recorded run.

The surprising fact: the first one shown is a thought that failed, if there is any. What the checks
are worth is seen where they say no.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from datagen.report.clip import clipped, clipped_lines
from datagen.report.tree import family

Tables = Mapping[str, pl.DataFrame]

_MAX_STEPS: Final = 30
_MAX_LINES: Final = 60
_MAX_CLAIMS: Final = 6

_WANTED: Final = (
    ("model", False),
    ("model", True),
    ("grounded", True),
    ("narrator", True),
)
"""Routes, and whether verified, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a step claims of the run.

    Attributes:
        text: in its words.
        verdict: what the run says of it.
        actual: the true value, if the claim is false and there is one.
    """

    text: str
    verdict: str
    actual: str | None


@dataclass(frozen=True, slots=True)
class CheckedStep:
    """A step, with what the run says of it.

    Attributes:
        factor: its thought factor.
        family: the kind of thinking that it belongs to.
        text: the step.
        check: what the run says of it as a whole.
        claims: what it claims, some of it.
    """

    factor: str
    family: str
    text: str
    check: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class ShownThought:
    """A thought about code.

    Attributes:
        route: who wrote it.
        verified: whether it passed every check.
        reasons: why not.
        question: what was asked for.
        code: the program.
        run: the recorded run of one call, in lines; empty if there is none.
        steps: the thought.
        n_left_out: steps that are not among them.
        n_passed: programs written from the thought that pass the tests, of ``n_round_trips``.
        n_round_trips: see above.
    """

    route: str
    verified: bool
    reasons: tuple[str, ...]
    question: str
    code: str
    run: str
    steps: tuple[CheckedStep, ...]
    n_left_out: int
    n_passed: int
    n_round_trips: int


def shown_thoughts(tables: Tables) -> tuple[ShownThought, ...]:
    """One thought per route and verdict, each of another program where that can be had.

    Args:
        tables: ``code_thoughts`` and ``executions``.
    """
    thoughts = tables["code_thoughts"].filter(pl.col("steps").list.len() > 0)
    shown: list[ShownThought] = []
    seen: set[str] = set()
    for route, verified in _WANTED:
        own = thoughts.filter(pl.col("route") == route, pl.col("verified") == verified)
        if own.is_empty():
            continue
        # Contradicted by a run before failed for another reason, and easy to read before long.
        row = own.sort(
            pl.col("seed_id").is_in(sorted(seen)),
            pl.col("first_error") < 0,
            (pl.col("steps").list.len().cast(pl.Int64) - 8).abs(),
            "thought_id",
        ).row(0, named=True)
        seen.add(row["seed_id"])
        shown.append(_shown(row, tables["executions"]))
    return tuple(shown)


def _shown(row: Mapping[str, Any], executions: pl.DataFrame) -> ShownThought:
    runs = executions.filter(pl.col("seed_id") == row["seed_id"]).head(1)["run"]
    claims: dict[int, list[Claim]] = {}
    for claim in row["claims"]:
        actual = claim["actual"] if claim["verdict"] == "contradicted" else None
        claims.setdefault(claim["step_idx"], []).append(
            Claim(
                clipped(claim["text"], 160),
                claim["verdict"],
                None if actual is None else clipped(actual, 160),
            )
        )
    # False ones first, for they are what a reader looks for.
    ranked = {
        idx: sorted(own, key=lambda claim: claim.verdict != "contradicted")
        for idx, own in claims.items()
    }
    steps = tuple(
        CheckedStep(
            clipped(factor, 60),
            family(factor),
            clipped(text, 500),
            check,
            tuple(ranked.get(idx, [])[:_MAX_CLAIMS]),
        )
        for idx, (factor, text, check) in enumerate(
            zip(row["factors"], row["steps"], row["step_checks"], strict=True)
        )
    )
    return ShownThought(
        route=row["route"],
        verified=row["verified"],
        reasons=tuple(clipped(reason, 200) for reason in row["reasons"][:3]),
        question=clipped(row["question"], 800),
        code=clipped_lines(row["code"], _MAX_LINES, 4000),
        run=clipped_lines(runs[0], _MAX_LINES, 4000) if len(runs) else "",
        steps=steps[:_MAX_STEPS],
        n_left_out=max(len(steps) - _MAX_STEPS, 0),
        n_passed=row["n_passed"],
        n_round_trips=row["n_round_trips"],
    )
