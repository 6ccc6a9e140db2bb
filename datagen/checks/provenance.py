"""Checks that every row leads back to a seed of the shard: no id points into nothing.

The surprising fact: only columns of ids are read, and what leads where is data. So the check costs
little on the largest tables, and a new table is one more line.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from datagen.checks.finding import Finding

Column = tuple[str, str]
"""A table and one of its columns."""

Links = Mapping[Column, Sequence[Column]]
"""Column of ids → the columns in one of which each of them must be; null leads nowhere."""

_SEEDS: Final = (("seeds", "seed_id"), ("code_seeds", "seed_id"))
_TRACES: Final = (("traces", "trace_id"),)

TRACE_LINKS: Final[Links] = {
    ("prefixes", "seed_id"): (("seeds", "seed_id"),),
    ("executions", "seed_id"): (("code_seeds", "seed_id"),),
    ("code_tasks", "seed_id"): (("code_seeds", "seed_id"),),
    ("code_thoughts", "seed_id"): (("code_seeds", "seed_id"),),
    ("nodes", "prefix_id"): (("prefixes", "prefix_id"),),
    ("rollouts", "prefix_id"): (("prefixes", "prefix_id"),),
    ("rollouts", "node_id"): (("nodes", "node_id"),),
    # The walk to a foretold result has its task as its seed.
    ("traces", "seed_id"): (*_SEEDS, ("code_tasks", "task_id")),
    ("traces", "rollout_id"): (("rollouts", "rollout_id"),),
    ("traces", "node_id"): (("nodes", "node_id"),),
}
"""From traces to seeds."""

LABEL_LINKS: Final[Links] = {
    ("measured_traces", "trace_id"): _TRACES,
    ("critiques", "trace_id"): _TRACES,
    ("probes", "prefix_id"): (("prefixes", "prefix_id"), ("traces", "prefix_id")),
    ("step_labels", "trace_id"): _TRACES,
    ("trace_labels", "trace_id"): (("measured_traces", "trace_id"),),
}
"""From labels to traces."""

LAST_LINKS: Final[Links] = {
    ("questions", "seed_id"): _SEEDS,
    ("rubric_rewards", "rollout_id"): (("rollouts", "rollout_id"),),
    ("rejected_traces", "id"): _TRACES,
    ("tags", "trace_id"): _TRACES,
    ("corrections", "right_trace_id"): (*_TRACES, ("probes", "rollout_id")),
    ("summaries", "trace_id"): (*_TRACES, ("corrections", "trace_id")),
}
"""From all that is made beside and after them."""

_MAX_EXAMPLES: Final = 3


def columns_of(links: Links) -> dict[str, tuple[str, ...]]:
    """The columns that :func:`provenance` reads, by table, in the order of the links."""
    found: dict[str, dict[str, None]] = {}
    for source, targets in links.items():
        for table, column in (source, *targets):
            found.setdefault(table, {})[column] = None
    return {table: tuple(columns) for table, columns in found.items()}


def provenance(tables: Mapping[str, pl.DataFrame], links: Links) -> Finding:
    """Whether all ids lead somewhere.

    Args:
        tables: those of :func:`columns_of`, with these columns at least.
        links: which column leads where.
    """
    problems: list[str] = []
    n_ids = 0
    for (table, column), targets in links.items():
        ids = tables[table][column].drop_nulls().unique()
        n_ids += len(ids)
        known = pl.concat([tables[name][key] for name, key in targets])
        lost = ids.filter(~ids.is_in(known.implode())).sort()
        if len(lost):
            where = " or ".join(f"{name}.{key}" for name, key in targets)
            some = ", ".join(map(repr, lost.head(_MAX_EXAMPLES)))
            problems.append(f"{len(lost):,} of {table}.{column} are not in {where}, as {some}")
    detail = f"all {n_ids:,} ids of {len(links)} columns are where they lead to"
    if problems:
        detail = (
            f"{'; '.join(problems)}: tables of different runs stand side by side; materialise "
            "again what comes after the table that was made last"
        )
    return Finding("provenance", not problems, detail, {"ids": n_ids, "lost": len(problems)})
