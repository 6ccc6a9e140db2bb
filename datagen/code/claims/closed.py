"""Evaluates closed expressions such as ``4 + 16`` or ``len('ab') * 2`` safely, and compares values.

Everything is bounded before it is computed, so ``9 ** 9 ** 9`` is refused rather than tried. The
arithmetic of word problems (:mod:`datagen.judge.arithmetic`) does not serve here: there ``%`` is
percent, and there are no strings, no ``//`` and no lists.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable
from typing import Any, Final

from datagen.code.claims.tokens import literal_value
from datagen.code.execution import same_value

_MAX_SIZE: Final = 2_000
_MAX_BITS: Final = 4_096
_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
# Not round(): its second argument can make it compute a power of any size.
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    f.__name__: f for f in (abs, len, max, min, sum, sorted, ord, chr)
}
_ERRORS: Final = (
    ValueError, TypeError, ArithmeticError, LookupError, SyntaxError, MemoryError, RecursionError,
)  # fmt: skip


def evaluate(text: str) -> Any:
    """The value of a closed expression.

    Raises:
        ValueError: if it has names, is undefined, too large, or of a kind that is not read here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _value(ast.parse(text.strip(), mode="eval").body)
    except _ERRORS as error:
        raise ValueError(f"{text[:80]!r} is no closed expression that can be evaluated") from error


def is_closed(text: str) -> bool:
    """Whether :func:`evaluate` can tell the value of ``text``."""
    try:
        evaluate(text)
    except ValueError:
        return False
    return True


def _value(node: ast.expr) -> Any:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left), _value(right)
            if isinstance(op, ast.Mod) and isinstance(a, str | bytes):
                raise ValueError("formatting")
            _refuse_large(op, a, b)
            return _BINARY[type(op)](a, b)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
            value = _value(operand)
            return -value if isinstance(op, ast.USub) else +value
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_value(part) for part in (left, *others)]
            return all(
                _COMPARE[type(op)](a, b)
                for op, a, b in zip(ops, values[:-1], values[1:], strict=True)
            )
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(arg) for arg in args))
        case ast.Subscript(value=value, slice=index) if not isinstance(index, ast.Slice):
            return _value(value)[_value(index)]
        case _:
            return ast.literal_eval(node)


def _refuse_large(op: ast.operator, a: Any, b: Any) -> None:
    for value in (a, b):
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise ValueError("too large")
    if isinstance(op, ast.Pow) and (
        not isinstance(a, int | float)
        or not isinstance(b, int | float)
        or abs(b) * max(1, math.log2(abs(a) + 1)) > _MAX_BITS
    ):
        raise ValueError("too large a power")
    for sequence, times in ((a, b), (b, a)):
        if (
            isinstance(op, ast.Mult)
            and isinstance(sequence, str | bytes | list | tuple)
            and isinstance(times, int)
            and len(sequence) * times > _MAX_SIZE
        ):
            raise ValueError("too long a sequence")


def agrees(claimed: str, actual: str) -> bool:
    """Whether a written literal may stand for ``actual``: equal, or its decimals are rounded."""
    if same_value(claimed, actual) or (claimed, actual) == ("{}", "set()"):
        return True
    try:
        a, b = literal_value(claimed), literal_value(actual)
    except ValueError:
        return False
    return isinstance(a, float) and isinstance(b, float | int) and _rounds(claimed, a, float(b))


def equation_holds(expression: str, claimed: str) -> bool | None:
    """Whether ``expression = claimed``; ``None`` if that may be read in several ways.

    Integers are compared exactly, others to one part in a million or as rounded decimals. Somebody
    who writes ``7 / 2 = 3`` may mean whole division.
    """
    try:
        value, said = evaluate(expression), literal_value(claimed)
    except ValueError:
        return None
    numbers = isinstance(value, int | float) and isinstance(said, int | float)
    if numbers and isinstance(value, float):
        if not math.isfinite(value):
            return None
        if math.isclose(value, said, rel_tol=1e-6, abs_tol=1e-12):
            return True
        if isinstance(said, int):
            return None if abs(value - said) < 1 else False
        return _rounds(claimed, said, value)
    return agrees(claimed, repr(value))


def _rounds(text: str, said: float, value: float) -> bool:
    """Whether ``text``, a decimal, is ``value`` to the decimals that are written."""
    decimals = len(text.partition(".")[2])
    if "e" in text.lower() or "_" in text or not decimals or not math.isfinite(value):
        return False
    return abs(said - value) <= 0.5 * 10.0**-decimals + 1e-12 * abs(value)
