"""Draw searches: what was asked, how often the policy succeeds from there, and the tree.

The totals count more rollouts than the tree holds: those that were drawn later, to measure the
steps of whole traces, are no part of it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl
from rich.console import RenderableType
from rich.rule import Rule
from rich.text import Text

from datagen.labels.monte_carlo import wilson
from datagen.show.lookup import Tables, row_of
from datagen.show.steps import StepLine, step_table
from datagen.show.styles import (
    Field,
    counted,
    field_table,
    one_line,
    outcome_name,
    paragraph,
    percent_range,
    short_id,
)
from datagen.show.tree import Row, tree

_MAX_TRACES: Final = 4


def question(tables: Tables, prefix: Mapping[str, Any]) -> RenderableType:
    """The question, its gold answer, and where the human thought is to be seen whole."""
    gold = Text.assemble(one_line(prefix["answer"]), (f"  {prefix['verifier']}", "dim"))
    fields: list[Field] = [("question", paragraph(prefix["question"])), ("gold", gold)]
    if tables.traces is not None:
        own = pl.col("seed_id") == prefix["seed_id"]
        human = tables.traces.filter(own & (pl.col("provenance") == "human"))
        fields += [("human", Text.assemble("trace ", short_id(id))) for id in human["trace_id"]]
    return field_table(fields)


def search(
    tables: Tables, prefix: Mapping[str, Any], *, rollouts: bool
) -> Iterator[RenderableType]:
    """One search: where it began, how often the policy succeeds from there, and its tree."""
    n_given, n_steps = prefix["n_steps"], prefix["n_seed_steps"]
    start = f"after {n_given} of {n_steps} human steps" if n_given else "from the question alone"
    yield Text()
    yield Rule(Text(f"{one_line(prefix['prefix_id'])}  {start}"), align="left", style="dim")
    if n_given:
        yield step_table(_given(prefix))
    nodes = _rows(tables.nodes, "prefix_id", prefix["prefix_id"])
    drawn = _rows(tables.rollouts, "prefix_id", prefix["prefix_id"])
    root = next((node for node in nodes if node["parent_id"] is None), None)
    if root is None:
        yield Text("not searched yet")
        return
    probes = tables.probes
    measured = [] if probes is None else _rows(probes, "prefix_id", prefix["prefix_id"])
    totals = _totals([*drawn, *measured])
    yield field_table([_pass_rate(root), *totals, *_traces(tables, prefix["prefix_id"])])
    yield Text()
    yield tree(root, nodes, drawn, rollouts=rollouts)


def subtree(tables: Tables, node_id: str) -> Iterator[RenderableType]:
    """One state: the steps that lead there, and the tree and all rollouts that go on from it."""
    node = row_of(tables.nodes, "node_id", node_id)
    prefix = row_of(tables.prefixes, "prefix_id", node["prefix_id"])
    nodes = _rows(tables.nodes, "prefix_id", node["prefix_id"])
    drawn = _rows(tables.rollouts, "prefix_id", node["prefix_id"])
    by_id = {row["node_id"]: row for row in nodes}
    path: list[Row] = [node]
    while (parent := by_id.get(path[-1]["parent_id"])) is not None:
        path.append(parent)
    written = [
        StepLine("model", row["factor"] or "", row["text"])
        for row in reversed(path)
        if row["text"] is not None
    ]
    yield question(tables, prefix)
    yield Text()
    taken = "" if node["chosen"] else ", proposed by a replica and not taken"
    title = f"state {one_line(node_id)}  in search {one_line(node['prefix_id'])}{taken}"
    yield Rule(Text(title), align="left", style="dim")
    if steps := [*_given(prefix), *written]:
        yield step_table(steps)
    yield field_table([_pass_rate(node), *_written(node)])
    yield Text()
    yield tree(node, nodes, drawn, rollouts=True)


def _given(prefix: Mapping[str, Any]) -> list[StepLine]:
    steps = zip(prefix["factors"], prefix["steps"], strict=True)
    return [StepLine("human", factor, text) for factor, text in steps]


def _pass_rate(node: Mapping[str, Any]) -> Field:
    """How often the policy ends right from a state, and how sure that is."""
    n, c = node["n_rollouts"], node["n_correct"]
    if not n:
        return "pass rate", "unknown: no rollout from here could be judged"
    interval = percent_range(*wilson(c, n))
    return "pass rate", f"{c / n:.0%}: {c} of {counted(n, 'rollout')} right (95%: {interval})"


def _written(node: Mapping[str, Any]) -> Iterator[Field]:
    """How the step that leads to a node was written."""
    if node["completion_key"] is not None:
        least = node["min_logprob"]
        told = "" if least is None else f", the least likely with log-probability {least:.2f}"
        tokens = counted(node["n_tokens"], "token")
        if node["replica_idx"] < 0:  # the search goes along rollouts, and nobody proposed it
            writer = Text.assemble("within rollout ", short_id(node["completion_key"]))
        else:
            writer = Text(f"by replica {node['replica_idx']}")
        yield "last step", Text.assemble(f"{tokens} ", writer, told)


def _totals(drawn: Sequence[Row]) -> Iterator[Field]:
    """What each algorithm drew in this search."""
    for algorithm, n in Counter(rollout["algorithm"] for rollout in drawn).items():
        counts = Counter(r["outcome"] for r in drawn if r["algorithm"] == algorithm)
        told = ", ".join(f"{k} {outcome_name(outcome)}" for outcome, k in counts.most_common())
        yield one_line(algorithm), f"{counted(n, 'rollout')}: {told}"


def _traces(tables: Tables, prefix_id: str) -> Iterator[Field]:
    """Some whole traces of this search by outcome, those with most evidence first."""
    if tables.traces is None:
        return
    traces = tables.traces.filter(pl.col("prefix_id") == prefix_id)
    if tables.step_labels is not None:
        trials = tables.step_labels.group_by("trace_id").agg(pl.col("n_trials").sum())
        traces = traces.join(trials, on="trace_id", how="left", maintain_order="left").sort(
            "n_trials", descending=True, nulls_last=True, maintain_order=True
        )
    for outcome, group in traces.group_by("outcome", maintain_order=True):
        ids = [short_id(trace_id) for trace_id in group["trace_id"].head(_MAX_TRACES)]
        more = " …" if group.height > len(ids) else ""
        told = f"{group.height} {outcome_name(str(outcome[0]))}: "
        yield "traces", Text.assemble(told, Text(" ").join(ids), more)


def _rows(frame: pl.DataFrame, column: str, value: str) -> list[Row]:
    return frame.filter(pl.col(column) == value).to_dicts()
