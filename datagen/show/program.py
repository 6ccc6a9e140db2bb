"""A program as a listing, with what a run of it did.

A wide console has the two side by side, a narrow one has them one below the other.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from datagen.show.lookup import Tables
from datagen.show.styles import field_table, paragraph, verbatim

_WIDE: Final = 100
"""Columns from which on a program and its run stand side by side."""


def asked(tables: Tables, row: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The question, and the program with its run."""
    yield field_table([("question", paragraph(row["question"]))])
    yield Text()
    program = listing("program", row["code"])
    runs = rows_of_seed(tables.executions, row["seed_id"])
    if runs:
        call, *lines = map(verbatim, runs[0]["run"].splitlines() or [runs[0]["call"]])
        yield _Beside(program, Text("\n").join([Text(f"run of {call}", "dim"), *map(Text, lines)]))
    else:
        yield program


def listing(title: str, code: str) -> Table:
    """Code under its line numbers, which are those of the table whatever a line holds."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("", Text(title, style="dim"))
    for number, line in enumerate(code.rstrip("\n").split("\n"), start=1):
        table.add_row(str(number), Text(verbatim(line)))
    return table


def rows_of_seed(frame: pl.DataFrame | None, seed_id: str) -> list[dict[str, Any]]:
    """The rows of one seed; none before the table is made."""
    return [] if frame is None else frame.filter(pl.col("seed_id") == seed_id).to_dicts()


class _Beside:
    """Two parts side by side where there is room, else one below the other."""

    def __init__(self, left: RenderableType, right: RenderableType) -> None:
        self._parts = left, right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what fits the width."""
        if options.max_width < _WIDE:
            left, right = self._parts
            yield from (left, Text(), right)
        else:
            grid = Table.grid(padding=(0, 4, 0, 0))
            grid.add_column(overflow="fold")
            grid.add_column(overflow="fold")
            grid.add_row(*self._parts)
            yield grid
