"""The review queue: the traces on which a minute of a person changes most labels.

A trace is worth the labels that a review is expected to change, per step that must be read
(:mod:`datagen.review.ask.belief`). The surprising fact: a part of the queue is not chosen by worth
at all. The random slice is a prefix of one fixed order by hash, so that all its decisions, whenever
and for whatever reason they were made, are together an unbiased sample of the traces; and traps,
whose first error is known for sure, measure the reviewers and change nothing.

The same tables give the same queue, and what is decided makes room for what comes next. Why a
trace is asked about is read off the trace and its place in the order, not off earlier queues: so
it stays the same from night to night, and a trap that one person has answered is still a trap.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import polars as pl

from datagen.errors import ConfigError
from datagen.review.ask.belief import believe
from datagen.review.ask.candidates import candidates
from datagen.review.ask.standing import awaiting
from datagen.review.tools.questions import MAX_STEPS
from schemas import ReviewItem

_DISPUTE: Final = "dispute"
_RANDOM: Final = "random"
_TRAP: Final = "trap"
_PLACE: Final = "place"


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """What a queue is made of.

    Attributes:
        n_items: most traces, disputes, random ones and traps included: the budget of one night.
        random_share: part of them that chance alone chooses.
        trap_share: part of them whose first error is known; more if chance chooses more of those.
        n_annotators: people who should look at each trace; a dispute wants one more.
        temperature: of the beliefs about first errors, from
            :func:`~datagen.review.decide.recalibrate.recalibrate`; above 1 they are less sure.
        max_steps: of a trace that people are asked about. The random sample is one of the traces
            that are no longer than this.
    """

    n_items: int = 100
    random_share: float = 0.1
    trap_share: float = 0.05
    n_annotators: int = 2
    temperature: float = 1.0
    max_steps: int = MAX_STEPS

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
    reviews: pl.DataFrame | None = None,
    decisions: pl.DataFrame | None = None,
    config: QueueConfig | None = None,
) -> pl.DataFrame:
    """Choose what people should look at next.

    The random sample stays unbiased although begun traces come first. A trace is of the sample if
    its place in the fixed order lies before the first one that awaits reviews
    (:func:`~datagen.review.decide.adjudicate.adjudicate`); its value, its reason and who has begun
    it have no say in that. For it to hold, the queue must have every undecided trace up to the last
    one that it calls random. So the prefix is drawn from all undecided traces, begun or not, and
    where begun ones leave too little room it is cut short, and never thinned out. What nobody can
    tell, and traces that are too long, are not in the sample: it speaks for the others.

    Args:
        traces: table ``traces``; those that were refused should be left out.
        step_labels: table ``step_labels``, before any decision is applied.
        trace_labels: table ``trace_labels``, likewise.
        critiques: table ``critiques``.
        tags: table ``tags``.
        code_thoughts: table ``code_thoughts``.
        corrections: table ``corrections``.
        reviews: table ``reviews`` so far. What somebody has reviewed and nobody decided is begun:
            it stays in the queue whatever it is worth by now, so that no review is lost. What as
            many people as wanted have answered, too few of whom could tell, is a dispute; after
            one person more it is closed.
        decisions: table ``decisions`` of these reviews. Decided traces are left out.
        config: how many, and of what kinds.

    Returns:
        Table ``review_queue`` by ``rank``: disputes, then begun traces, then new ones by value,
        with the random slice and the traps scattered evenly among them. Nothing is chosen by value
        whose first error is known; where chance chooses it, it is a trap as well.
    """
    config = config or QueueConfig()
    found = candidates(
        traces, step_labels, trace_labels, critiques, tags, code_thoughts, corrections
    ).filter(pl.col("steps").list.len() <= config.max_steps)
    if found.is_empty():
        return ReviewItem.empty()
    pool = found.with_columns(believe(found, temperature=config.temperature)).with_columns(
        pl.Series("luck", [in_random_order(trace_id) for trace_id in found["trace_id"]]),
        *(
            pl.Series(order, [_place(f"{order} {trace_id}") for trace_id in found["trace_id"]])
            for order in (_TRAP, _PLACE)
        ),
    )
    pool = awaiting(pool, reviews, decisions, n_annotators=config.n_annotators)
    disputes = (
        pool.filter("is_disputed")
        .with_columns(reason=pl.lit(_DISPUTE))
        .sort("value", "trace_id", descending=[True, False])
        .head(config.n_items)
    )
    chosen = _chosen(pool.filter(~pl.col("is_disputed")), config.n_items - disputes.height, config)
    is_dispute = pl.col("reason") == _DISPUTE
    return ReviewItem.validate(
        pl.concat([disputes, chosen])
        .with_columns(
            item_id=pl.col("trace_id"),
            rank=pl.int_range(pl.len(), dtype=pl.Int32),
            n_wanted=(config.n_annotators + is_dispute.cast(pl.Int32)).cast(pl.Int32),
            trap_first_error=pl.when(pl.col("reason") == _TRAP).then("known_first_error"),
        )
        .select(ReviewItem.column_names())
    )


def in_random_order(trace_id: str) -> float:
    """Place of a trace in the fixed random order of all traces, from 0 to 1.

    Whoever draws the first ones of this order, however often, draws a random sample.
    """
    return _place(f"{_RANDOM} {trace_id}")


def _place(text: str) -> float:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _chosen(pool: pl.DataFrame, room: int, config: QueueConfig) -> pl.DataFrame:
    """Begun ones, then random ones, traps and the most valuable others, in the queue's order."""
    is_begun, is_known = pl.col("is_begun"), pl.col("known_first_error").is_not_null()
    pool = pool.with_columns(
        reason=pl.when(is_known).then(pl.lit(_TRAP)).otherwise(_why(~is_known))
    )
    n_free = max(0, room - pool.filter(is_begun).height)
    # Cut at the first new one that has no place: what is behind it would be no prefix.
    prefix = (
        pool.sort("luck")
        .head(min(room, round(config.n_items * config.random_share)))
        .filter((~is_begun).cum_sum() <= n_free)
        .with_columns(reason=pl.when(is_known).then("reason").otherwise(pl.lit(_RANDOM)))
    )
    rest = pool.join(prefix, on="trace_id", how="anti", maintain_order="left")
    begun = pl.concat([prefix.filter(is_begun), _best_first(rest.filter(is_begun))]).head(room)

    at_random = prefix.filter(~is_begun)
    n_free -= at_random.height
    n_traps = round(config.n_items * config.trap_share)
    n_traps -= prefix.filter(is_known).height + rest.filter(is_begun & is_known).height
    traps = rest.filter(~is_begun & is_known).sort(_TRAP).head(min(n_free, max(0, n_traps)))
    n_free -= traps.height
    valuable = _by_value(rest.filter(~is_begun & ~is_known & (pl.col("value") > 0)), n_free)
    # Random ones keep their order, so that a night which ends early has the first of them.
    evenly = ((pl.int_range(pl.len()) + 0.5) / pl.len().clip(1)).alias(_PLACE)
    new = pl.concat([valuable.with_columns(evenly), at_random.with_columns(evenly), traps])
    return pl.concat([begun, new.sort(_PLACE, "trace_id")])


def _why(among: pl.Expr) -> pl.Expr:
    """Why a trace is worth a review: each measure ranks the traces, and one it stands out by."""
    by_doubt, by_impact = (
        pl.when(among).then(name).rank("min", descending=True) for name in ("entropy", "n_flips")
    )
    return (
        pl.when(pl.col("judge_first_error") != pl.col("first_error"))
        .then(pl.lit("disagreement"))
        .when(by_impact < by_doubt)
        .then(pl.lit("impact"))
        .otherwise(pl.lit("uncertain"))
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
    return _best_first(pl.concat([secured, others.head(n - secured.height)])).drop("within", "due")


def _best_first(pool: pl.DataFrame) -> pl.DataFrame:
    return pool.sort("value", "luck", descending=[True, False])
