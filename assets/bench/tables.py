"""How benchmarks show figures on the terminal."""

from rich.table import Table


def figures_table(title: str, first: str, *others: str) -> Table:
    """An empty table of figures.

    Args:
        title: above it; empty: none.
        first: heading of the column that says what a row is.
        others: those of the figures, which are set to the right.
    """
    table = Table(title=title or None, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
