"""Statements put into words, as one would plan them before writing any code.

The wording is imperative on purpose ("set total to 0", not "total = 0"): a plan says what is to be
done, and must not read as a claim about a value.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Final

_CHANGES: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add {value} to {name}",
    ast.Sub: "take {value} from {name}",
    ast.Mult: "multiply {name} by {value}",
    ast.Div: "divide {name} by {value}",
    ast.FloorDiv: "divide {name} by {value}, rounding down",
    ast.Mod: "keep the remainder of {name} by {value}",
}

_BLOCKS: Final = (
    *(ast.For, ast.AsyncFor, ast.While, ast.If, ast.Try, ast.TryStar, ast.With, ast.AsyncWith),
    *(ast.Match, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)


def plan_of(function: ast.FunctionDef) -> tuple[str, ...]:
    """One phrase per top-level statement of the function's body."""
    return tuple(phrase for node in function.body for phrase in _phrases(node))


def _phrases(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(ast.Name(id=left), op, value)):
            if left == name and type(op) in _CHANGES:
                yield _changed(name, op, value)
            else:
                yield f"set {name} to {ast.unparse(node.value)}"
        case ast.Assign(targets=targets, value=value):
            names = " and ".join(ast.unparse(target) for target in targets)
            yield f"set {names} to {ast.unparse(value)}"
        case ast.AnnAssign(target=target, value=value):
            if value is not None:
                yield f"set {ast.unparse(target)} to {ast.unparse(value)}"
        case ast.AugAssign(target=target, op=op, value=value):
            yield _changed(ast.unparse(target), op, value)
        case ast.For() | ast.AsyncFor():
            items = ast.unparse(node.iter)
            yield f"for each {ast.unparse(node.target)} in {items}: {_joined(node.body)}"
            yield from _unbroken(node.orelse)
        case ast.While(test=test, body=body):
            yield f"as long as {ast.unparse(test)}: {_joined(body)}"
            yield from _unbroken(node.orelse)
        case ast.If(test=test, body=body, orelse=orelse):
            otherwise = f"; otherwise {_joined(orelse)}" if orelse else ""
            yield f"if {ast.unparse(test)}: {_joined(body)}{otherwise}"
        case ast.Return(value=value):
            yield "give back " + ("nothing" if value is None else ast.unparse(value))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="append"), args=[item])):
            yield f"append {ast.unparse(item)} to {ast.unparse(target)}"
        case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Global() | ast.Nonlocal():
            return
        case ast.Expr(value=ast.Yield(value=value)):
            yield "hand out " + ("nothing" if value is None else ast.unparse(value))
        case ast.Expr(value=ast.YieldFrom(value=value)):
            yield f"hand out each of {ast.unparse(value)}"
        case ast.Expr(value=value):
            yield f"do {ast.unparse(value)}"
        case ast.Break():
            yield "stop there"
        case ast.Continue():
            yield "go on with the next one"
        case ast.Raise(exc=error):
            yield "fail with " + ("that error" if error is None else ast.unparse(error))
        case ast.Assert(test=test):
            yield f"demand that {ast.unparse(test)}"
        case ast.Delete(targets=targets):
            yield "drop " + " and ".join(map(ast.unparse, targets))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield f"a helper {node.name}({ast.unparse(node.args)}): {_joined(node.body)}"
        case ast.ClassDef(name=name, bases=bases):
            of = " based on " + " and ".join(map(ast.unparse, bases)) if bases else ""
            yield f"a class {name}{of}: {_joined(node.body)}"
        case ast.With() | ast.AsyncWith():
            items = " and ".join(ast.unparse(item) for item in node.items)
            yield f"using {items}: {_joined(node.body)}"
        case ast.Try() | ast.TryStar():
            yield "; ".join(_attempt(node))
        case ast.Match(subject=subject, cases=cases):
            yield "; ".join([f"look at {ast.unparse(subject)}", *map(_case, cases)])
        case ast.Import(names=names):
            yield "use " + ", ".join(alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names):
            yield "use " + ", ".join(f"{module or ''}.{alias.name}" for alias in names)
        case _:
            yield f"do {ast.unparse(node)}"


def _unbroken(orelse: Sequence[ast.stmt]) -> Iterator[str]:
    if orelse:
        yield f"if that was never broken off: {_joined(orelse)}"


def _attempt(node: ast.Try | ast.TryStar) -> Iterator[str]:
    yield f"try this: {_joined(node.body)}"
    for handler in node.handlers:
        error = "" if handler.type is None else f" with {ast.unparse(handler.type)}"
        yield f"if it fails{error}: {_joined(handler.body)}"
    if node.orelse:
        yield f"if it does not fail: {_joined(node.orelse)}"
    if node.finalbody:
        yield f"in the end: {_joined(node.finalbody)}"


def _case(case: ast.match_case) -> str:
    match case:
        case ast.match_case(pattern=ast.MatchAs(pattern=None, name=None), guard=None):
            return f"otherwise {_joined(case.body)}"
        case _:
            pass
    guard = "" if case.guard is None else f" and {ast.unparse(case.guard)}"
    return f"if it is like {ast.unparse(case.pattern)}{guard}: {_joined(case.body)}"


def _changed(name: str, op: ast.operator, value: ast.expr) -> str:
    form = _CHANGES.get(type(op), "change {name} by {value}")
    return form.format(name=name, value=ast.unparse(value))


def _joined(body: Sequence[ast.stmt]) -> str:
    """The statements of a block; one that holds a block itself is bracketed if more follows."""
    told = [
        f"({phrase})" if isinstance(node, _BLOCKS) and node is not body[-1] else phrase
        for node in body
        for phrase in _phrases(node)
    ]
    return ", then ".join(told) or "do nothing"
