"""Shares that are held to a limit, and when a small sample is reason enough to fail.

The surprising fact: one question counts as one toss of a coin, however many rollouts it has. Those
of one question succeed and fail together, so a hundred of them say little more of a shard than one
does. The mean over questions of a share within 0 and 1 varies at most as tosses do, so an interval
for tosses is on the safe side.

A check fails only if the share is beyond its limit by more than chance explains: the one-sided 95 %
bound (Wilson 1927) has to be beyond it. So no limit of 0.5 can fail a shard of two questions, and a
limit of 0 or 1 still means none or any.
"""

from dataclasses import dataclass
from typing import Final, Self

import polars as pl

from datagen.checks.finding import CheckName, Figure, Finding
from datagen.labels.monte_carlo import wilson
from datagen.report.numbers import share as percent

_Z: Final = 1.6449
"""Of the standard normal, at 95 % on one side."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a sample, with the bounds of the share that it is a sample of.

    Attributes:
        value: the share; 0 of nothing.
        n: tosses: questions, or rows where each stands for itself.
        low: one-sided lower bound.
        high: one-sided upper bound.
    """

    value: float
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, n_yes: float, n: int) -> Self:
        """So many of so many, each a toss of its own; the former may be a sum of shares."""
        if n == 0:
            return cls(0.0, 0, 0.0, 1.0)
        low, high = wilson(n_yes, n, z=_Z)
        # Exact at the ends, where rounding would put the bound a hair inside.
        return cls(n_yes / n, n, low if n_yes else 0.0, high if n_yes < n else 1.0)

    @classmethod
    def by_question(cls, rows: pl.DataFrame, happened: pl.Expr) -> Self:
        """How often something happened, as the mean over questions.

        Args:
            rows: with ``seed_id``.
            happened: true or false of each.
        """
        shares = rows.group_by("seed_id", maintain_order=True).agg(share=happened.mean())["share"]
        return cls.of(float(shares.sum()), len(shares))

    def figures(self, name: str) -> dict[str, Figure]:
        """The share under this name, its bounds, and what it is of."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high, "of": self.n}


def at_most(
    name: CheckName, found: Share, limit: float, *, what: str, setting: str, fix: str
) -> Finding:
    """Pass unless the share is above the limit beyond chance.

    Args:
        name: the check.
        found: the share.
        limit: from 0 to 1.
        what: the sentence that follows the share: "of the rollouts … were cut off".
        setting: where the limit is set.
        fix: what to do if it fails.
    """
    passed = found.low <= limit
    allowed = f"at most {percent(limit)} is allowed ({setting})"
    return _held(name, found, passed, limit, (found.low, what, allowed, fix))


def at_least(
    name: CheckName, found: Share, limit: float, *, what: str, setting: str, fix: str
) -> Finding:
    """Pass unless the share is below the limit beyond chance; as :func:`at_most`."""
    passed = found.high >= limit
    needed = f"at least {percent(limit)} is needed ({setting})"
    return _held(name, found, passed, limit, (found.high, what, needed, fix))


def _held(
    name: CheckName,
    found: Share,
    passed: bool,
    limit: float,
    words: tuple[float, str, str, str],
) -> Finding:
    bound, what, wanted, fix = words
    allowance = "" if passed else f" ({percent(bound)} if chance is allowed for)"
    detail = f"{percent(found.value)} {what}{allowance}; {wanted}"
    if not found.n:
        detail = "there is nothing to count"
    elif not passed:
        detail += f": {fix}"
    return Finding(name, passed, detail, {**found.figures("share"), "limit": limit})
