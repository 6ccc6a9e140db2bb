"""Step labels by Monte Carlo: how often the policy still ends right after this step.

A trace is not judged by the draw that it was picked from. Traces are picked for measuring because
of how they ended among the rollouts of one state; counting these rollouts again, its own or its
sisters', would bias each of its labels. Only rollouts drawn elsewhere are trials for its steps.

The hard label is Math-Shepherd's hard estimation (Wang et al. 2024, section 3.3.2): a step is good
if some continuation of it is known to end right. Any success proves that, however it was picked: a
sister's, one of a later step, the trace's own, or the human author's.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any, Final, NamedTuple

import polars as pl

from datagen.verify import Outcome
from schemas import LabelSource, StepLabel

_Z_95: Final = 1.959963984540054
_DECIDED: Final = (Outcome.CORRECT.value, Outcome.WRONG.value)


POSTERIOR_COLUMNS: Final = (
    "surprisal",
    "action_surprisal",
    "p_before_error",
    "value",
    "advantage",
    "prover_advantage",
    "relative_progress",
    "confidence",
)
"""Columns of ``step_labels`` that only a measured trace has; null here."""


def wilson(n_successes: float, n_trials: int, *, z: float = _Z_95) -> tuple[float, float]:
    """Wilson score interval of a share; 95 % by default. Successes may be a sum of shares.

    Raises:
        ValueError: without trials, or with more successes than trials.
    """
    if not 0 <= n_successes <= n_trials or n_trials == 0:
        raise ValueError(f"n_successes={n_successes!r} of n_trials={n_trials!r} is no share")
    mean, z2 = n_successes / n_trials, z * z
    centre = (mean + z2 / (2 * n_trials)) / (1 + z2 / n_trials)
    half = z / (1 + z2 / n_trials) * sqrt(mean * (1 - mean) / n_trials + z2 / (4 * n_trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def label_steps(
    traces: pl.DataFrame, rollouts: pl.DataFrame, *, min_trials: int = 3, threshold: float = 0.0
) -> pl.DataFrame:
    """Label every step of every trace as far as the rollouts allow.

    Args:
        traces: table ``traces``.
        rollouts: table ``rollouts``; evidence about a state counts whichever search drew it.
        min_trials: fewest trials that can call a step wrong.
        threshold: a step is good if its Monte-Carlo value is above this. Above 0, one success no
            longer proves anything: a good step too takes ``min_trials``, and a trace's own end
            labels only its last step.

    Returns:
        Table ``step_labels``, by trace and step.
    """
    counts: defaultdict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    drawn_from: defaultdict[tuple[bytes, bytes], list[int]] = defaultdict(lambda: [0, 0])
    # Seeds that ask the same question share completions, but each has its own gold answer.
    unique = rollouts.unique(["seed_id", "completion_key"], keep="first", maintain_order=True)
    for row in unique.iter_rows(named=True):
        if row["outcome"] in _DECIDED:
            keys = _states_along(row["seed_id"], row["steps"], row["factors"])
            origin = keys[row["n_given_steps"]]
            for key in keys[row["n_given_steps"] :]:
                for count in (counts[key], drawn_from[origin, key]):
                    count[0] += 1
                    count[1] += row["outcome"] == Outcome.CORRECT.value
    n_given = dict(rollouts.select("rollout_id", "n_given_steps").iter_rows())

    rows: list[dict[str, Any]] = []
    for trace in traces.iter_rows(named=True):
        keys = _states_along(trace["seed_id"], trace["steps"], trace["factors"])
        # A trace of a person or of a search was not drawn from anything.
        origin = keys[n_given[trace["rollout_id"]]] if trace["rollout_id"] is not None else b""
        evidence: list[_Evidence] = []
        for key in keys[1:]:
            n, c = counts.get(key, (0, 0))
            n_own, c_own = drawn_from.get((origin, key), (0, 0))
            evidence.append(_Evidence(n - n_own, c - c_own, c > 0))
        rows += _labelled(trace, evidence, min_trials=min_trials, threshold=threshold)
    return StepLabel.from_rows(rows)


class _Evidence(NamedTuple):
    """Trials and successes of a step, and whether any rollout through it ended right at all."""

    n_trials: int
    n_successes: int
    succeeded: bool


def _states_along(seed_id: str, steps: Sequence[str], factors: Sequence[str]) -> list[bytes]:
    """Hashes of the bare question and of the state after each step; ``n_steps + 1`` of them."""
    digest = hashlib.blake2b(_bytes(seed_id), digest_size=16)
    keys = [digest.digest()]
    for text, factor in zip(steps, factors, strict=True):
        digest.update(_bytes(f"\0{factor}\0{text}"))
        keys.append(digest.digest())
    return keys


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _labelled(
    trace: Mapping[str, Any],
    evidence: Sequence[_Evidence],
    *,
    min_trials: int,
    threshold: float,
) -> Iterator[dict[str, Any]]:
    """Rows of one trace."""
    correct = trace["outcome"] == Outcome.CORRECT.value
    last = len(trace["steps"]) - 1
    # Per step: does a continuation that ends right exist at this step or later in the trace?
    reached = [False] * (last + 1)
    for idx in range(last, -1, -1):
        later = reached[idx + 1] if idx < last else correct
        reached[idx] = later or evidence[idx].succeeded
    for idx, (n, c, _) in enumerate(evidence):
        human = trace["step_provenance"][idx] == "human"
        label: bool | None
        source: LabelSource
        if idx == last and trace["outcome"] in _DECIDED:
            label, source = correct, "outcome"
        elif n and c / n > threshold and (threshold == 0 or n >= min_trials):
            label, source = True, "rollouts"
        elif threshold == 0 and (reached[idx] or human):
            label, source = True, "outcome"
        elif n >= min_trials:
            label, source = False, "rollouts"
        else:
            label, source = None, "none"
        yield counted_step(trace, idx, n, c, label=label, source=source)


def counted_step(
    trace: Mapping[str, Any], idx: int, n: int, c: int, *, label: bool | None, source: LabelSource
) -> dict[str, Any]:
    """A row of ``step_labels`` that rests on ``c`` successes in ``n`` trials, and on no posterior.

    Args:
        trace: a row of ``traces``.
        idx: 0-based index of the step.
        n: on-policy rollouts that went on from it.
        c: how many of those ended right.
        label: whether the step is good.
        source: what the label rests on.
    """
    low, high = wilson(c, n) if n else (None, None)
    return {
        "trace_id": trace["trace_id"],
        "seed_id": trace["seed_id"],
        "step_idx": idx,
        "factor": trace["factors"][idx],
        "text": trace["steps"][idx],
        "provenance": trace["step_provenance"][idx],
        "step_source": trace["step_source"][idx],
        "n_trials": n,
        "n_successes": c,
        "mc_value": c / n if n else None,
        "wilson_low": low,
        "wilson_high": high,
        **dict.fromkeys(POSTERIOR_COLUMNS),
        "hard_label": label,
        "label_source": source,
    }
