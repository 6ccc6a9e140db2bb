"""Calls with literal arguments, as text and as values by parameter.

Two calls are the same if they bind the same values, however they are spelled: ``f([1, 2])``,
``f( [1,2] )`` and ``f(xs=[1, 2])``.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datagen.code.execution import same_value


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose arguments are literals, each kept as ``repr``."""

    name: str
    positional: tuple[str, ...]
    keywords: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [*self.positional, *(f"{name}={value}" for name, value in self.keywords)]
        return f"{self.name}({', '.join(parts)})"


def parse_call(text: str) -> Call | None:
    """The call that ``text`` is, or ``None`` if it is anything but a call with literals."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return call_of(node)


def call_of(node: ast.expr) -> Call | None:
    """Like :func:`parse_call`, from the syntax tree."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    try:
        positional = tuple(repr(ast.literal_eval(arg)) for arg in node.args)
        keywords = tuple((k.arg or "", repr(ast.literal_eval(k.value))) for k in node.keywords)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return None
    return (
        None if any(not name for name, _ in keywords) else Call(node.func.id, positional, keywords)
    )


def parameters_of(function: ast.FunctionDef) -> tuple[str, ...]:
    """Names of the parameters that can be given one value each, in order."""
    args = function.args
    return tuple(arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs))


def bind(call: Call, function: ast.FunctionDef) -> Mapping[str, str] | None:
    """Argument values by parameter, defaults included.

    Returns:
        ``None`` if the call does not fit the function. ``*args`` stand under that name with the
        star; a default that is no literal is left out.
    """
    args = function.args
    ordered = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    values = _defaults(function)
    values.update(zip(ordered, call.positional, strict=False))
    spare = call.positional[len(ordered) :]
    if spare and args.vararg is None:
        return None
    if args.vararg is not None:
        values[f"*{args.vararg.arg}"] = f"({', '.join(spare)}{',' if len(spare) == 1 else ''})"
    for name, value in call.keywords:
        if name not in parameters_of(function) or name in ordered[: len(call.positional)]:
            return None
        values[name] = value
    missing = [name for name in required(function) if name not in values]
    return None if missing else values


def required(function: ast.FunctionDef) -> tuple[str, ...]:
    """Names of the parameters without a default."""
    args = function.args
    ordered = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    n_given = len(ordered) - len(args.defaults)
    keyword = [a.arg for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is None]
    return (*ordered[:n_given], *keyword)


def _defaults(function: ast.FunctionDef) -> dict[str, str]:
    args = function.args
    ordered = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    pairs: Sequence[tuple[str, ast.expr | None]] = [
        *zip(ordered[len(ordered) - len(args.defaults) :], args.defaults, strict=True),
        *zip([arg.arg for arg in args.kwonlyargs], args.kw_defaults, strict=True),
    ]
    values: dict[str, str] = {}
    for name, node in pairs:
        if node is not None:
            try:
                values[name] = repr(ast.literal_eval(node))
            except (ValueError, TypeError):
                continue
    return values


def call_with(function: ast.FunctionDef, given: Mapping[str, str]) -> Call | None:
    """The call that gives these values and leaves the rest at its default."""
    if any(name not in given for name in required(function)):
        return None
    positional: list[str] = []
    keywords: list[tuple[str, str]] = []
    n_keyword = len(function.args.kwonlyargs)
    names = parameters_of(function)
    for idx, name in enumerate(names):
        if name in given:
            in_order = len(positional) == idx < len(names) - n_keyword
            if in_order:
                positional.append(given[name])
            else:
                keywords.append((name, given[name]))
    return Call(function.name, tuple(positional), tuple(keywords))


def same_arguments(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
    """Whether two bindings give the same values to the same parameters."""
    return left.keys() == right.keys() and all(same_value(left[n], right[n]) for n in left)
