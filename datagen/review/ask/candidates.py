"""The traces that could be reviewed, each with all that a reviewer is shown.

Three kinds: measured traces, thoughts about code that a run has checked, and corrections. The
surprising fact: all of them get a distribution over first errors, although only measured traces
have a posterior. A run leaves some steps of a thought undecided; each of them is believed to be
wrong as often as those are that runs could decide. A correction is as good as the right trace that
it ends with.
"""

from typing import Any, Final

import polars as pl

from datagen.factors.tagging import with_tags
from datagen.labels.consensus import CHECKER
from datagen.review.ask.evidence import counts, doubts, words

_PROVEN_MASS: Final = 0.9
"""Least posterior mass of a first error that is proven, to be called known for sure."""

_SHOWN: Final = (
    *("trace_id", "seed_id", "question", "gold", "answer", "outcome", "steps", "factors"),
    *("kind", "step_roles", "step_checks"),
    *("p_first_error", "first_error", "judge_first_error", "known_first_error"),
)


def candidates(
    traces: pl.DataFrame,
    step_labels: pl.DataFrame,
    trace_labels: pl.DataFrame,
    critiques: pl.DataFrame,
    tags: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    corrections: pl.DataFrame,
) -> pl.DataFrame:
    """One row per trace that has labels or is a correction.

    Args:
        traces: table ``traces``.
        step_labels: table ``step_labels``.
        trace_labels: table ``trace_labels``.
        critiques: table ``critiques``.
        tags: table ``tags``.
        code_thoughts: table ``code_thoughts``. Thoughts that betray the code are left out, for
            whatever people say, they are not to be learnt from.
        corrections: table ``corrections``.

    Returns:
        The columns of ``review_queue`` that do not depend on the choice, and ``known_first_error``:
        null unless the first error, or that there is none, is known for sure. Sure is what a run
        has decided, and an error that arithmetic proves where posterior and all judges see it.
    """
    tagged = with_tags(traces, tags)
    found = pl.concat(
        [
            _measured(tagged, trace_labels, critiques),
            _about_code(tagged, step_labels, code_thoughts),
            _corrections(corrections, trace_labels),
        ],
        how="vertical_relaxed",
    ).filter(pl.col("steps").list.len() > 0)
    n_steps = pl.col("steps").list.len()
    zeros = pl.lit(0, pl.Int64).repeat_by(n_steps)
    return (
        _joined(found, counts(step_labels), doubts(tags), words(critiques, code_thoughts))
        .with_columns(
            *(pl.col(name).fill_null(zeros) for name in ("n_trials", "n_successes")),
            pl.col("factor_doubts").fill_null([]),
            pl.col("judge_text").fill_null(""),
            first_error_mass=pl.col("p_first_error").list.get(pl.col("first_error")),
            stratum=_stratum(traces),
        )
        .sort("trace_id")
    )


def _joined(frame: pl.DataFrame, *others: pl.DataFrame) -> pl.DataFrame:
    for other in others:
        frame = frame.join(other, on="trace_id", how="left", maintain_order="left")
    return frame


def _measured(
    traces: pl.DataFrame, trace_labels: pl.DataFrame, critiques: pl.DataFrame
) -> pl.DataFrame:
    # A checker that is silent has found nothing; a model that is could not make up its mind.
    first = pl.col("first_error")
    said = critiques.group_by("trace_id").agg(
        proven=first.filter(pl.col("judge") == CHECKER).min(),
        one_opinion=first.n_unique() == 1,
    )
    labels = trace_labels.select(
        *("trace_id", "p_first_error", "first_error", "first_error_mass", "judge_first_error"),
        "verified",
    )
    sure = pl.all_horizontal(
        "verified",
        "one_opinion",
        first >= 0,
        pl.col("proven") == first,
        pl.col("first_error_mass") >= _PROVEN_MASS,
    )
    return (
        traces.join(labels, on="trace_id", maintain_order="left")
        .join(said, on="trace_id", how="left", maintain_order="left")
        .with_columns(
            _of_kind("trace"), *_nothing("step_roles", "step_checks"),
            known_first_error=pl.when(sure).then(first),
        )
        .select(_SHOWN)
    )  # fmt: skip


def _about_code(
    traces: pl.DataFrame, step_labels: pl.DataFrame, code_thoughts: pl.DataFrame
) -> pl.DataFrame:
    checks = code_thoughts["step_checks"].explode()
    n_false = int((checks == "contradicted").sum())
    n_told = n_false + int((checks == "checked").sum())
    hazard = (n_false + 1) / (n_told + 2)
    labels = (
        step_labels.join(
            code_thoughts.filter(pl.col("leak").is_null()).select(
                pl.col("thought_id").alias("trace_id")
            ),
            on="trace_id",
            how="semi",
        )
        .sort("trace_id", "step_idx")
        .group_by("trace_id")
        .agg("hard_label")
    )
    rows = [
        {"trace_id": trace_id} | _belief_of_run(hard, hazard)
        for trace_id, hard in labels.iter_rows()
    ]
    schema = {
        "trace_id": pl.String, "p_first_error": pl.List(pl.Float64),
        "first_error": pl.Int32, "known_first_error": pl.Int32,
    }  # fmt: skip
    return (
        traces.join(pl.DataFrame(rows, schema=schema), on="trace_id", maintain_order="left")
        .join(
            code_thoughts.select(pl.col("thought_id").alias("trace_id"), "step_checks"),
            on="trace_id",
            maintain_order="left",
        )
        .with_columns(
            _of_kind("code"), *_nothing("step_roles"),
            judge_first_error=pl.lit(None, pl.Int32),
        )
        .select(_SHOWN)
    )  # fmt: skip


def _belief_of_run(hard: list[bool | None], hazard: float) -> dict[str, Any]:
    """Distribution over the first error, given labels of which some are unknown."""
    first = hard.index(False) if False in hard else -1
    p, left = [0.0] * (len(hard) + 1), 1.0
    for idx, label in enumerate(hard[:first] if first >= 0 else hard):
        if label is None:
            p[idx], left = left * hazard, left * (1 - hazard)
    p[first] = left
    return {
        "p_first_error": p,
        "first_error": first,
        "known_first_error": first if left == 1.0 else None,
    }


def _corrections(corrections: pl.DataFrame, trace_labels: pl.DataFrame) -> pl.DataFrame:
    sound = trace_labels.filter(pl.col("outcome") == "correct")["no_error_mass"].mean()
    doubt = 1.0 - pl.col("no_error_mass").fill_null(1.0 if sound is None else sound)
    right = trace_labels.select(pl.col("trace_id").alias("right_trace_id"), "no_error_mass")
    is_right = pl.element() == "right"
    each = doubt / pl.col("step_roles").list.eval(is_right).list.sum()
    with_doubt = corrections.join(right, on="right_trace_id", how="left", maintain_order="left")
    p = (
        with_doubt.select("trace_id", "step_roles", each.alias("each"), doubt.alias("doubt"))
        .explode("step_roles")
        .group_by("trace_id")
        .agg(
            pl.when(pl.col("step_roles") == "right").then("each").otherwise(0.0).alias("p"),
            pl.col("doubt").first(),
        )
        .select("trace_id", pl.concat_list("p", 1.0 - pl.col("doubt")).alias("p_first_error"))
    )
    return (
        corrections.join(p, on="trace_id", maintain_order="left")
        .with_columns(
            _of_kind("correction"), *_nothing("step_checks"),
            first_error=pl.lit(-1, pl.Int32),
            judge_first_error=pl.lit(None, pl.Int32),
            known_first_error=pl.lit(None, pl.Int32),
        )
        .select(_SHOWN)
    )  # fmt: skip


def _of_kind(kind: str) -> pl.Expr:
    return pl.lit(kind).alias("kind")


def _nothing(*columns: str) -> list[pl.Expr]:
    return [pl.lit([], pl.List(pl.String)).alias(name) for name in columns]


def _stratum(traces: pl.DataFrame) -> pl.Expr:
    """Kind, outcome, length and difficulty: above or below the middle of those at hand."""
    by_model = traces.filter(
        pl.col("provenance") == "model", pl.col("outcome").is_in(["correct", "wrong"])
    )
    solved = by_model.group_by("seed_id").agg((pl.col("outcome") == "correct").mean())
    easy = solved.filter(pl.col("outcome") >= 0.5)["seed_id"]
    n_steps = pl.col("steps").list.len()
    length = pl.when(n_steps > n_steps.median()).then(pl.lit("long")).otherwise(pl.lit("short"))
    is_easy = pl.col("seed_id").is_in(easy.implode())
    return pl.format(
        "{}/{}/{}/{}",
        "kind",
        "outcome",
        length,
        pl.when(is_easy).then(pl.lit("easy")).otherwise(pl.lit("hard")),
    )
