"""Thoughts about code as rows of the tables that all thoughts share: traces and step labels.

A verified thought ends with the seed's own program. One that failed ends with a program that was
written from it, so its outcome is what the tests say of that program, and the label of its steps is
what the run says of their claims: the first false value is the first error, known without a single
rollout.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from datagen.factors.taxonomy import Factor
from datagen.labels.monte_carlo import counted_step
from datagen.traces.assemble import trace_row
from datagen.traces.model import Provenance, Step
from datagen.traces.model import Trace as TraceModel
from datagen.verify import Outcome
from schemas import StepLabel, Trace


def code_traces(code_thoughts: pl.DataFrame, code_tasks: pl.DataFrame) -> pl.DataFrame:
    """Thoughts about code, and the walks to foretold results, as whole traces.

    Unreadable thoughts are left out, and so is one that says the same as an earlier one of its
    seed. Nothing unproven counts as right: a failed thought has an answer only if a program written
    from it fails; else its outcome is ``unverifiable``.

    Args:
        code_thoughts: table ``code_thoughts``.
        code_tasks: table ``code_tasks`` of the same seeds.

    Returns:
        Table ``traces``; ``trace_id`` is the ``thought_id`` or ``task_id``.
    """
    programs = code_tasks.filter(pl.col("kind") == "program")
    golds = dict(programs.select("seed_id", "gold").iter_rows())
    unique: dict[tuple[str, str], dict[str, Any]] = {}
    for row in (*_thoughts(code_thoughts, golds), *_walks(code_tasks)):
        unique.setdefault((row["seed_id"], row["markup"]), row)
    return Trace.from_rows(list(unique.values()))


def code_step_labels(code_thoughts: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """Labels of the steps of thoughts about code, from what their runs say.

    A verified thought is good throughout. Otherwise the first step with a false value, and whatever
    follows, is wrong; steps before it are good if a run confirms them or programs written from the
    thought pass the tests, and unknown else. The last step's trials are the round trips.

    Args:
        code_thoughts: table ``code_thoughts``.
        traces: table ``traces``; of others than these thoughts nothing is said.

    Returns:
        Table ``step_labels``, in the order of ``code_thoughts``.
    """
    known = {row["trace_id"]: row for row in traces.iter_rows(named=True)}
    return StepLabel.from_rows(
        [
            label
            for thought in code_thoughts.iter_rows(named=True)
            if (trace := known.get(thought["thought_id"])) is not None
            for label in _labels(thought, trace)
        ]
    )


def decided(code_thoughts: pl.DataFrame) -> pl.Series:
    """Ids of the thoughts whose first error, or lack of one, a run has shown."""
    wrong = (pl.col("first_error") >= 0) & pl.col("leak").is_null()
    return code_thoughts.filter(pl.col("verified") | wrong)["thought_id"].rename("trace_id")


def without_code(traces: pl.DataFrame) -> pl.DataFrame:
    """The traces that a person, a rollout or a search made, which rollouts can label."""
    searched = pl.col("rollout_id").is_not_null() | pl.col("node_id").is_not_null()
    return traces.filter((pl.col("provenance") == "human") | searched)


def _thoughts(code_thoughts: pl.DataFrame, golds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for row in code_thoughts.filter(pl.col("steps").list.len() > 0).iter_rows(named=True):
        failing = row["n_passed"] < row["n_round_trips"] and row["regenerated"] is not None
        if row["verified"]:
            answer, outcome = row["code"], Outcome.CORRECT
        elif failing:
            answer, outcome = row["regenerated"], Outcome.WRONG
        else:
            answer, outcome = None, Outcome.UNVERIFIABLE
        by = "code" if row["route"] == "narrator" else "model"
        source = row["completion_key"] or "execution"
        yield _row(
            row["thought_id"],
            row["seed_id"],
            TraceModel(row["question"], _steps(row, by), answer),
            gold=golds[row["seed_id"]],
            verifier="python",
            outcome=outcome.value,
            provenance=by,
            step_source=[source] * len(row["steps"]),
            engine=row["engine"],
        )


def _walks(code_tasks: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for row in code_tasks.filter(pl.col("steps").list.len() > 0).iter_rows(named=True):
        yield _row(
            row["task_id"],
            row["task_id"],
            TraceModel(row["question"], _steps(row, "code"), row["answer"]),
            gold=row["gold"],
            verifier=row["verifier"],
            outcome=Outcome.CORRECT.value,
            provenance="code",
            step_source=["execution"] * len(row["steps"]),
            engine=None,
        )


def _steps(row: Mapping[str, Any], by: Provenance) -> tuple[Step, ...]:
    pairs = zip(row["steps"], row["factors"], strict=True)
    return tuple(Step(text, Factor(factor), by) for text, factor in pairs)


def _row(trace_id: str, seed_id: str, trace: TraceModel, **fields: Any) -> dict[str, Any]:
    return trace_row(
        trace,
        trace_id=trace_id,
        seed_id=seed_id,
        prefix_id=f"{seed_id}@0",
        rollout_id=None,
        n_human_steps=0,
        **fields,
    )


def _labels(thought: Mapping[str, Any], trace: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    n, n_passed, first = thought["n_round_trips"], thought["n_passed"], thought["first_error"]
    believed = thought["verified"] or (n > 0 and n_passed == n)
    last = len(thought["steps"]) - 1
    for idx, check in enumerate(thought["step_checks"]):
        label: bool | None = True if believed or check == "checked" else None
        if 0 <= first <= idx:
            label = False
        elif thought["leak"] is not None:
            label = None
        trials, successes = (n, n_passed) if idx == last else (0, 0)
        source = "none" if label is None else "execution"
        yield counted_step(trace, idx, trials, successes, label=label, source=source)
