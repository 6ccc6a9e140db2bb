"""Finds example calls of a function: in its question, then in its tests.

The surprising fact: nothing is executed. A call is taken only if its arguments are literals, so
it means the same wherever it is run later, and it is written anew by the function's own name
(tests call it ``candidate``) and in one layout, so that equal calls are found to be equal.
"""

import ast
import doctest
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from datagen.seeds.code.parsing import parsed
from datagen.seeds.refusals import Refused
from schemas import MAX_CALL_CHARS, MAX_CALLS

CANDIDATE: Final = "candidate"
_RAISES: Final = ("raises", "assertRaises", "assertRaisesRegex")
_MAX_PARENTHESES: Final = 40


def calls_of(question: str, tests: str, entry_point: str) -> list[str]:
    """Up to ``MAX_CALLS`` different calls, in the order in which they are written.

    Calls that are shown to raise (doctests with a traceback, ``with raises(...)``) are left out.
    """
    found = (*_in_prose(question, entry_point), *_in_tests(tests, entry_point))
    return list(islice(dict.fromkeys(found), MAX_CALLS))


def given_calls(given: Iterable[str], entry_point: str) -> list[str]:
    """The calls that a source row lists itself, in one layout.

    Raises:
        Refused: if one is no such call, is listed twice or is too long, or there are too many.
    """
    calls: list[str] = []
    for text in given:
        node = parsed("calls", text).body
        value = node[0].value if len(node) == 1 and isinstance(node[0], ast.Expr) else None
        call = None if value is None else _written(value, entry_point)
        if call is None:
            raise Refused(
                "calls",
                "no literal call",
                f"calls has {text!r:.80}; write {entry_point}(…) with literal arguments, "
                f"at most {MAX_CALL_CHARS} characters",
                text,
            )
        if call in calls:
            raise Refused("calls", "duplicate", f"calls has {call!r:.80} twice; drop one", text)
        calls.append(call)
    if len(calls) > MAX_CALLS:
        raise Refused(
            "calls", "too many", f"calls has {len(calls)}; keep the best {MAX_CALLS}", calls
        )
    return calls


def _in_prose(text: str, entry_point: str) -> Iterator[str]:
    try:
        pieces = doctest.DocTestParser().parse(text)
    except ValueError:  # doctests of inconsistent layout
        pieces = [text]
    for piece in pieces:
        if isinstance(piece, str):
            yield from _in_words(piece, entry_point)
        elif piece.exc_msg is None:
            yield from _in_source(piece.source, entry_point)


def _in_words(text: str, entry_point: str) -> Iterator[str]:
    """Calls amid prose, such as ``f([1, 2]) ➞ 3``: from the name to the ``)`` that makes sense."""
    for match in re.finditer(rf"(?<!def )(?<![\w.]){re.escape(entry_point)}\(", text):
        reach = text[match.start() : match.start() + 2 * MAX_CALL_CHARS]
        ends = (found.end() for found in re.finditer(r"\)", reach))
        for end in islice(ends, _MAX_PARENTHESES):
            try:
                node = parsed("question", reach[:end]).body[0]
            except Refused:
                continue
            if isinstance(node, ast.Expr) and (call := _written(node.value, entry_point)):
                yield call
            break


def _in_tests(tests: str, entry_point: str) -> Iterator[str]:
    try:
        tree = parsed("tests", tests)
    except Refused:
        yield from _in_prose(tests, entry_point)
    else:
        yield from _in_tree(tree, entry_point)


def _in_source(source: str, entry_point: str) -> Iterator[str]:
    try:
        yield from _in_tree(parsed("tests", source), entry_point)
    except Refused:
        return


def _in_tree(tree: ast.AST, entry_point: str) -> Iterator[str]:
    """Calls in ``tree`` from its first line to its last."""
    if isinstance(tree, ast.With) and any(_expects_error(item) for item in tree.items):
        return
    if call := _written(tree, entry_point):
        yield call
    for child in ast.iter_child_nodes(tree):
        yield from _in_tree(child, entry_point)


def _expects_error(item: ast.withitem) -> bool:
    match item.context_expr:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _RAISES
        case _:
            return False


def _written(node: ast.AST, entry_point: str) -> str | None:
    """A call with literal arguments as text, by the entry point's name; ``None`` for the rest."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    if node.func.id not in (entry_point, CANDIDATE):
        return None
    if any(keyword.arg is None for keyword in node.keywords):
        return None
    try:
        for value in (*node.args, *(keyword.value for keyword in node.keywords)):
            ast.literal_eval(value)
        name = ast.Name(entry_point, ast.Load())
        text = ast.unparse(ast.Call(name, node.args, node.keywords))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return text if len(text) <= MAX_CALL_CHARS and text.isprintable() else None
