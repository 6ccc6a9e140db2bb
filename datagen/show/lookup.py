"""Find what an id, or the beginning of one, stands for.

Ids nest: a ``prefix_id`` begins with its ``seed_id``, a ``rollout_id`` with its ``prefix_id``, a
``task_id`` with the ``seed_id`` of its code seed. So an abbreviation means the outermost thing that
it fits; what lies inside does not compete with it, or no abbreviation of a seed would ever be
unique. Thoughts and tasks about code stand among the traces too, under the same ids, and are meant
first: their own tables say more of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal

import polars as pl

from datagen.errors import ConfigError

Kind = Literal["seed", "prefix", "trace", "node", "rollout", "code seed", "thought", "task"]

_MAX_CANDIDATES: Final = 6
_MAX_COMPARED: Final = 2_000
"""Ids that a misspelt one is compared with; the comparison is slow."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables of a run, as far as they exist.

    Attributes:
        prefixes: table ``prefixes``.
        nodes: table ``nodes``.
        rollouts: table ``rollouts``.
        traces: table ``traces``, or ``None`` before it is made.
        step_labels: table ``step_labels``, or ``None`` before it is made; likewise the rest.
        probes: table ``probes``, rollouts that belong to no tree.
        trace_labels: table ``trace_labels``.
        critiques: table ``critiques``.
        code_seeds: table ``code_seeds``.
        executions: table ``executions``.
        code_thoughts: table ``code_thoughts``.
        code_tasks: table ``code_tasks``.
    """

    prefixes: pl.DataFrame
    nodes: pl.DataFrame
    rollouts: pl.DataFrame
    traces: pl.DataFrame | None = None
    step_labels: pl.DataFrame | None = None
    probes: pl.DataFrame | None = None
    trace_labels: pl.DataFrame | None = None
    critiques: pl.DataFrame | None = None
    code_seeds: pl.DataFrame | None = None
    executions: pl.DataFrame | None = None
    code_thoughts: pl.DataFrame | None = None
    code_tasks: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What an id stands for: the kind of thing, and its id in full."""

    kind: Kind
    id: str


def find(tables: Tables, text: str) -> Found:
    """Resolve an id or a beginning that only one id has; a rollout's journal key works as well.

    A probe is a rollout.

    Raises:
        ConfigError: if nothing or more than one thing is meant; lists candidates.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")  # a shell can pass any bytes
    for exact in (True, False):
        hits = (match for ids in _id_columns(tables) for match in ids.matches(text, exact=exact))
        matches = list(dict.fromkeys(hits))
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ConfigError(_ambiguous(text, matches))
    raise ConfigError(_unknown(tables, text))


def row_of(frame: pl.DataFrame, column: str, value: str) -> dict[str, Any]:
    """The first row that has ``value`` in ``column``.

    Raises:
        ConfigError: if there is none, because the tables come from different runs.
    """
    rows = frame.filter(pl.col(column) == value).head(1)
    if rows.is_empty():
        raise ConfigError(
            f"no row has {column}={value!r}, though another table refers to it; the tables are of "
            "different runs, so run the pipeline again"
        )
    return rows.row(0, named=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Ids:
    """One column of ids, with the column of the ids that they nest in and that of another name."""

    kind: Kind
    frame: pl.DataFrame
    column: str
    within: str | None = None
    alias: str | None = None

    def matches(self, text: str, *, exact: bool) -> Iterator[Found]:
        def hit(column: str) -> pl.Expr:
            return pl.col(column) == text if exact else pl.col(column).str.starts_with(text)

        condition = hit(self.column)
        if self.alias:
            condition |= hit(self.alias)
        if self.within:
            condition &= ~hit(self.within)
        hits = self.frame.filter(condition)[self.column].unique(maintain_order=True)
        return (Found(self.kind, id) for id in hits)


def _id_columns(tables: Tables) -> Iterator[_Ids]:
    yield _Ids("seed", tables.prefixes, "seed_id")
    yield _Ids("prefix", tables.prefixes, "prefix_id", within="seed_id")
    traces = tables.traces
    if tables.code_seeds is not None:
        yield _Ids("code seed", tables.code_seeds, "seed_id")
    if tables.code_thoughts is not None:
        yield _Ids("thought", tables.code_thoughts, "thought_id")
        traces = _without(traces, tables.code_thoughts["thought_id"])
    if tables.code_tasks is not None:
        yield _Ids("task", tables.code_tasks, "task_id", within="seed_id")
        traces = _without(traces, tables.code_tasks["task_id"])
    if traces is not None:
        yield _Ids("trace", traces, "trace_id")
    yield _Ids("node", tables.nodes, "node_id")
    for drawn in (tables.rollouts, tables.probes):
        if drawn is not None:
            yield _Ids("rollout", drawn, "rollout_id", within="prefix_id", alias="completion_key")


def _without(traces: pl.DataFrame | None, ids: pl.Series) -> pl.DataFrame | None:
    return None if traces is None else traces.filter(~pl.col("trace_id").is_in(ids.implode()))


def _ambiguous(text: str, matches: list[Found]) -> str:
    listed = ", ".join(f"{match.kind} {match.id!r}" for match in matches[:_MAX_CANDIDATES])
    more = ", …" if len(matches) > _MAX_CANDIDATES else ""
    return f"{text!r} could be any of {len(matches)} ids: {listed}{more}; write more of the id"


def _unknown(tables: Tables, text: str) -> str:
    message = f"no seed, prefix, trace, node, rollout, thought or task has the id {text!r}"
    ids = [frame["seed_id"] for frame in (tables.prefixes, tables.code_seeds) if frame is not None]
    seeds = pl.concat(ids).unique(maintain_order=True).head(_MAX_COMPARED).to_list()
    if not seeds:
        return f"{message}: the tables are empty; run `datagen run` first"
    near = get_close_matches(text, seeds, n=_MAX_CANDIDATES) or seeds[:_MAX_CANDIDATES]
    listed = ", ".join(map(repr, near))
    return f"{message}; seeds that exist are {listed}; give one, or any id that stands in a table"
