"""Makes a pytest module the tests of one function, wherever the function's code stands.

The surprising fact: the import of the tested module is taken out, and the names that it brought
are written plainly (``primes.is_prime(7)`` becomes ``is_prime(7)``). The tests run in a place that
has the function but no such module, and a function written anew must take the old one's place.
"""

import ast
from collections.abc import Iterator

from datagen.seeds.code.edits import Edit, edited
from datagen.seeds.code.parsing import parsed


def tests_without_import(source: str, module: str) -> str | None:
    """The text of a test module that no longer imports ``module``; ``None`` if it never did.

    Args:
        source: text of the test module.
        module: name of the tested module, without its package.

    Raises:
        Refused: if the source is no Python.
    """
    tree = parsed("tests", source)
    edits: list[Edit] = []
    renames: dict[str, str] = {}  # local name -> name in the module
    prefixes: set[str] = set()  # names of the module itself, such as "pkg.primes"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.ImportFrom) and _last(node.module) == module:
            renames |= {alias.asname: alias.name for alias in node.names if alias.asname}
            edits.append((node, _replacement(node, source)))
        elif brought := [alias for alias in node.names if _last(alias.name) == module]:
            prefixes |= {alias.asname or alias.name for alias in brought}
            node.names = [alias for alias in node.names if alias not in brought]
            edits.append((node, ast.unparse(node) if node.names else _replacement(node, source)))
    if not edits:
        return None
    edits += _plain_names(tree, renames, prefixes)
    return edited(source, edits).strip() + "\n"


def mentions(source: str, name: str) -> bool:
    """Whether ``source`` uses ``name`` as a name, not just in words."""
    return any(
        isinstance(node, ast.Name) and node.id == name for node in ast.walk(parsed("tests", source))
    )


def _plain_names(node: ast.AST, renames: dict[str, str], prefixes: set[str]) -> Iterator[Edit]:
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in prefixes:
        yield node, node.attr
    elif isinstance(node, ast.Name) and node.id in renames:
        yield node, renames[node.id]
    else:
        for child in ast.iter_child_nodes(node):
            yield from _plain_names(child, renames, prefixes)


def _replacement(node: ast.stmt, source: str) -> str:
    """Nothing for a statement that has its lines to itself, else one that does nothing."""
    last_line = source.split("\n")[(node.end_lineno or node.lineno) - 1]
    alone = node.col_offset == 0 and node.end_col_offset == len(last_line.rstrip().encode())
    return "" if alone else "pass"


def _last(dotted: str | None) -> str:
    return (dotted or "").rpartition(".")[2]
