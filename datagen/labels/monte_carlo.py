"""Step labels by Monte Carlo: how often the policy still ends right after this step.

A trace's own end is never a trial for its own steps. Traces are picked for measuring because they
ended right, or wrong, and counting that end again would bias every one of their labels.

The hard label is Math-Shepherd's hard estimation (Wang et al. 2024, section 3.3.2): a step is good
if some continuation of it is known to end right. That holds for all steps before a success too,
the trace's own or the human author's included.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any, Final

import polars as pl

from datagen.verify import Outcome
from schemas import StepLabel

_Z_95: Final = 1.959963984540054
_DECIDED: Final = (Outcome.CORRECT.value, Outcome.WRONG.value)


def wilson(n_successes: int, n_trials: int, *, z: float = _Z_95) -> tuple[float, float]:
    """Wilson score interval of a share; 95 % by default.

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
        rollouts: table ``rollouts``; all evidence about a state counts, whichever search drew it.
        min_trials: fewest trials that can call a step wrong.
        threshold: a step is good if its Monte-Carlo value is above this. Above 0, a single success
            no longer proves anything, so a trace's own end labels only its last step.

    Returns:
        Table ``step_labels``, by trace and step.
    """
    counts: defaultdict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    own_from: dict[str, int] = {}
    # Seeds that ask the same question share completions, but each has its own gold answer.
    unique = rollouts.unique(["seed_id", "completion_key"], keep="first", maintain_order=True)
    for row in unique.iter_rows(named=True):
        if row["outcome"] in _DECIDED:
            keys = _states_along(row["seed_id"], row["steps"], row["factors"])
            for key in keys[row["n_given_steps"] :]:
                counts[key][0] += 1
                counts[key][1] += row["outcome"] == Outcome.CORRECT.value
    for rollout_id, n_given in rollouts.select("rollout_id", "n_given_steps").iter_rows():
        own_from[rollout_id] = n_given

    rows: list[dict[str, Any]] = []
    for trace in traces.iter_rows(named=True):
        keys = _states_along(trace["seed_id"], trace["steps"], trace["factors"])[1:]
        correct = trace["outcome"] == Outcome.CORRECT.value
        evidence: list[tuple[int, int]] = []
        for idx, key in enumerate(keys):
            n, c = counts.get(key, (0, 0))
            if trace["rollout_id"] is not None and idx + 1 >= own_from[trace["rollout_id"]]:
                n, c = n - 1, c - correct
            evidence.append((n, c))
        rows += _labelled(trace, evidence, min_trials=min_trials, threshold=threshold)
    return StepLabel.from_rows(rows)


def measured_traces(step_labels: pl.DataFrame, *, min_trials: int) -> pl.Series:
    """``trace_id`` of the traces of which each model step was tried at least ``min_trials`` times.

    The last step is left out: it ends the trace, so nothing can follow it.
    """
    inner = step_labels.filter(
        (pl.col("provenance") == "model")
        & (pl.col("step_idx") < pl.col("step_idx").max().over("trace_id"))
    )
    return (
        inner.group_by("trace_id", maintain_order=True)
        .agg(pl.col("n_trials").min())
        .filter(pl.col("n_trials") >= min_trials)["trace_id"]
    )


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
    evidence: Sequence[tuple[int, int]],
    *,
    min_trials: int,
    threshold: float,
) -> Iterator[dict[str, Any]]:
    """Rows of one trace; ``evidence`` is (trials, successes) per step."""
    correct = trace["outcome"] == Outcome.CORRECT.value
    last = len(trace["steps"]) - 1
    # Per step: does a continuation that ends right exist at this step or later in the trace?
    reached = [False] * (last + 1)
    for idx in range(last, -1, -1):
        later = reached[idx + 1] if idx < last else correct
        reached[idx] = later or evidence[idx][1] > 0
    for idx, (n, c) in enumerate(evidence):
        human = trace["step_provenance"][idx] == "human"
        label: bool | None
        if idx == last and trace["outcome"] in _DECIDED:
            label, source = correct, "outcome"
        elif n and c / n > threshold:
            label, source = True, "rollouts"
        elif threshold == 0 and (reached[idx] or human):
            label, source = True, "outcome"
        elif n >= min_trials:
            label, source = False, "rollouts"
        else:
            label, source = None, "none"
        low, high = wilson(c, n) if n else (None, None)
        yield {
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
            "hard_label": label,
            "label_source": source,
        }
