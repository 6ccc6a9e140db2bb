"""Are the pipeline's beliefs as sure as they should be? Judged, and refitted, by people's word.

Nothing but one number is fitted, a temperature: it makes all beliefs more or less sure, and leaves
their order and every first error as they are. The surprising fact: most decisions are of no use
here. The queue asks where beliefs are contradicted, and whoever fits to its answers makes beliefs
far too humble; so the random sample alone counts, with the traps that chance has put in it.

What is fitted is the Brier score of "this step comes before the first error". The likelihood of
first errors would follow the few beliefs that are grossly wrong, at the cost of all others.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.review.ask.belief import Floats, heated
from schemas import StepLabel, TraceLabel

_HEATS: Final = np.geomspace(0.25, 8.0, 41)
_WEIGHT: Final = 2.0
"""Of a trace's mean Brier score against the prior: around a probability of one half this has the
curvature of a log-likelihood."""

_WIDTH: Final = 0.5
"""Standard deviation of the prior of the temperature's logarithm, around 0."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """What people's decisions say of the beliefs about first errors.

    Attributes:
        temperature: to divide their log-probabilities by; 1 if too few decisions are there.
        n: decided traces of the random sample.
        ece_before: expected calibration error over the steps of those traces; ``None`` without any.
        ece_after: the same with temperatures fitted to the other half of the traces; ``None`` if
            none was fitted.
        brier_before: mean squared error of the same.
        brier_after: likewise.
    """

    temperature: float
    n: int
    ece_before: float | None
    ece_after: float | None
    brier_before: float | None
    brier_after: float | None

    @property
    def is_better(self) -> bool:
        """Whether temperatures were fitted, and made the beliefs of other traces better."""
        before, after = self.brier_before, self.brier_after
        return before is not None and after is not None and after < before


def recalibrate(
    trace_labels: pl.DataFrame, decisions: pl.DataFrame, *, min_decisions: int = 20
) -> Recalibration:
    """Fit the temperature of beliefs to people's decisions.

    Args:
        trace_labels: table ``trace_labels``, not recalibrated; with or without decisions applied.
        decisions: table ``decisions``.
        min_decisions: fewest decided traces of the random sample that are fitted to.
    """
    # It imports torch, which whoever only refits nothing need not wait for.
    from datagen.labels.calibration import calibration

    drawn = decisions.filter("is_random", pl.col("status") == "decided")
    known = trace_labels.join(
        drawn.select("trace_id", pl.col("first_error").alias("truth")), on="trace_id"
    ).sort("trace_id")
    beliefs = [np.array(p, dtype=float) for p in known["p_first_error"]]
    truth: list[int] = known["truth"].to_list()
    if not beliefs:
        return Recalibration(1.0, 0, None, None, None, None)
    before = calibration(*_events(beliefs, truth))
    if len(beliefs) < min_decisions:
        return Recalibration(1.0, len(beliefs), before.ece, None, before.brier, None)
    predicted: list[Floats] = []
    happened: list[npt.NDArray[np.bool_]] = []
    for held_out in (0, 1):
        heat = _fitted(beliefs[1 - held_out :: 2], truth[1 - held_out :: 2])
        own = [heated(p, heat) for p in beliefs[held_out::2]]
        p, y = _events(own, truth[held_out::2])
        predicted.append(p)
        happened.append(y)
    after = calibration(np.concatenate(predicted), np.concatenate(happened))
    heat = _fitted(beliefs, truth)
    return Recalibration(heat, len(beliefs), before.ece, after.ece, before.brier, after.brier)


def recalibrated(
    step_labels: pl.DataFrame, trace_labels: pl.DataFrame, recalibration: Recalibration
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make the pipeline's beliefs as sure as people found them to be right.

    Only probabilities change: ``p_first_error`` with its masses, and ``p_before_error`` and
    ``confidence`` of the steps that have their label from it. Counts, values, first errors, hard
    labels and what is verified stay; so does all of what people decided.

    Args:
        step_labels: table ``step_labels``, before any decision.
        trace_labels: table ``trace_labels``, likewise.
        recalibration: of these tables. Where it found too few decisions, or does not make the
            beliefs of traces that it was not fitted to better, the very same tables are returned.

    Returns:
        Both tables in the same order.
    """
    if not recalibration.is_better:
        return step_labels, trace_labels
    beliefs = [np.array(p, dtype=float) for p in trace_labels["p_first_error"]]
    hot = [heated(p, recalibration.temperature).tolist() for p in beliefs]
    p = pl.col("p_first_error").list
    believed = trace_labels.with_columns(
        pl.Series("p_first_error", hot, pl.List(pl.Float64))
    ).with_columns(first_error_mass=p.get("first_error"), no_error_mass=p.get(-1))
    # Where people have decided already, all of it stays.
    decided = trace_labels["human_first_error"].is_not_null()
    traces = trace_labels.with_columns(
        pl.when(decided).then(pl.col(name)).otherwise(believed[name]).alias(name)
        for name in ("p_first_error", "first_error_mass", "no_error_mass")
    )
    return _steps(step_labels, believed.filter(~decided)), TraceLabel.validate(traces)


def _steps(step_labels: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    left = (1.0 - pl.element().cum_sum()).clip(0.0, 1.0)
    # The last entry stands for no step, and joins none.
    now = traces.select(
        "trace_id",
        step_idx=pl.int_ranges(pl.col("n_steps") + 1, dtype=pl.Int32),
        now=pl.col("p_first_error").list.eval(left),
    ).explode("step_idx", "now")
    hot = pl.col("now").is_not_null() & (pl.col("label_source") == "posterior")
    is_right = pl.when("hard_label").then("now").otherwise(1.0 - pl.col("now"))
    return StepLabel.validate(
        step_labels.join(now, on=["trace_id", "step_idx"], how="left", maintain_order="left")
        .with_columns(
            p_before_error=pl.when(hot).then("now").otherwise("p_before_error"),
            confidence=pl.when(hot).then(is_right).otherwise("confidence"),
        )
        .drop("now")
    )


def _fitted(beliefs: list[Floats], truth: list[int]) -> float:
    def loss(heat: float) -> float:
        gaps = (_events([heated(p, heat)], [at]) for p, at in zip(beliefs, truth, strict=True))
        # Steps of one trace are right or wrong together: each trace counts once.
        brier = sum(float(np.square(p - y).mean()) for p, y in gaps)
        return _WEIGHT * brier + 0.5 * float(np.log(heat) / _WIDTH) ** 2

    return float(min(_HEATS, key=loss))


def _events(beliefs: list[Floats], truth: list[int]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Predicted and true "comes before the first error" of every step of every trace."""
    predicted = [1.0 - np.cumsum(p)[:-1] for p in beliefs]
    happened = [
        (np.arange(len(p) - 1) < at) | (at < 0) for p, at in zip(beliefs, truth, strict=True)
    ]
    return np.clip(np.concatenate(predicted), 0.0, 1.0), np.concatenate(happened)
