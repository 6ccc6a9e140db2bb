"""Draw whatever an id stands for, be it about words or about code.

The drawing adapts to the console that prints it, so there is no width to pass.
"""

from collections.abc import Iterator

import polars as pl
from rich.console import Group, RenderableType

from datagen.show.code import code_seed, task, thought
from datagen.show.lookup import Tables, find
from datagen.show.search import question, search, subtree
from datagen.show.trace import rollout, trace
from datagen.show.tree import legend


def draw_tree(tables: Tables, id: str, *, rollouts: bool = False) -> Group:
    """Draw what ``id`` stands for.

    Args:
        tables: the tables of one run.
        id: a ``seed_id``, ``prefix_id``, ``trace_id``, ``node_id``, ``rollout_id``,
            ``thought_id`` or ``task_id``, or the beginning that only one of them has.
        rollouts: whether trees also list the text of every rollout drawn from each state.

    Returns:
        A renderable for ``rich.console.Console.print``, readable from 80 columns on.

    Raises:
        ConfigError: if the id is unknown or ambiguous.
    """
    return Group(*_parts(tables, id, rollouts=rollouts))


def _parts(tables: Tables, id: str, *, rollouts: bool) -> Iterator[RenderableType]:
    found = find(tables, id)
    match found.kind:
        case "seed" | "prefix":
            column = f"{found.kind}_id"
            prefixes = tables.prefixes.filter(pl.col(column) == found.id).sort("n_steps").to_dicts()
            yield question(tables, prefixes[0])
            for prefix in prefixes:
                yield from search(tables, prefix, rollouts=rollouts)
            yield from legend()
        case "node":
            yield from subtree(tables, found.id)
            yield from legend()
        case "trace":
            yield from trace(tables, found.id)
        case "rollout":
            yield from rollout(tables, found.id)
        case "code seed":
            yield from code_seed(tables, found.id)
        case "thought":
            yield from thought(tables, found.id)
        case "task":
            yield from task(tables, found.id)
