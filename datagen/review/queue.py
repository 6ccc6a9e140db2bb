"""The review queue: the traces on which a minute of a person changes most labels.

A trace is worth the labels that a review is expected to change, per step that must be read
(:mod:`datagen.review.belief`). The surprising fact: a part of the queue is not chosen by worth at
all. The random slice is a prefix of one fixed order by hash, so that all its decisions, whenever
and for whatever reason they were made, are together an unbiased sample of the traces; and traps,
whose first error is known for sure, measure the reviewers and change nothing.

The same tables give the same queue, and what is decided makes room for what comes next.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import polars as pl

from datagen.errors import ConfigError
from datagen.review.belief import believe
from datagen.review.candidates import candidates
from schemas import Decision, ReviewItem

_RANDOM: Final = "random"
_TRAP: Final = "trap"
_PLACE: Final = "place"


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """What a queue is made of.

    Attributes:
        n_items: most traces, disputes, random ones and traps included: the budget of one night.
        random_share: part of them that chance alone chooses.
        trap_share: part of them whose first error is known.
        n_annotators: people who should look at each trace; a dispute wants one more.
        temperature: of the beliefs about first errors, from
            :func:`~datagen.review.recalibrate.recalibrate`; above 1 they are less sure.
    """

    n_items: int = 100
    random_share: float = 0.1
    trap_share: float = 0.05
    n_annotators: int = 2
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Raise a ConfigError if a number is out of range."""
        for name in ("random_share", "trap_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)!r} must be from 0 to 1")
        if self.random_share + self.trap_share > 1:
            raise ConfigError(
                f"random_share={self.random_share!r} and trap_share={self.trap_share!r} must not "
                "exceed 1 together"
            )
        if self.n_items < 0 or self.n_annotators < 1 or self.temperature <= 0:
            raise ConfigError(
                f"n_items={self.n_items!r} must be at least 0, n_annotators="
                f"{self.n_annotators!r} at least 1, temperature={self.temperature!r} above 0"
            )


def make_queue(
    traces: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    critiques: pl.DataFrame,
    tags: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    corrections: pl.DataFrame,
    *,
    decisions: pl.DataFrame | None = None,
    config: QueueConfig | None = None,
) -> pl.DataFrame:
    """Choose what people should look at next.

    Args:
        traces: table ``traces``; those that were refused should be left out.
        step_labels: table ``step_labels``, before any decision is applied.
        trace_labels: table ``trace_labels``, likewise.
        critiques: table ``critiques``.
        tags: table ``tags``.
        code_thoughts: table ``code_thoughts``.
        corrections: table ``corrections``.
        decisions: table ``decisions`` of all reviews so far. Decided traces are left out, disputed
            ones come first.
        config: how many, and of what kinds.

    Returns:
        Table ``review_queue`` by ``rank``: disputes, then the others by value, with the random
        slice and the traps scattered evenly among them.
    """
    config = config or QueueConfig()
    found = candidates(
        traces, step_labels, trace_labels, critiques, tags, code_thoughts, corrections
    )
    if found.is_empty():
        return ReviewItem.empty()
    pool = found.with_columns(believe(found, temperature=config.temperature)).with_columns(
        pl.Series("luck", [in_random_order(trace_id) for trace_id in found["trace_id"]]),
        *(
            pl.Series(order, [_place(f"{order} {trace_id}") for trace_id in found["trace_id"]])
            for order in (_TRAP, _PLACE)
        ),
    )
    pool, disputes = _without_decided(pool, decisions)
    chosen = _chosen(pool, disputes.height, config)
    items = pl.concat([disputes.head(config.n_items), chosen], how="diagonal_relaxed")
    return ReviewItem.validate(
        items.with_columns(
            item_id=pl.col("trace_id"),
            rank=pl.int_range(pl.len(), dtype=pl.Int32),
            n_wanted=(config.n_annotators + (pl.col("reason") == "dispute").cast(pl.Int32)).cast(
                pl.Int32
            ),
            trap_first_error=pl.when(pl.col("reason") == _TRAP).then("known_first_error"),
            decisions_before=pl.col("decisions_before").fill_null([]),
        ).select(ReviewItem.column_names())
    )


def in_random_order(trace_id: str) -> float:
    """Place of a trace in the fixed random order of all traces, from 0 to 1.

    Whoever draws the first ones of this order, however often, draws a random sample.
    """
    return _place(f"{_RANDOM} {trace_id}")


def _place(text: str) -> float:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _without_decided(
    pool: pl.DataFrame, decisions: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The traces of which nothing was said so far, and the disputed ones with who said what."""
    if decisions is None:
        decisions = Decision.empty()
    named = (
        pl.when(pl.col("answers") < 0)
        .then(pl.lit("no step is wrong"))
        .otherwise(pl.format("step {} is wrong", "answers"))
    )
    said = (
        # A dispute about a trap is settled already.
        decisions.filter(pl.col("status") == "disputed", pl.col("trap_first_error").is_null())
        .select("trace_id", "annotators", "answers")
        .explode("annotators", "answers")
        .group_by("trace_id", maintain_order=True)
        .agg(pl.format("{}: {}", "annotators", named).alias("decisions_before"))
    )
    disputes = (
        pool.join(said, on="trace_id", how="inner")
        .with_columns(reason=pl.lit("dispute"))
        .sort("value", "trace_id", descending=[True, False])
    )
    return pool.join(decisions, on="trace_id", how="anti", maintain_order="left"), disputes


def _chosen(pool: pl.DataFrame, n_disputes: int, config: QueueConfig) -> pl.DataFrame:
    """Random ones, traps and the most valuable others, in the order of the queue."""
    n_random, n_traps = (
        min(round(config.n_items * share), max(0, config.n_items - n_disputes))
        for share in (config.random_share, config.trap_share)
    )
    n_traps = min(n_traps, max(0, config.n_items - n_disputes - n_random))
    at_random = pool.sort("luck").head(n_random).with_columns(reason=pl.lit(_RANDOM))
    rest = pool.join(at_random, on="trace_id", how="anti", maintain_order="left")
    traps = (
        rest.filter(pl.col("known_first_error").is_not_null())
        .sort(_TRAP)
        .head(n_traps)
        .with_columns(reason=pl.lit(_TRAP))
    )
    rest = rest.join(traps, on="trace_id", how="anti", maintain_order="left")
    n_left = max(0, config.n_items - n_disputes - at_random.height - traps.height)
    valuable = _by_value(rest.filter(pl.col("value") > 0), n_left)
    # Random ones keep their order, so that a night which ends early has the first of them.
    evenly = ((pl.int_range(pl.len()) + 0.5) / pl.len().clip(1)).alias(_PLACE)
    return pl.concat([valuable.with_columns(evenly), at_random.with_columns(evenly), traps]).sort(
        _PLACE, "trace_id"
    )


def _by_value(pool: pl.DataFrame, n: int) -> pl.DataFrame:
    """The ``n`` most valuable traces, every stratum with the share that its value has in all.

    A stratum's share of half the places goes by the sum of its values; the other half goes to
    whatever is worth most. So nothing that is in doubt is never seen.
    """
    ranked = _best_first(pool).with_columns(
        within=pl.int_range(pl.len()).over("stratum"),
        due=(pl.col("value").sum().over("stratum") / pl.col("value").sum() * (n // 2)).floor(),
    )
    secured = ranked.filter(pl.col("within") < pl.col("due"))
    others = ranked.join(secured, on="trace_id", how="anti", maintain_order="left")
    first = pl.concat([secured, others.head(n - secured.height)])
    # Each of the three measures ranks the traces; what a trace stands out by is why it is here.
    places = pool.select(
        "trace_id",
        by_doubt=pl.col("entropy").rank("min", descending=True),
        by_impact=pl.col("n_flips").rank("min", descending=True),
    )
    return _best_first(
        first.join(places, on="trace_id", how="left", maintain_order="left")
        .with_columns(
            reason=pl.when(pl.col("judge_first_error") != pl.col("first_error"))
            .then(pl.lit("disagreement"))
            .when(pl.col("by_impact") < pl.col("by_doubt"))
            .then(pl.lit("impact"))
            .otherwise(pl.lit("uncertain"))
        )
        .drop("within", "due", "by_doubt", "by_impact")
    )


def _best_first(pool: pl.DataFrame) -> pl.DataFrame:
    return pool.sort("value", "luck", descending=[True, False])
