"""Right and wrong replies to one question, for trainers that compare whole replies.

The surprising fact: a wrong reply is not blamed for its sound beginning. It ends at its first pit,
but only if nothing right goes on from there: otherwise the pit was none, or was made good, and the
whole reply stands instead. The right traces that did go on from there are no examples to follow.
"""

import hashlib
from typing import Final, Literal, NamedTuple, get_args

import polars as pl

from datagen.curate.rows import kept
from datagen.errors import ConfigError
from datagen.export.markup import thought_markup
from datagen.export.pits import first_pits, localised
from datagen.traces.markup import THINK_END
from datagen.verify import Outcome
from schemas import Rejection

Ending = Literal["pit", "answer"]
ENDINGS: Final[tuple[Ending, ...]] = get_args(Ending)

_STATE: Final = ("question", "n_steps", "state")
_COLUMNS: Final = ("trace_id", "seed_id", "question", "steps", "factors", "markup")


class Replies(NamedTuple):
    """Replies to questions; no two of a question and of one kind say the same.

    Both frames have the columns ``trace_id``, ``seed_id``, ``question``, ``steps``, ``factors``,
    ``markup`` and ``n_kept`` (int64), the steps that are left of a reply that is cut; null: whole.

    Attributes:
        right: verified to end right, and not known to do so in spite of an error. Those of the
            model come first, then by ``trace_id``, which for a probe is its ``rollout_id``.
        wrong: verified to end wrong, by ``trace_id``. No cut one is the beginning of any right
            trace, and no whole one equals a right trace, of whichever seed.
    """

    right: pl.DataFrame
    wrong: pl.DataFrame


def collect_replies(
    traces: pl.DataFrame,
    probes: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    rejections: pl.DataFrame | None = None,
    *,
    wrong_ends_at: Ending = "pit",
    min_mass: float = 0.5,
) -> Replies:
    """Sort out the replies to each question.

    Args:
        traces: table ``traces``.
        probes: table ``probes``; the right ones are right replies as well.
        step_labels: table ``step_labels``.
        trace_labels: table ``trace_labels``.
        rejections: table ``rejected_traces``: replies that are left out, though what they show of
            the others still counts.
        wrong_ends_at: ``pit`` cuts a wrong reply behind its first pit, where one is known;
            ``answer`` keeps it whole.
        min_mass: see :func:`~datagen.export.pits.first_pits`.

    Raises:
        ConfigError: if an option is unknown.
        PublishError: if labels are of other steps than the traces have.
    """
    if wrong_ends_at not in ENDINGS:
        raise ConfigError(
            f"wrong_ends_at={wrong_ends_at!r} is unknown; use one of {', '.join(ENDINGS)}"
        )
    kept_whole = pl.lit(None, pl.Int64).alias("n_kept")
    right = _right(traces, probes).with_columns(kept_whole)
    wrong = _whole(traces, Outcome.WRONG).select(*_COLUMNS).sort("trace_id")
    pits = first_pits(traces, step_labels, trace_labels, min_mass=min_mass)
    pit_states = (
        pits.filter(pl.col("pit") >= 0)
        .select("trace_id", (pl.col("pit").cast(pl.Int64) + 1).alias("n_steps"))
        .join(states(wrong), on=["trace_id", "n_steps"])
    )
    passed = states(right)
    spoilt = pit_states.join(passed, on=_STATE, how="anti").filter(pl.lit(wrong_ends_at == "pit"))
    whole_text = pl.when(pl.col("n_kept").is_null()).then("markup").alias("text")
    found_wrong = (
        wrong.join(
            spoilt.select("trace_id", "state", n_kept="n_steps"),
            on="trace_id",
            how="left",
            maintain_order="left",
        )
        .join(right, on=["question", "markup"], how="anti", maintain_order="left")
        .with_columns(whole_text)
        .unique(["question", "n_kept", "state", "text"], keep="first", maintain_order=True)
        .select(*_COLUMNS, "n_kept")
    )
    doubtful = pl.concat(
        [
            localised(trace_labels, min_mass=min_mass).select("trace_id"),
            passed.join(pit_states, on=_STATE, how="semi").select("trace_id"),
        ]
    )
    sound = right.join(doubtful, on="trace_id", how="anti", maintain_order="left")
    left_out = Rejection.empty() if rejections is None else rejections
    return Replies(kept(sound, left_out), kept(found_wrong, left_out))


def states(replies: pl.DataFrame) -> pl.DataFrame:
    """The states that each reply goes through, the bare question first.

    Returns:
        ``trace_id``, ``seed_id``, ``question``, ``n_steps`` (int64, from 0) and ``state`` (uint64,
        a hash of the steps so far, which no other process gives).
    """
    place = pl.int_range(pl.len()).over("trace_id")
    # Each hash is of a step at its place, so that their sum is one of the sequence.
    step = pl.concat_str(place, "factors", "steps", separator="\x1f").hash()
    names = ("trace_id", "seed_id", "question")
    after = replies.explode("factors", "steps").select(
        *names,
        (place + 1).alias("n_steps"),
        step.cum_sum().over("trace_id").alias("state"),
    )
    root = replies.select(
        *names,
        pl.lit(0, pl.Int64).alias("n_steps"),
        pl.lit(0, pl.UInt64).alias("state"),
    )
    return pl.concat([root, after])


def text_of(replies: pl.DataFrame) -> pl.Series:
    """The replies as they are written: a whole one in full, a cut one up to its last kept step."""
    n_kept = pl.col("n_kept")
    heads = replies.select(pl.col("steps", "factors").list.head(n_kept.fill_null(0)))
    cut = thought_markup(heads)
    text = pl.when(n_kept.is_null()).then("markup").otherwise(cut).alias("text")
    return replies.select(text).to_series()


def message(role: str, content: str) -> pl.Expr:
    """A conversation of one message, whose content is in the column ``content``."""
    return pl.concat_list(pl.struct(pl.lit(role).alias("role"), pl.col(content).alias("content")))


def hashed(ids: pl.Series) -> pl.Series:
    """A hash of each id, the same in every process: an order that means nothing."""
    hashes = [hashlib.sha256(id_.encode()).hexdigest() for id_ in ids]
    return pl.Series("hash", hashes, pl.String)


def _right(traces: pl.DataFrame, probes: pl.DataFrame) -> pl.DataFrame:
    """Right traces and right probes; of equal ones the first, a trace before a probe."""
    whole = _whole(traces, Outcome.CORRECT)
    is_human = (pl.col("provenance") == "human").alias("is_human")
    drawn = probes.filter(pl.col("tail") == "").join(
        traces.select("seed_id", "question").unique("seed_id"), on="seed_id"
    )
    return (
        pl.concat([whole.select(*_COLUMNS, is_human), _as_traces(_whole(drawn, Outcome.CORRECT))])
        .unique(["seed_id", "markup"], keep="first", maintain_order=True)
        .sort("is_human", "trace_id")
        .drop("is_human")
    )


def _as_traces(probes: pl.DataFrame) -> pl.DataFrame:
    """Probes under the names of traces; whoever looks one up finds it among the rollouts."""
    return probes.with_columns(
        pl.col("rollout_id").alias("trace_id"),
        (thought_markup(probes) + THINK_END + probes["answer"]).alias("markup"),
        pl.lit(False).alias("is_human"),
    ).select(*_COLUMNS, "is_human")


def _whole(drawn: pl.DataFrame, outcome: Outcome) -> pl.DataFrame:
    return drawn.filter(
        pl.col("outcome") == outcome.value,
        pl.col("answer").is_not_null(),
        pl.col("steps").list.len() > 0,
    )
