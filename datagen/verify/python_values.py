"""The verifiers ``python_output`` and ``python_input``: what a call returns, and what to call.

Values are compared as Python does, with two differences that prediction asks for: ``True`` is not
1, and ``nan`` is ``nan``. A predicted input is model-written, so nothing but literals is taken
from it: the call that runs is built anew.
"""

import ast
import math
import re
from typing import Any, Final, cast

from datagen.verify.gold import read_gold
from datagen.verify.programs import bracket_end, literal_spans
from datagen.verify.sandbox import default_sandbox
from datagen.verify.verdict import Verdict, correct, shown, unverifiable, wrong

_MAX_CHARS: Final = 20_000
_MAX_DEPTH: Final = 100
_NAMED: Final = {"inf": math.inf, "nan": math.nan}


def read_value(text: str) -> Any:
    """The value of a literal, ``inf``, ``nan`` and ``set()`` included.

    Raises:
        ValueError: if it is none.
    """
    return _value(_parse(text.strip()))


def _parse(text: str) -> ast.expr:
    # Deeper nesting could end the interpreter inside its parser.
    depth = sum(text.count(mark) for mark in "([{-+~")
    if len(text) > _MAX_CHARS or (depth > _MAX_DEPTH and _nesting(text) > _MAX_DEPTH):
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


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.Name(id=name) if name in _NAMED:
            return _NAMED[name]
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return _hashed(lambda: {_value(item) for item in items})
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(cast(list[ast.expr], keys), values, strict=True)
            return _hashed(lambda: {_value(key): _value(value) for key, value in pairs})
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
            items: Any = [_value(arg) for arg in args]
            kind = set[Any] if name == "set" else frozenset[Any]
            return _hashed(lambda: kind(*items))
        case _:
            raise ValueError(f"{type(node).__name__} is no literal")


def _number(node: ast.expr) -> Any:
    value = _value(node)
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


def python_output(answer_text: str, gold: str, /) -> Verdict:
    """Compare two Python literals by value."""
    try:
        expected = read_value(gold)
    except ValueError:
        return unverifiable(answer_text, f"the gold answer {shown(gold)} is no Python literal")
    try:
        answer = read_value(answer_text)
    except ValueError:
        return unverifiable(answer_text, f"{shown(answer_text)} is no Python literal")
    if same_value(answer, expected):
        return correct(answer_text, "equal values")
    return wrong(answer_text, f"{shown(answer_text)} is not {shown(gold)}")


def _read(gold: str) -> dict[str, Any] | str:
    return read_gold(gold, required={"code": str, "entry_point": str, "output": str})


def read_call(text: str, entry_point: str) -> str | None:
    """The call that an answer names, built of its literals alone, or ``None``.

    Read are ``f([1], k=2)`` anywhere (the last one), and an argument list such as ``[1], 2``.
    """
    text = text.strip().strip("`").strip()
    candidates = [f"{entry_point}{spot}" for spot in _after_name(text, entry_point)]
    candidates += [f"{entry_point}({text})"]
    candidates += [f"{entry_point}({line.strip().strip('`')})" for line in text.split("\n")[-1:]]
    candidates += [f"{entry_point}({span})" for span in literal_spans(text)[-1:]]
    for candidate in candidates:
        try:
            node = _parse(candidate)
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                _value(value)
            if all(keyword.arg for keyword in node.keywords) and node.func.id == entry_point:
                return ast.unparse(node)
        except ValueError:
            continue
    return None


def _after_name(text: str, entry_point: str) -> list[str]:
    """The argument lists, with brackets, behind each mention of the name; last first."""
    found: list[str] = []
    for mention in re.finditer(rf"\b{re.escape(entry_point)}(?=\()", text):
        end = bracket_end(text, mention.end())
        found += [text[mention.end() : end]] if end > 0 else []
    return found[::-1]


class PythonInputVerifier:
    """Runs the predicted call of ``{"code": …, "entry_point": …, "output": repr}``."""

    def __call__(self, answer_text: str, gold: str, /) -> Verdict:
        """Judge a call, or its arguments."""
        fields = _read(gold)
        if isinstance(fields, str):
            return unverifiable(answer_text, fields)
        name, output = fields["entry_point"], fields["output"]
        call = read_call(answer_text[:_MAX_CHARS], name)
        if call is None:
            reason = f"{shown(answer_text)} holds no call of {name} with literal arguments"
            return unverifiable(answer_text, reason)
        function, result = default_sandbox().evaluate(fields["code"], [name, call])
        if function.value is None:
            return unverifiable(answer_text, f"the gold code has no {name}: {function.error}")
        if result.value is None:
            return wrong(answer_text, f"{shown(call)} gave no value: {result.error}")
        if result.value == output or _same_repr(result.value, output):
            return correct(answer_text, f"{shown(call)} returns the output")
        return wrong(answer_text, f"{shown(call)} returned {shown(result.value)}")

    def gold_is_parseable(self, gold: str) -> bool:
        """Whether the gold answer is an object with the keys that are needed."""
        return not isinstance(_read(gold), str)


def _same_repr(left: str, right: str) -> bool:
    try:
        return same_value(read_value(left), read_value(right))
    except ValueError:
        return False
