"""Python literals that a model wrote: where they stand, what they mean, which are equal.

Values are compared as Python does, with two differences that prediction asks for: ``True`` is not
1, and ``nan`` is ``nan``. Reading a value executes nothing.
"""

import ast
import math
import re
import warnings
from typing import Any, Final, cast

MAX_CHARS: Final = 20_000
"""Longer texts are no literal."""

_MAX_DEPTH: Final = 100
_NAMED: Final = {"inf": math.inf, "nan": math.nan}

_ATOM = re.compile(
    r"(?<![\w.])(?:None|True|False|(?:frozen)?set\(\)|[-+]?(?:inf|nan)\b"
    r"|[-+]?(?:0[xob][0-9a-fA-F_]+|(?:\d[\d_]*)?\.?\d[\d_]*\.?(?=\W|[eEj]|$)(?:[eE][-+]?\d+)?j?))"
    r"(?![\w])"
)
_STRING = re.compile(
    r"(?<![\w'\"])(?:[bB][rR]?|[rR][bB]?|[uU])?"
    r"(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\""
    r"|'(?:[^'\\\n]|\\.)*'(?!\w)|\"(?:[^\"\\\n]|\\.)*\"(?!\w))",
    re.DOTALL,
)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


def syntax_tree(code: str) -> ast.Module | None:
    """The tree of Python code, or ``None`` for whatever else there is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes and the like: not our code
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def literal_spans(text: str) -> list[str]:
    """The outermost literals of a text, in order, as far as they can be told by their shape."""
    spans: list[str] = []
    at = 0
    while at < len(text):
        if found := _STRING.match(text, at) or _ATOM.match(text, at):
            end = found.end()
            if text[end - 1] == ".":
                end -= 1  # the full stop of the sentence
        elif text[at] in _CLOSING:
            end = bracket_end(text, at)
            if end > 0 and syntax_tree(text[at:end]) is None:
                end = -1
        else:
            end = -1
        if end > at:
            spans.append(text[at:end])
            at = end
        else:
            at += 1
    return spans


def bracket_end(text: str, start: int) -> int:
    """Where a bracket closes, with regard to strings, or -1."""
    expected: list[str] = []
    at = start
    while at < len(text):
        if text[at] in "'\"":
            found = _STRING.match(text, at)
            at = found.end() if found else at + 1
            continue
        if text[at] in _CLOSING:
            expected.append(_CLOSING[text[at]])
        elif text[at] in ")]}":
            if not expected or text[at] != expected.pop():
                return -1
            if not expected:
                return at + 1
        at += 1
    return -1


def read_value(text: str) -> Any:
    """The value of a literal, ``inf``, ``nan`` and ``set()`` included.

    Raises:
        ValueError: if it is none.
    """
    return value_of(read_expression(text.strip()))


def read_expression(text: str) -> ast.expr:
    """The syntax tree of an expression.

    Raises:
        ValueError: if it is none, or too long or too deep to be parsed safely.
    """
    # Deeper nesting could end the interpreter inside its parser.
    depth = sum(text.count(mark) for mark in "([{-+~")
    if len(text) > MAX_CHARS or (depth > _MAX_DEPTH and _nesting(text) > _MAX_DEPTH):
        raise ValueError("too long or too deep")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"no literal: {error}") from None


def _nesting(text: str) -> int:
    depth = deepest = 0
    for mark in text:
        depth += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, depth)
    signs = max((len(run) for run in re.findall(r"[-+~\s]+", text)), default=0)
    return max(deepest, signs)


def value_of(node: ast.expr) -> Any:
    """The value of a literal's syntax tree.

    Raises:
        ValueError: if it is no literal.
    """
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.Name(id=name) if name in _NAMED:
            return _NAMED[name]
        case ast.List(elts=items):
            return [value_of(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(value_of(item) for item in items)
        case ast.Set(elts=items):
            return _hashed(lambda: {value_of(item) for item in items})
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(cast(list[ast.expr], keys), values, strict=True)
            return _hashed(lambda: {value_of(key): value_of(value) for key, value in pairs})
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as op, operand=operand):
            number = _number(operand)
            return -number if isinstance(op, ast.USub) else number
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            real, imaginary = _number(left), _number(right)
            if isinstance(real, complex) or not isinstance(imaginary, complex):
                raise ValueError("a sum is no literal")
            return real + imaginary if isinstance(op, ast.Add) else real - imaginary
        case ast.Call(func=ast.Name(id="set" | "frozenset" as name), args=args, keywords=[]):
            if len(args) > 1:
                raise ValueError(f"{name} takes one argument")
            items: Any = [value_of(arg) for arg in args]
            kind = set[Any] if name == "set" else frozenset[Any]
            return _hashed(lambda: kind(*items))
        case _:
            raise ValueError(f"{type(node).__name__} is no literal")


def _number(node: ast.expr) -> Any:
    value = value_of(node)
    if type(value) not in (int, float, complex):
        raise ValueError("no number")
    return value


def _hashed(make: Any) -> Any:
    try:
        return make()
    except TypeError as error:
        raise ValueError(str(error)) from None


def same_value(left: Any, right: Any) -> bool:
    """Whether two plain values are equal: 1 is 1.0, ``True`` is not 1, ``nan`` is ``nan``."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, list | tuple):
        items = cast(list[Any], left)
        others = cast(list[Any], right)
        return (
            type(items) is type(others)
            and len(items) == len(others)
            and all(map(same_value, items, others))
        )
    if isinstance(left, dict):
        entries = cast(dict[Any, Any], left)
        return (
            isinstance(right, dict)
            and _marked(entries) == _marked(cast(Any, right))
            and all(same_value(value, right[key]) for key, value in entries.items())
        )
    if isinstance(left, set | frozenset):
        return isinstance(right, set | frozenset) and _marked(left) == _marked(cast(Any, right))
    return left == right


def _marked(items: Any) -> set[tuple[Any, bool]]:
    return {(item, isinstance(item, bool)) for item in items}
