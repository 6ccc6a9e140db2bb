r"""Makes critiques for a generative reward model: an analysis, a verdict and a score of each step.

The surprising fact: a model's critique is not corrected but chosen. It is kept as written if its
verdict, the first wrong step or none, is the label (rejection sampling, as for the critics of
Zhang et al. 2024, arXiv 2408.15240, and Liu et al. 2025, arXiv 2504.02495), and the label is one to
trust: rollouts and judges agree on it, and a trace that ends right has no wrong step. Of the
analysis itself nothing is checked. The score comes from the label and not from the critic: it is
the probability that the first error comes after the step, or never.

The last line is ProcessBench's (Zheng et al. 2024, arXiv 2412.06559): the 0-based index of the
first wrong step in ``\boxed{}``, -1 for none. Steps behind it are not discussed.
"""

from typing import Final

import polars as pl

from datagen.errors import ConfigError
from datagen.export.prm import explode_steps, refuse_other_steps
from schemas import CritiqueSft

TASK: Final = """\
Below are a question and a solution to it. The solution is cut into steps; each stands in a tag \
that carries its index, and the first index is 0. Go through the steps in order and write one \
paragraph about each: whether it holds, is wrong, or is wrong but repaired by a later step, and \
why; and as a score the probability that nothing has gone wrong for good up to there. Stop at the \
first wrong step. End with its index in \\boxed{}, or with \\boxed{-1} if no step is wrong.

"""
"""What stands before the question."""

KEPT: Final = "kept"
_VOTE: Final = ("trace_id", "judge", "vote_idx")


def export_critique(
    measured_traces: pl.DataFrame,
    critiques: pl.DataFrame,
    trace_labels: pl.DataFrame,
    step_labels: pl.DataFrame,
    *,
    max_per_trace: int = 4,
    balance: bool = True,
) -> pl.DataFrame:
    r"""Write each critique that comes to its trace's label as one question and one reply.

    The reply has a paragraph for each step up to the first wrong one, ``Step k: analysis. Verdict:
    holds. Score: 0.97``, and a last line ``\boxed{k}``.

    Args:
        measured_traces: table ``measured_traces``. Critiques of other traces are ignored.
        critiques: table ``critiques``; those that no model wrote are ignored.
        trace_labels: table ``trace_labels``.
        step_labels: table ``step_labels``, for the scores.
        max_per_trace: different critiques that one trace gives at most.
        balance: keep no more critiques of wrong traces than of right ones, nor the other way round,
            if there are both. Every trace keeps its first before any keeps its second, and every
            seed its first trace before any keeps its second.

    Returns:
        Table ``critique``, by seed, trace, judge and vote. :func:`count_critiques` says what became
        of the others.

    Raises:
        ConfigError: if an option is out of range.
        PublishError: if step labels are of other steps than the traces have.
    """
    told = _told(measured_traces, critiques, trace_labels, step_labels, max_per_trace, balance)
    return CritiqueSft.validate(
        told.filter(fate=KEPT)
        .sort("seed_id", *_VOTE)
        .select(
            pl.concat_list(_message("user", "request"), _message("assistant", "reply")).alias(
                "messages"
            ),
            pl.format("{}/{}/{}", *_VOTE).alias("id"),
            "seed_id",
            "label",
            "n_steps",
        )
    )


def count_critiques(
    measured_traces: pl.DataFrame,
    critiques: pl.DataFrame,
    trace_labels: pl.DataFrame,
    step_labels: pl.DataFrame,
    *,
    max_per_trace: int = 4,
    balance: bool = True,
) -> dict[str, int]:
    """What became of each critique that a model wrote; arguments as of :func:`export_critique`.

    Returns:
        How many were ``kept``, and how many were left out for each reason, the most frequent first.
        Reasons with no critique are missing.
    """
    told = _told(measured_traces, critiques, trace_labels, step_labels, max_per_trace, balance)
    kept = pl.col("fate") == KEPT
    counts = told.group_by("fate").len().sort(kept, "len", "fate", descending=[True, True, False])
    return {fate: int(n) for fate, n in counts.iter_rows()}


def _told(
    measured_traces: pl.DataFrame,
    critiques: pl.DataFrame,
    trace_labels: pl.DataFrame,
    step_labels: pl.DataFrame,
    max_per_trace: int,
    balance: bool,
) -> pl.DataFrame:
    """Every critique of a model with its reply and its fate: ``kept`` or why it is left out."""
    if max_per_trace < 1:
        raise ConfigError(f"max_per_trace={max_per_trace!r} must be at least 1")
    own_steps = step_labels.join(measured_traces, on="trace_id", how="semi")
    refuse_other_steps(own_steps, explode_steps(measured_traces))
    label = trace_labels.select("trace_id", pl.col("first_error").alias("label"), "verified")
    written = (
        critiques.filter(pl.col("completion_key").is_not_null())
        .select(*_VOTE, "first_error", "remarks")
        .join(_requests(measured_traces), on="trace_id")
        .join(label, on="trace_id", how="left")
    )
    told = written.join(_replies(written, step_labels), on=_VOTE, how="left")
    told = told.with_columns(fate=_fate()).sort("seed_id", *_VOTE)
    kept, position = pl.col("fate") == KEPT, pl.int_range(pl.len())
    told = told.with_columns(
        fate=pl.when(kept & (position.over("trace_id", "reply", "fate") > 0))
        .then(pl.lit("repeats another"))
        .otherwise("fate")
    ).with_columns(rank=position.over("trace_id", "fate"))
    told = told.with_columns(
        fate=pl.when(kept & (pl.col("rank") >= max_per_trace))
        .then(pl.lit("enough of this trace"))
        .otherwise("fate")
    )
    return _balanced(told) if balance else told


def _requests(traces: pl.DataFrame) -> pl.DataFrame:
    """Per trace with steps: how it ended, and what a critic is asked about it."""
    step_idx = pl.int_ranges(0, pl.col("steps").list.len(), dtype=pl.Int32)
    text = pl.col("steps").str.strip_chars()
    shown = (
        traces.filter(pl.col("steps").list.len() > 0)
        .select("trace_id", step_idx.alias("idx"), "steps")
        .explode("idx", "steps")
        .group_by("trace_id", maintain_order=True)
        .agg(
            pl.format("<step_{}>\n{}\n</step_{}>", "idx", text, "idx")
            .str.join("\n")
            .alias("shown"),
            pl.len().cast(pl.Int32).alias("n_steps"),
        )
    )
    answer = pl.lit("\n\nAnswer: ") + pl.col("answer").str.strip_chars()
    return traces.join(shown, on="trace_id").select(
        *("trace_id", "seed_id", "outcome", "n_steps"),
        pl.concat_str(
            pl.lit(f"{TASK}Question:\n"),
            pl.col("question").str.strip_chars(),
            pl.lit("\n\nSolution:\n"),
            "shown",
            answer.fill_null(""),
        ).alias("request"),
    )


def _replies(written: pl.DataFrame, step_labels: pl.DataFrame) -> pl.DataFrame:
    """Per critique its reply, null without a score for each step, and where it says *wrong*."""
    said = (
        written.select(*_VOTE, "first_error", "remarks")
        .explode("remarks")
        .drop_nulls("remarks")
        .unnest("remarks")
        .join(
            step_labels.select("trace_id", "step_idx", "p_before_error"),
            on=("trace_id", "step_idx"),
            how="left",
        )
        .sort(*_VOTE, "step_idx")
    )
    analysis = pl.col("analysis")
    closed = analysis.str.contains(r"""[.!?:;]["'”’)*$]*\z""")
    percent = (pl.col("p_before_error").clip(0, 1) * 100).round().cast(pl.Int64)
    score = pl.format("{}.{}", percent // 100, (percent % 100).cast(pl.String).str.zfill(2))
    paragraph = pl.concat_str(
        pl.format("Step {}: ", "step_idx"),
        pl.when(closed).then(analysis).otherwise(analysis + "."),
        pl.format(" Verdict: {}. Score: {}", "verdict", score),
    )
    box = pl.concat_str(pl.lit("\n\n\\boxed{"), pl.col("first_error").first(), pl.lit("}"))
    is_wrong = pl.col("verdict") == "wrong"
    return said.group_by(_VOTE).agg(
        (paragraph.str.join("\n\n", ignore_nulls=False) + box).alias("reply"),
        (is_wrong == (pl.col("step_idx") == pl.col("first_error"))).all().alias("consistent"),
        pl.len().cast(pl.Int32).alias("n_remarks"),
    )


def _fate() -> pl.Expr:
    first, label = pl.col("first_error"), pl.col("label")
    ends_right = pl.col("outcome") == "correct"
    trusted = pl.col("verified") & (ends_right == (label == -1))
    n_due = pl.when(label == -1).then("n_steps").otherwise(label + 1)
    return (
        pl.when(~trusted.fill_null(False))
        .then(pl.lit("no label to trust"))
        .when(first.is_null())
        .then(pl.lit("unreadable"))
        .when(first != label)
        .then(pl.lit("another verdict than the label"))
        .when(pl.col("n_remarks").fill_null(0) != n_due)
        .then(pl.lit("not step by step"))
        .when(~pl.col("consistent"))
        .then(pl.lit("contradicts itself"))
        .when(pl.col("reply").is_null())
        .then(pl.lit("no score of a step"))
        .otherwise(pl.lit(KEPT))
    )


def _balanced(told: pl.DataFrame) -> pl.DataFrame:
    """Leave out what the more frequent of right and wrong traces has too much of."""
    kept, is_right = told.filter(fate=KEPT), pl.col("label") == -1
    n_right = kept.filter(is_right).height
    n_most = min(n_right, kept.height - n_right) or kept.height
    surplus = (
        kept.with_columns(nth=(pl.int_range(pl.len())).over("seed_id", is_right, "rank"))
        .sort("rank", "nth", "seed_id", *_VOTE)
        .filter(pl.int_range(pl.len()).over(is_right) >= n_most)
    )
    spare = told.join(surplus.select(*_VOTE, spare=True), on=_VOTE, how="left")
    return spare.with_columns(
        fate=pl.when(pl.col("spare")).then(pl.lit("balance")).otherwise("fate")
    )


def _message(role: str, content: str) -> pl.Expr:
    return pl.struct(pl.lit(role).alias("role"), pl.col(content).alias("content"))
