"""Counts the assertions that tests execute, and says why the last one did not hold."""

# pyright: basic

import ast

from .proxies import Solution, shown

COUNTER = "__checks__"
"""The name under which rewritten assertions find the :class:`Checks`."""


class Checks:
    """What rewritten assertions call; counts them and keeps the reason of the last failure."""

    def __init__(self, solution: Solution) -> None:
        """Look up in ``solution`` which call gave the value that was compared."""
        self._solution = solution
        self.n = 0
        self.reason = ""

    def equal(self, source: str, left, right):
        """Stands for ``left == right``."""
        self.n += 1
        same = left == right
        if not same:
            text, value = self._solution.last
            if text and value is left and value is not right:
                self.reason = f"{text} returned {shown(left)}, not {shown(right)}"
            else:
                self.reason = f"{source}: {shown(left)} is not {shown(right)}"
        return same

    def true(self, source: str, value):
        """Stands for any other condition."""
        self.n += 1
        if not value:
            text, returned = self._solution.last
            after = f" ({text} returned {shown(returned)})" if text else ""
            self.reason = f"{source} is false{after}"
        return value


class Counted(ast.NodeTransformer):
    """Sends the condition of each ``assert`` through :class:`Checks`."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        """Rewrite the condition."""
        test = node.test
        source = " ".join(ast.unparse(node).split())
        source = source if len(source) <= 160 else source[:159] + "…"
        kind, parts = "true", [test]
        if isinstance(test, ast.Compare) and [type(op) for op in test.ops] == [ast.Eq]:
            kind, parts = "equal", [test.left, test.comparators[0]]
        counter = ast.Attribute(ast.Name(COUNTER, ast.Load()), kind, ast.Load())
        node.test = ast.Call(counter, [ast.Constant(source), *parts], [])
        return node
