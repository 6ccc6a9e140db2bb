"""Draw a search tree: one line per state, its numbers in columns at the right edge.

Two kinds of numbers stand side by side and must not be mixed up. P, N and Q steered the search;
only ``right``, the on-policy evidence, says how often the policy itself succeeds from a state.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from datagen.factors.taxonomy import Factor
from datagen.show.styles import SHORT_ID, FamilyLegend, factor_name, mark, one_line, short_id

Row = dict[str, Any]

_DECIDED: Final = ("correct", "wrong")
_COLUMNS: Final = ("P", "N", "Q", "right")


class _NarrowTree(Tree):
    """A tree that spends two columns on a level and not four, since reasoning goes deep."""

    ASCII_GUIDES = ("  ", "| ", "+ ", "` ")
    TREE_GUIDES = [("  ", "│ ", "├ ", "└ ")] * 3


def legend() -> Iterator[RenderableType]:
    """What the columns and marks of a tree mean."""
    yield Text()
    yield Text(
        "P prior  N visits  Q mean value  right: on-policy rollouts right/judged\n"
        "✓ ends right  ✗ ends otherwise  ? unknown  † breaks off  (…) not taken\n"
        "`datagen show ID` draws any search, state or trace whose id stands above",
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
            branch.add(Text(_summary(from_here), style="dim italic"))
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
            max(len(title), *(len(row[idx]) for row in cells)) for idx, title in enumerate(_COLUMNS)
        ]

    def header(self) -> RenderableType:
        return self._row(Text("state", style="dim"), _COLUMNS, Text("id", style="dim"))

    def line(self, node: Mapping[str, Any]) -> RenderableType:
        return self._row(_state(node), _numbers(node), short_id(node["node_id"]))

    def _row(self, left: Text, numbers: Sequence[str], right: Text) -> RenderableType:
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, width=SHORT_ID)
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
    if node["outcome"] is not None:
        line.append_text(_end(node)).append(" ")
    name = factor_name(node["factor"])
    line.append_text(name if node["chosen"] else Text.assemble("(", name, ")"))
    return line.append(f"  {one_line(node['text'])}")


def _end(node: Mapping[str, Any]) -> Text:
    """How a trace ended here; a dead end if it came to no answer."""
    if node["factor"] != Factor.ANSWER.value:
        return Text("†", style="bold red")
    return mark(node["outcome"])


def _summary(drawn: Sequence[Row]) -> str:
    """Rollouts drawn from one state, as ``4/6 right``, then those that say nothing."""
    counts = Counter(rollout["outcome"] for rollout in drawn)
    n_judged = sum(counts[outcome] for outcome in _DECIDED)
    parts = [f"{counts['correct']}/{n_judged} right"] if n_judged else []
    parts += [f"{n} {name}" for name, n in sorted(counts.items()) if name not in _DECIDED]
    return f"rollouts from here: {', '.join(parts)}"


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
