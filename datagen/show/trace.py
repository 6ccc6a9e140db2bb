"""Draw one trace, or one rollout, from the question to its outcome.

A step's ``right`` never counts the end of the trace that it stands in (see
:mod:`datagen.labels.monte_carlo`), so a right trace may well show ``0/4`` on the way. What the
posterior makes of all evidence together stands before it, and need not look like it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl
from rich.console import JustifyMethod, RenderableType
from rich.rule import Rule
from rich.text import Text

from datagen.show.judged import judged
from datagen.show.lookup import Tables, row_of
from datagen.show.steps import StepLine, step_table
from datagen.show.styles import (
    Field,
    counted,
    field_table,
    label_mark,
    mark,
    one_line,
    outcome_name,
    paragraph,
    percent_range,
)

_LABEL_COLUMNS: Final[dict[str, JustifyMethod]] = {
    "right": "right",
    "95%": "right",
    "label": "left",
}
_MEASURED_COLUMNS: Final[dict[str, JustifyMethod]] = {
    "before": "right",
    "value": "right",
    **_LABEL_COLUMNS,
}
_COST_COLUMNS: Final[dict[str, JustifyMethod]] = {"tokens": "right", "min logp": "right"}
_RIGHT: Final = (
    "right: on-policy rollouts from the step that ended right / could be judged, and the 95% "
    "Wilson interval of that share · label: ✓ good, ✗ wrong, ? unknown, and"
)
_LABEL_LEGEND: Final = f"{_RIGHT} what it rests on"
_MEASURED_LEGEND: Final = (
    "before: probability that the first error comes later, or never · value: expected share of "
    f"right endings from here · {_RIGHT} how sure that is"
)


def trace(tables: Tables, trace_id: str) -> Iterator[RenderableType]:
    """A trace with its step labels."""
    assert tables.traces is not None
    row = row_of(tables.traces, "trace_id", trace_id)
    labels: dict[int, dict[str, Any]] = {}
    if tables.step_labels is not None:
        own = tables.step_labels.filter(pl.col("trace_id") == trace_id)
        labels = {label["step_idx"]: label for label in own.iter_rows(named=True)}
    measured = any(label["p_before_error"] is not None for label in labels.values())
    columns = _MEASURED_COLUMNS if measured else _LABEL_COLUMNS if labels else {}
    yield field_table([("question", paragraph(row["question"]))])
    yield Text()
    yield Rule(Text(f"trace {one_line(trace_id)}"), align="left", style="dim")
    steps = zip(row["step_provenance"], row["factors"], row["steps"], strict=True)
    yield step_table(
        [
            StepLine(by, factor, text, _label_cells(labels[idx]) if idx in labels else {})
            for idx, (by, factor, text) in enumerate(steps)
        ],
        columns,
    )
    yield Text()
    yield field_table(
        [
            *_outcome(row, _reason(tables, row["rollout_id"])),
            *(judged(tables, trace_id) or [("labels", _first_wrong(labels))]),
            *_origin(row),
        ]
    )
    if labels:
        yield Text()
        yield Text(_MEASURED_LEGEND if measured else _LABEL_LEGEND, style="dim")


def rollout(tables: Tables, rollout_id: str) -> Iterator[RenderableType]:
    """A rollout with what its steps cost, and why it has its outcome."""
    in_tree = not tables.rollouts.filter(pl.col("rollout_id") == rollout_id).is_empty()
    drawn = tables.rollouts if in_tree or tables.probes is None else tables.probes
    row = row_of(drawn, "rollout_id", rollout_id)
    prefix = row_of(tables.prefixes, "prefix_id", row["prefix_id"])
    n_given = row["n_given_steps"]
    giver = "search" if in_tree else "trace"
    yield field_table([("question", paragraph(prefix["question"]))])
    yield Text()
    yield Rule(Text(f"rollout {one_line(rollout_id)}"), align="left", style="dim")
    steps = [
        StepLine(
            "human" if idx < prefix["n_steps"] else giver if idx < n_given else "rollout",
            factor,
            text,
            _cost_cells(row, idx - n_given),
        )
        for idx, (factor, text) in enumerate(zip(row["factors"], row["steps"], strict=True))
    ]
    if steps:
        yield step_table(steps, _COST_COLUMNS)
    if row["tail"]:
        yield Text(f"then, unreadable as steps: {one_line(row['tail'])}")
    yield Text()
    traces = () if tables.traces is None else _traces_of(tables.traces, rollout_id)
    measures = () if in_tree else _measured_by(tables, row)
    fields = [*_outcome(row, row["reason"]), _draw(row), *measures, *_origin(row), *traces]
    yield field_table(fields)


def _first_wrong(labels: Mapping[int, Mapping[str, Any]]) -> str:
    if not labels:
        return "none yet"
    wrong = [idx for idx, label in labels.items() if label["hard_label"] is False]
    return f"the first wrong step is {min(wrong)}" if wrong else "no step is labelled wrong"


def _label_cells(label: Mapping[str, Any]) -> dict[str, Text]:
    if label["confidence"] is not None:
        rests = f" {label['confidence']:.0%}"
    else:
        rests = "" if label["label_source"] == "none" else f" {label['label_source']}"
    cells = {"label": Text.assemble(label_mark(label["hard_label"]), rests)}
    if label["p_before_error"] is not None:
        cells["before"] = Text(f"{label['p_before_error']:.0%}")
    if label["value"] is not None:
        cells["value"] = Text(f"{label['value']:.2f}")
    if label["n_trials"]:
        cells["right"] = Text(f"{label['n_successes']}/{label['n_trials']}")
        low, high = label["wilson_low"], label["wilson_high"]
        cells["95%"] = Text("" if low is None or high is None else percent_range(low, high))
    return cells


def _cost_cells(row: Mapping[str, Any], own_idx: int) -> dict[str, Text]:
    if own_idx < 0:
        return {}
    logprob = row["step_min_logprob"][own_idx]
    return {
        "tokens": Text(str(row["step_n_tokens"][own_idx])),
        "min logp": Text("" if logprob is None else f"{logprob:.2f}"),
    }


def _reason(tables: Tables, rollout_id: str | None) -> str | None:
    if rollout_id is None:
        return None
    reasons = tables.rollouts.filter(pl.col("rollout_id") == rollout_id)["reason"]
    return reasons.item(0) if len(reasons) else None


def _outcome(row: Mapping[str, Any], reason: str | None) -> Iterator[Field]:
    answer = "no answer" if row["answer"] is None else f"answer {one_line(row['answer'])}"
    told = f" {outcome_name(row['outcome'])}: {answer}, gold {one_line(row['gold'])}  "
    yield "outcome", Text.assemble(mark(row["outcome"]), told, (row["verifier"], "dim"))
    if reason:
        yield "because", one_line(reason)


def _draw(row: Mapping[str, Any]) -> Field:
    if row["node_id"] is not None:
        state = f"state {row['node_id']}"
    elif row["algorithm"] == "first_error":
        state = f"step {row['n_given_steps'] - 1} of a whole trace"
    else:
        state = "a state outside the tree"
    return (
        "drawn",
        f"by {row['algorithm']} from {one_line(state)}, sample {row['sample_idx']}, "
        f"temperature {row['temperature']:g}, {counted(row['n_tokens'], 'token')}",
    )


def _origin(row: Mapping[str, Any]) -> Iterator[Field]:
    built = row["node_id"] if "trace_id" in row else None  # a rollout has one as well
    if built is None and row["rollout_id"] is None:  # a human thought, which no search began from
        yield "seed", one_line(row["seed_id"])
    else:
        yield "prefix", one_line(row["prefix_id"])
        if built is not None:
            yield "state", f"{one_line(built)}, put together step by step by the search"
        elif "trace_id" in row:
            yield "rollout", one_line(row["rollout_id"])
    if row["engine"] is not None:
        yield "engine", one_line(row["engine"])


def _measured_by(tables: Tables, probe: Mapping[str, Any]) -> Iterator[Field]:
    """The measured traces that begin with the steps from which a probe was drawn."""
    if tables.traces is None or tables.trace_labels is None:
        return
    ids = tables.trace_labels.filter(pl.col("seed_id") == probe["seed_id"])["trace_id"]
    n_given = probe["n_given_steps"]
    given = probe["steps"][:n_given], probe["factors"][:n_given]
    traces = tables.traces.filter(pl.col("trace_id").is_in(ids.implode()))
    for trace_id, steps, factors in traces.select("trace_id", "steps", "factors").iter_rows():
        if (steps[:n_given], factors[:n_given]) == given:
            yield "measures", f"trace {one_line(trace_id)}"


def _traces_of(traces: pl.DataFrame, rollout_id: str) -> Iterator[Field]:
    for trace_id in traces.filter(pl.col("rollout_id") == rollout_id)["trace_id"]:
        yield "trace", one_line(trace_id)
