"""What happened when a function was called: values line by line, loops iteration by iteration.

An :class:`Execution` is the tracer's record made readable. The unit that thoughts speak of is the
*end of an iteration*: whatever way an iteration is left (back to the loop's head, by ``break``, by
``return``), the variables' values at that moment are its state. Only outermost loops of the called
function are told apart; what an inner loop did shows in the state after the outer iteration.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, cast

from datagen.code.tracer import ELIDED, normalised, trace_call

State = Mapping[str, str]
"""Variable name -> ``repr`` of its value, or :data:`~datagen.code.tracer.ELIDED`."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of a traced function; ``returned`` is ``None`` if it did not come to its end."""

    name: str
    parent: int | None
    arguments: State
    returned: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """The point before ``line`` runs (or the frame's end), and what has changed since the last."""

    frame: int
    line: int
    kind: Literal["line", "return"]
    changes: State


@dataclass(frozen=True, slots=True)
class Loop:
    """An outermost loop of the called function.

    Attributes:
        line: of its head, 1-based in the normalised code.
        last_line: of its body.
        names: variables that head and body assign, in order of appearance.
    """

    line: int
    last_line: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoopRun:
    """A loop as it ran: the state at the end of each iteration, ``(n_iterations,)``."""

    loop: Loop
    iterations: tuple[State, ...]


@dataclass(frozen=True)
class Execution:
    """One traced call.

    Attributes:
        code: the normalised code, whose lines the moments count.
        call: the call as an expression.
        frames: calls of traced functions in order of entry.
        moments: in order of time, over all frames.
        returned: the value, elided, or ``None`` if it raised or was cut off.
        raised: type and message of the exception that ended it.
        complete: ``False`` if it was cut off because it took too many steps.
    """

    code: str
    call: str
    frames: tuple[Frame, ...]
    moments: tuple[Moment, ...]
    returned: str | None
    raised: str | None
    complete: bool

    @cached_property
    def root(self) -> int | None:
        """Index of the frame of the call itself; ``None`` if no traced function was entered."""
        roots = [idx for idx, frame in enumerate(self.frames) if frame.parent is None]
        return roots[-1] if roots else None

    @property
    def arguments(self) -> State:
        """The call's arguments by parameter name."""
        return {} if self.root is None else self.frames[self.root].arguments

    @cached_property
    def own_moments(self) -> tuple[Moment, ...]:
        """The moments of the call itself."""
        return tuple(moment for moment in self.moments if moment.frame == self.root)

    @cached_property
    def history(self) -> Mapping[str, tuple[str, ...]]:
        """All values that each variable of the call itself ever had, in order."""
        values: dict[str, list[str]] = {n: [v] for n, v in self.arguments.items()}
        for moment in self.own_moments:
            for name, value in moment.changes.items():
                values.setdefault(name, []).append(value)
        return {name: tuple(had) for name, had in values.items()}

    @cached_property
    def inner_calls(self) -> tuple[Frame, ...]:
        """Finished calls that the call itself led to, in order of entry."""
        return tuple(f for f in self.frames if f.parent is not None and f.returned is not None)

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Outermost loops of the called function, in order of the code."""
        if self.root is None:
            return ()
        function = function_of(self.code, self.frames[self.root].name)
        return tuple(_loops(function.body)) if function else ()

    @cached_property
    def loop_runs(self) -> tuple[LoopRun, ...]:
        """The loops that were reached, in order of the code."""
        runs = ((loop, self._iterations(loop)) for loop in self.loops)
        return tuple(LoopRun(loop, states) for loop, states in runs if states is not None)

    def _iterations(self, loop: Loop) -> tuple[State, ...] | None:
        state = dict(self.arguments)
        ends: list[State] = []
        reached = within = False
        for moment in self.own_moments:
            state.update(moment.changes)
            in_body = moment.kind == "line" and loop.line < moment.line <= loop.last_line
            if within and not in_body:
                ends.append(dict(state))
                within = False
            elif in_body:
                within = True
            reached = reached or moment.line == loop.line
        if within:  # cut off in the middle
            ends.append(dict(state))
        return tuple(ends) if reached else None


def function_of(code: str, name: str) -> ast.FunctionDef | None:
    """The definition of ``name`` in ``code``: the last at top level, or else the last anywhere."""
    tree = ast.parse(code)
    for nodes in (tree.body, ast.walk(tree)):
        found = [n for n in nodes if isinstance(n, ast.FunctionDef) and n.name == name]
        if found:
            return found[-1]
    return None


def _loops(body: Sequence[ast.stmt]) -> Iterator[Loop]:
    for node in body:
        if isinstance(node, ast.For | ast.While):
            parts: list[ast.AST] = [node.target] if isinstance(node, ast.For) else []
            names = dict.fromkeys(n for part in [*parts, *node.body] for n in _assigned(part))
            yield Loop(node.lineno, node.body[-1].end_lineno or node.lineno, tuple(names))
            yield from _loops(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    yield from _loops([child])
                elif isinstance(child, ast.ExceptHandler | ast.match_case):
                    yield from _loops(child.body)


_MUTATORS: Final = frozenset(
    {
        *("append", "extend", "insert", "add", "update", "setdefault"),
        *("pop", "popitem", "remove", "discard", "clear", "sort", "reverse"),
        *("difference_update", "intersection_update", "symmetric_difference_update"),
    }
)


def _assigned(node: ast.AST) -> Iterator[str]:
    """Names that ``node`` binds, or whose list or dict it changes; comprehensions keep theirs."""
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
        return
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()):
            yield from _changed(value)
        case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in _MUTATORS:
            yield from _changed(value)
        case _:
            pass
    for child in ast.iter_child_nodes(node):
        yield from _assigned(child)


def _changed(node: ast.expr) -> Iterator[str]:
    """The variable whose value ``node`` is, or is inside of: ``grid`` of ``grid[0][1]``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def executions_of(code: str, traces: Sequence[Mapping[str, Any]]) -> tuple[Execution, ...]:
    """The tracer's replies for calls of ``code``, made readable."""
    source = normalised(code)
    return tuple(
        Execution(
            source,
            trace["call"],
            tuple(
                Frame(f["name"], f["parent"], f["arguments"], f.get("returned"))
                for f in trace["frames"]
            ),
            tuple(
                Moment(frame, line, kind, changes)
                for frame, line, kind, changes in trace["moments"]
            ),
            trace["returned"],
            trace["raised"],
            trace["complete"],
        )
        for trace in traces
    )


def trace_trusted(code: str, calls: Sequence[str]) -> tuple[Execution, ...]:
    """Trace calls in this very process. For code of our own only; other code: the sandbox."""
    return executions_of(code, [trace_call(code, call) for call in calls])


def is_known(value: str | None) -> bool:
    """Whether there is a value, and it was not elided."""
    return value is not None and value != ELIDED


def same_value(left: str, right: str) -> bool:
    """Whether two ``repr`` texts stand for equal plain data.

    ``True`` is not 1, nan is nan, and floats may differ by rounding, within lists and tuples too.
    """
    if left == right:
        return True
    try:
        return _same(ast.literal_eval(left), ast.literal_eval(right))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def _same(a: Any, b: Any) -> bool:
    if type(a) is type(b) and isinstance(a, list | tuple):
        items = zip(cast(Sequence[Any], a), cast(Sequence[Any], b), strict=False)
        return len(cast(Sequence[Any], a)) == len(b) and all(_same(x, y) for x, y in items)
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, float) or isinstance(b, float):
        try:
            return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))
        except (TypeError, OverflowError):
            return False
    return bool(a == b)
