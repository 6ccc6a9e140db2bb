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

_BLOCKS: Final = (ast.For, ast.While, ast.If, ast.Try, ast.FunctionDef)


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
        case ast.For(target=target, iter=items, body=body):
            yield f"for each {ast.unparse(target)} in {ast.unparse(items)}: {_joined(body)}"
            if node.orelse:
                yield f"if that was never broken off: {_joined(node.orelse)}"
        case ast.While(test=test, body=body):
            yield f"as long as {ast.unparse(test)}: {_joined(body)}"
        case ast.If(test=test, body=body, orelse=orelse):
            otherwise = f"; otherwise {_joined(orelse)}" if orelse else ""
            yield f"if {ast.unparse(test)}: {_joined(body)}{otherwise}"
        case ast.Return(value=value):
            yield "give back " + ("nothing" if value is None else ast.unparse(value))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="append"), args=[item])):
            yield f"append {ast.unparse(item)} to {ast.unparse(target)}"
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            return
        case ast.Expr(value=value):
            yield f"do {ast.unparse(value)}"
        case ast.Break():
            yield "stop there"
        case ast.Continue():
            yield "go on with the next one"
        case ast.Raise(exc=error):
            yield "raise " + ("it again" if error is None else ast.unparse(error))
        case ast.Assert(test=test):
            yield f"demand that {ast.unparse(test)}"
        case ast.FunctionDef():
            yield f"a helper {node.name}({ast.unparse(node.args)}): {_joined(node.body)}"
        case ast.Try(body=body, handlers=handlers):
            failed = "; ".join(_joined(handler.body) for handler in handlers)
            yield f"try this: {_joined(body)}; if it fails: {failed}"
        case ast.Import() | ast.ImportFrom():
            yield "use " + ", ".join(alias.name for alias in node.names)
        case _:
            yield f"do {' '.join(ast.unparse(node).split())}"


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
