"""The few search trees that the report shows: which ones, and which of their states.

The surprising fact: a tree is handed over as a flat list, parents before children, each line with
its level. A screen shows lines, and a list of them can be cut anywhere without losing a parent.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from datagen.report.clip import clipped
from datagen.show.styles import FAMILY

Tables = Mapping[str, pl.DataFrame]
Row = Mapping[str, Any]

MAX_TREES: Final = 6
MAX_STATES: Final = 60
"""States of one tree, those first that the search visited most."""

MAX_ENDS: Final = 4
"""Rollouts that are shown below one state: right and wrong ones by turns."""

_MAX_STEPS: Final = 12
"""Last steps of a rollout, and first steps of a prefix, that are shown."""

_FAMILIES: Final = {factor.value: family for factor, family in FAMILY.items()}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a tree.

    Attributes:
        level: 1 for the root.
        kind: a state that the search took, a proposal that it did not take, or a rollout.
        factor: thought factor of the step; of a rollout none.
        family: the kind of thinking that it belongs to.
        text: the step; of a rollout its own steps, one a line.
        n_visits: N, of a state.
        value: Q, of a state that was visited.
        share: π, the share of the visits that its parent's children got; of a state but the root.
        prior: P that the policy gave the factor.
        n_right: rollouts from here that ended right; ``n_rollouts`` were drawn.
        n_rollouts: see above.
        outcome: how it ended here; ``None`` where it goes on.
        answer: the answer that it ends with.
        is_best: whether it lies on the most visited path.
    """

    level: int
    kind: Literal["state", "proposal", "rollout"]
    factor: str
    family: str
    text: str
    n_visits: int = 0
    value: float | None = None
    share: float | None = None
    prior: float | None = None
    n_right: int = 0
    n_rollouts: int = 0
    outcome: str | None = None
    answer: str | None = None
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class SearchTree:
    """One search.

    Attributes:
        prefix_id: the prefix that it began with.
        question: its question.
        gold: the right answer.
        prefix: factor, family and text of the steps that were given.
        n_states: states of the whole tree; ``n_shown`` of them are among the lines.
        n_shown: see above.
        n_right: rollouts of the whole search that ended right.
        n_wrong: rollouts that ended wrong.
        lines: parents before their children.
    """

    prefix_id: str
    question: str
    gold: str
    prefix: tuple[tuple[str, str, str], ...]
    n_states: int
    n_shown: int
    n_right: int
    n_wrong: int
    lines: tuple[Line, ...]


def search_trees(tables: Tables, *, max_trees: int = MAX_TREES) -> tuple[SearchTree, ...]:
    """The searches that show most: of different seeds, with right and wrong ends in balance.

    Args:
        tables: ``prefixes``, ``nodes`` and ``rollouts``.
        max_trees: how many.
    """
    nodes, rollouts, prefixes = (tables[name] for name in ("nodes", "rollouts", "prefixes"))
    outcome = pl.col("outcome")
    ends = rollouts.group_by("prefix_id").agg(
        n_right=(outcome == "correct").sum(), n_wrong=(outcome == "wrong").sum()
    )
    picked = (
        nodes.group_by("prefix_id")
        .agg(n_states=pl.len(), depth=pl.col("depth").max())
        .join(ends, on="prefix_id", how="left")
        .join(prefixes, on="prefix_id")
        .with_columns(pl.col("n_right", "n_wrong").fill_null(0))
        .sort(
            pl.min_horizontal("n_right", "n_wrong", 8),
            *("depth", "n_states", "prefix_id"),
            descending=[True, True, True, False],
        )
        .unique("seed_id", keep="first", maintain_order=True)
        .head(max_trees)
    )
    return tuple(
        _tree(
            row,
            nodes.filter(pl.col("prefix_id") == row["prefix_id"]),
            rollouts.filter(pl.col("prefix_id") == row["prefix_id"]),
        )
        for row in picked.iter_rows(named=True)
    )


def _tree(row: Row, nodes: pl.DataFrame, rollouts: pl.DataFrame) -> SearchTree:
    children: dict[str | None, list[Row]] = {}
    for node in nodes.iter_rows(named=True):
        children.setdefault(node["parent_id"], []).append(node)
    ends: dict[str | None, list[Row]] = {}
    for rollout in rollouts.sort("rollout_id").iter_rows(named=True):
        ends.setdefault(rollout["node_id"], []).append(rollout)
    kept = _most_visited(children)
    lines = [
        line
        for root in children.get(None, [])
        if root["node_id"] in kept
        for line in _below(root, children, ends, kept)
    ]
    given = list(zip(row["factors"], row["steps"], strict=True))
    return SearchTree(
        prefix_id=row["prefix_id"],
        question=clipped(row["question"], 1500),
        gold=clipped(row["answer"], 300),
        prefix=tuple(
            (clipped(factor, 60), family(factor), clipped(text, 400))
            for factor, text in given[:_MAX_STEPS]
        ),
        n_states=nodes.height,
        n_shown=len(kept),
        n_right=row["n_right"],
        n_wrong=row["n_wrong"],
        lines=tuple(lines),
    )


def family(factor: str | None) -> str:
    """The kind of thinking that a factor belongs to."""
    return _FAMILIES.get(factor or "", "other")


def _most_visited(children: Mapping[str | None, Sequence[Row]]) -> set[str]:
    """Up to :data:`MAX_STATES` ids; a state is never among them without its parent."""
    kept: set[str] = set()
    # The number breaks ties, since rows cannot be compared.
    waiting = [(-node["n_visits"], n, node) for n, node in enumerate(children.get(None, []))]
    n = len(waiting)
    heapq.heapify(waiting)
    while waiting and len(kept) < MAX_STATES:
        _, _, node = heapq.heappop(waiting)
        kept.add(node["node_id"])
        for child in children.get(node["node_id"], []):
            heapq.heappush(waiting, (-child["n_visits"], n := n + 1, child))
    return kept


def _below(
    root: Row,
    children: Mapping[str | None, Sequence[Row]],
    ends: Mapping[str | None, Sequence[Row]],
    kept: set[str],
) -> Iterator[Line]:
    """The lines of a tree, in the order in which they are read."""
    waiting: list[tuple[Row, int, float | None, bool]] = [(root, 1, None, True)]
    while waiting:
        node, level, share, is_best = waiting.pop()
        yield _state(node, level, share, is_best=is_best)
        own = children.get(node["node_id"], [])
        yield from (_end(rollout, level + 1) for rollout in _by_turns(ends, node["node_id"]))
        taken = sorted((child for child in own if child["chosen"]), key=lambda c: -c["n_visits"])
        n_visits = sum(child["n_visits"] for child in taken)
        best = taken[0]["node_id"] if taken and n_visits else None
        rows = [
            (
                child,
                level + 1,
                child["n_visits"] / n_visits if child["chosen"] and n_visits else None,
                is_best and child["node_id"] == best,
            )
            for child in (*taken, *(child for child in own if not child["chosen"]))
            if child["node_id"] in kept
        ]
        waiting += reversed(rows)


def _state(node: Row, level: int, share: float | None, *, is_best: bool) -> Line:
    is_root = node["text"] is None
    return Line(
        level=level,
        kind="state" if node["chosen"] else "proposal",
        factor="" if is_root else clipped(node["factor"] or "?", 60),
        family="other" if is_root else family(node["factor"]),
        text="start" if is_root else clipped(node["text"], 400),
        n_visits=node["n_visits"],
        value=_rounded(node["value"]),
        share=_rounded(share),
        prior=_rounded(node["prior"]),
        n_right=node["n_correct"],
        n_rollouts=node["n_rollouts"],
        outcome=node["outcome"],
        answer=None if node["answer"] is None else clipped(node["answer"], 120),
        is_best=is_best,
    )


def _by_turns(ends: Mapping[str | None, Sequence[Row]], node_id: str) -> list[Row]:
    """Some rollouts from a state: a right one, a wrong one, and so on."""
    own = ends.get(node_id, [])
    right = [row for row in own if row["outcome"] == "correct"]
    rest = [row for row in own if row["outcome"] != "correct"]
    turns = [
        row
        for n in range(max(len(right), len(rest)))
        for row in (*right[n : n + 1], *rest[n : n + 1])
    ]
    return turns[:MAX_ENDS]


def _end(rollout: Row, level: int) -> Line:
    """A rollout: what the policy wrote from here to the end."""
    own = rollout["steps"][rollout["n_given_steps"] :]
    more = [f"… {len(own) - _MAX_STEPS} steps …"] if len(own) > _MAX_STEPS else []
    return Line(
        level=level,
        kind="rollout",
        factor="",
        family="other",
        text=clipped("\n".join([*more, *own[-_MAX_STEPS:]]), 500),
        outcome=rollout["outcome"],
        answer=None if rollout["answer"] is None else clipped(rollout["answer"], 120),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
