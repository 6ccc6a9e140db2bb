"""Draw a search tree: one line per state, its numbers in columns at the right edge.

Two kinds of numbers stand side by side and must not be mixed up. P, N and Q steered the search;
only ``right``, the on-policy evidence, says how often the policy itself succeeds from a state.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl
from rich.console import RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from datagen.factors.taxonomy import Factor
from datagen.labels.monte_carlo import wilson
from datagen.show.lookup import Tables, row_of
from datagen.show.steps import StepLine, step_table
from datagen.show.styles import (
    FamilyLegend,
    Field,
    counted,
    factor_name,
    field_table,
    mark,
    one_line,
    outcome_name,
    paragraph,
    percent_range,
    short_id,
)

Row = dict[str, Any]

_DECIDED: Final = ("correct", "wrong")
_COLUMNS: Final = ("P", "N", "Q", "right", "id")
_MAX_TRACES: Final = 4


class _NarrowTree(Tree):
    """A tree that spends two columns on a level and not four, since reasoning goes deep."""

    ASCII_GUIDES = ("  ", "| ", "+ ", "` ")
    TREE_GUIDES = [("  ", "│ ", "├ ", "└ ")] * 3  # noqa: RUF012 # as the base class has it


def question(prefix: Mapping[str, Any]) -> RenderableType:
    """The question and its gold answer."""
    gold = Text.assemble(one_line(prefix["answer"]), (f"  {prefix['verifier']}", "dim"))
    return field_table([("question", paragraph(prefix["question"])), ("gold", gold)])


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
    yield field_table([_pass_rate(root), *_totals(drawn), *_traces(tables, prefix["prefix_id"])])
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
    yield question(prefix)
    yield Text()
    taken = "" if node["chosen"] else ", proposed by a replica and not taken"
    title = f"state {one_line(node_id)}  in search {one_line(node['prefix_id'])}{taken}"
    yield Rule(Text(title), align="left", style="dim")
    if steps := [*_given(prefix), *written]:
        yield step_table(steps)
    yield field_table([_pass_rate(node), *_written(node)])
    yield Text()
    yield tree(node, nodes, drawn, rollouts=True)


def legend() -> Iterator[RenderableType]:
    """What the columns and marks of a tree mean."""
    yield Text()
    yield Text(
        "P prior  N visits  Q mean value  right: on-policy rollouts right/judged\n"
        "✓ ends right  ✗ ends otherwise  ? not judged  † breaks off  (…) not taken",
        style="dim",
    )
    yield FamilyLegend()


def tree(
    root: Mapping[str, Any], nodes: Sequence[Row], drawn: Sequence[Row], *, rollouts: bool
) -> RenderableType:
    """The tree below ``root``, all of whose nodes are among ``nodes``; with rollouts if asked for.

    Children come by visits, as the search came to prefer them; each is followed by the proposals
    that it was preferred to.
    """
    children: dict[str | None, list[Row]] = {}
    for node in nodes:
        children.setdefault(node["parent_id"], []).append(node)
    own: dict[str | None, list[Row]] = {}
    for rollout in drawn:
        own.setdefault(rollout["node_id"], []).append(rollout)

    columns = _Columns(nodes)
    drawing = _NarrowTree(columns.line(root))
    open_ends: list[tuple[Mapping[str, Any], Tree]] = [(root, drawing)]
    while open_ends:
        node, branch = open_ends.pop()
        from_here = own.get(node["node_id"], [])
        if len(from_here) > 1:
            branch.add(Text(_summary(from_here), style="italic"))
        if rollouts:
            for rollout in from_here:
                branch.add(_rollout(rollout))
        for child in _ordered(children.get(node["node_id"], [])):
            style = "" if child["chosen"] else "dim"
            open_ends.append((child, branch.add(columns.line(child), style=style)))
    table = Table.grid(expand=True)
    table.add_column(ratio=1)
    table.add_row(columns.header())
    table.add_row(drawing)
    return table


class _Columns:
    """The right-hand columns, as wide as the widest number of this search."""

    def __init__(self, nodes: Sequence[Row]) -> None:
        cells = [_numbers(node) for node in nodes]
        self._widths = [
            max(len(title), *(len(row[idx]) for row in cells))
            for idx, title in enumerate(_COLUMNS[:-1])
        ]

    def header(self) -> RenderableType:
        return self._row(Text("state", style="dim"), _COLUMNS[:-1], Text("id    ", style="dim"))

    def line(self, node: Mapping[str, Any]) -> RenderableType:
        return self._row(_state(node), _numbers(node), short_id(node["node_id"]))

    def _row(self, left: Text, numbers: Sequence[str], right: Text) -> RenderableType:
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True)
        cells = (number.rjust(width) for number, width in zip(numbers, self._widths, strict=True))
        line.add_row(left, Text("  ".join(cells)), right)
        return line


def _numbers(node: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """The cells of P, N, Q and right; what is unknown stays empty."""
    return (
        "" if node["prior"] is None else f"{node['prior']:.2f}",
        str(node["n_visits"]) if node["n_visits"] else "",
        "" if node["value"] is None else f"{node['value']:.2f}",
        f"{node['n_correct']}/{node['n_rollouts']}" if node["n_rollouts"] else "",
    )


def _state(node: Mapping[str, Any]) -> Text:
    """What a line says about its state; marks come first, where shortening spares them."""
    if node["text"] is None:
        return Text("start", style="bold")
    line = Text()
    if node["terminal"]:
        line.append_text(_end(node)).append(" ")
    name = factor_name(node["factor"])
    line.append_text(name if node["chosen"] else Text.assemble("(", name, ")"))
    return line.append(f"  {one_line(node['text'])}")


def _end(node: Mapping[str, Any]) -> Text:
    """How a trace ended here. Only visits tell: proposals that were not taken were never judged."""
    if node["factor"] != Factor.ANSWER.value:
        return Text("†", style="bold red")
    if node["value"] is None:
        return mark("")
    return mark("correct" if node["value"] > 0 else "wrong")


def _summary(drawn: Sequence[Row]) -> str:
    """Rollouts drawn from one state, as ``4/6 right``, then those that say nothing."""
    counts = Counter(rollout["outcome"] for rollout in drawn)
    n_judged = sum(counts[outcome] for outcome in _DECIDED)
    undecided = [f"{n} {name}" for name, n in sorted(counts.items()) if name not in _DECIDED]
    return ", ".join([f"rollouts from here: {counts['correct']}/{n_judged} right", *undecided])


def _rollout(rollout: Mapping[str, Any]) -> Text:
    """A rollout's own steps on as many lines as they take."""
    line = Text(style="italic").append_text(mark(rollout["outcome"]))
    if rollout["outcome"] not in _DECIDED:
        line.append(f" {rollout['outcome']}")
    n_given = rollout["n_given_steps"]
    own = zip(rollout["factors"][n_given:], rollout["steps"][n_given:], strict=True)
    for factor, text in own:
        line.append(" › ", style="dim").append_text(factor_name(factor))
        line.append(f" {one_line(text)}")
    if rollout["tail"]:
        line.append(f" … {one_line(rollout['tail'])}", style="dim")
    return line.append("  ").append_text(short_id(rollout["completion_key"]))


def _given(prefix: Mapping[str, Any]) -> list[StepLine]:
    steps = zip(prefix["factors"], prefix["steps"], strict=True)
    return [StepLine("human", factor, text) for factor, text in steps]


def _ordered(siblings: Sequence[Row]) -> list[Row]:
    """Factors by visits, most first; within a factor the child, then the rejected proposals."""
    visits = {node["factor"]: node["n_visits"] for node in siblings if node["chosen"]}
    first = {node["factor"]: idx for idx, node in reversed(list(enumerate(siblings)))}
    return sorted(
        siblings,
        key=lambda node: (
            -visits.get(node["factor"], 0),
            first[node["factor"]],
            not node["chosen"],
            node["replica_idx"],
        ),
    )


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
        yield "last step", f"{tokens} by replica {node['replica_idx']}{told}"


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
