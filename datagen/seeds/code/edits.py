"""Cuts pieces out of Python source by their syntax nodes, and leaves all the rest as written."""

import ast
from collections.abc import Iterable
from itertools import accumulate

Edit = tuple[ast.stmt | ast.expr, str]
"""A node of the tree of a source, and what to write in its place."""


def edited(source: str, edits: Iterable[Edit]) -> str:
    """``source`` with each node replaced; the nodes must not overlap."""
    data = source.encode()  # the columns of syntax nodes count bytes
    starts = [0, *accumulate(len(line) + 1 for line in data.split(b"\n"))]
    spans = sorted((*_span(node, starts), text) for node, text in edits)
    for start, end, text in reversed(spans):
        data = data[:start] + text.encode() + data[end:]
    return data.decode()


def without_main(source: str, tree: ast.Module) -> str:
    """``source`` without its ``if __name__ == "__main__"`` blocks."""
    blocks = [node for node in tree.body if isinstance(node, ast.If) and _asks_for_main(node.test)]
    return edited(source, [(node, "") for node in blocks]).rstrip() + "\n"


def _asks_for_main(test: ast.expr) -> bool:
    return ast.unparse(test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _span(node: ast.stmt | ast.expr, starts: list[int]) -> tuple[int, int]:
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
    return starts[node.lineno - 1] + node.col_offset, starts[end_line - 1] + end_column
