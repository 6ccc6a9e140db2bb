"""The tables ``step_labels`` and ``trace_labels``: what the posterior says, beside the bare counts.

Steps of traces that were not measured keep what rollouts and outcome say of each alone. Labels of a
measured trace all follow from one first error, the most probable one, so they never contradict it:
steps before it are good, it and whatever follows are not to be trusted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from datagen.labels.consensus import consensus
from datagen.labels.monte_carlo import POSTERIOR_COLUMNS, label_steps
from datagen.search.first_error import FirstErrors
from schemas import StepLabel, TraceLabel

_LEAST_VALUE: Final = 1e-3
"""Progress relative to a state of less value would be a ratio of two guesses."""


def step_rows(
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    probes: pl.DataFrame,
    rows: Sequence[Mapping[str, Any]],
    found: FirstErrors,
    *,
    prover_k: int,
    min_trials: int,
    threshold: float,
) -> pl.DataFrame:
    """Table ``step_labels`` of all traces.

    Args:
        traces: table ``traces``.
        rollouts: table ``rollouts``.
        probes: table ``probes``.
        rows: the measured rows of ``traces``, as ``found`` has them.
        found: what the search found.
        prover_k: k of the prover (Setlur et al. 2024, section 3.2: a prover that is better than
            the policy, but not so much that it solves everything; here the best of k rollouts).
        min_trials: fewest trials that can call a step wrong, in traces that were not measured.
        threshold: see :func:`~datagen.labels.monte_carlo.label_steps`.
    """
    counted = label_steps(
        traces,
        pl.concat([rollouts, probes]),
        min_trials=min_trials,
        threshold=threshold,
    )
    said = pl.DataFrame(
        [
            step
            for row, (trace, first) in enumerate(
                zip(rows, found.posterior.most_probable, strict=True)
            )
            for step in _steps(row, trace, found, first, prover_k)
        ],
        schema={"trace_id": pl.String, "step_idx": pl.Int32}
        | dict.fromkeys(POSTERIOR_COLUMNS, pl.Float64)
        | {"good": pl.Boolean},
    )
    joined = counted.drop(POSTERIOR_COLUMNS).join(
        said, on=["trace_id", "step_idx"], how="left", maintain_order="left"
    )
    measured = pl.col("good").is_not_null()
    return StepLabel.validate(
        joined.with_columns(
            hard_label=pl.coalesce("good", "hard_label"),
            label_source=pl.when(measured)
            .then(pl.lit("posterior"))
            .otherwise(pl.col("label_source")),
        ).drop("good")
    )


def _steps(
    row: int, trace: Mapping[str, Any], found: FirstErrors, first: int, prover_k: int
) -> list[dict[str, Any]]:
    """The measured columns of one trace's steps."""
    belief = found.posterior
    n_steps = len(trace["steps"])
    before = belief.before_error[row, :n_steps].clamp(0.0, 1.0).tolist()
    value = belief.value[row, :n_steps].tolist()
    # Nothing follows the last step: what the state is worth is how it ended.
    value[-1] = float(found.suspects[row].correct)
    steps: list[dict[str, Any]] = []
    last = float(belief.solve_rate[row])
    for step_idx, (p, v, said) in enumerate(zip(before, value, found.surprisals[row], strict=True)):
        good = first < 0 or step_idx < first
        steps.append(
            {
                "trace_id": trace["trace_id"],
                "step_idx": step_idx,
                "surprisal": said.content,
                "action_surprisal": said.action,
                "p_before_error": p,
                "value": v,
                "advantage": v - last,
                "prover_advantage": (1 - last) ** prover_k - (1 - v) ** prover_k,
                "relative_progress": v / max(last, _LEAST_VALUE),
                "confidence": p if good else 1 - p,
                "good": good,
            }
        )
        last = v
    return steps


def trace_rows(
    rows: Sequence[Mapping[str, Any]],
    found: FirstErrors,
    critiques: pl.DataFrame,
    *,
    min_mass: float,
) -> pl.DataFrame:
    """Table ``trace_labels`` of the measured traces, in their order."""
    trials = found.trials.sum(1).long().tolist()
    firsts = found.posterior.most_probable
    posteriors: list[dict[str, Any]] = []
    for row, trace in enumerate(rows):
        n_steps = len(trace["steps"])
        masses = found.posterior.first_error[row]
        p = [*masses[:n_steps].tolist(), float(masses[-1])]
        first = firsts[row]
        posteriors.append(
            {
                "trace_id": trace["trace_id"],
                "seed_id": trace["seed_id"],
                "outcome": trace["outcome"],
                "n_steps": n_steps,
                "n_rollouts": trials[row],
                "n_tokens": sum(rollout.n_tokens for rollout in found.rollouts[row]),
                "first_error": first,
                "first_error_mass": p[first],
                "no_error_mass": p[-1],
                "p_first_error": p,
            }
        )
    if not posteriors:
        return TraceLabel.empty()
    schema = {name: TraceLabel.polars_schema()[name] for name in posteriors[0]}
    return TraceLabel.validate(
        consensus(pl.DataFrame(posteriors, schema=schema), critiques, min_mass=min_mass)
    )
