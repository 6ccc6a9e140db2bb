"""Runs calls of a function and records each variable's value line by line; a script, stdlib only.

It is run by path inside the sandbox (one JSON request on stdin, one JSON reply on stdout), and
imported where the code is our own. Tracing uses :func:`sys.settrace`, which every supported Python
has (``sys.monitoring`` came with 3.12). Ready-made tracers (snoop, hunter, birdseye) print for
people, bring packages into the sandbox, and do not bound what they record.

A line event comes *before* its line runs, so the changes that an event carries were made by the
line before it. Values are kept as ``repr``, and only those of plain data: what
``ast.literal_eval`` reads back, infinities, nan and frozen sets. Anything else, and whatever is too
long, is elided. No method of a traced object is ever called.
"""

import ast
import contextlib
import itertools
import json
import opcode
import os
import sys
from types import CodeType, FrameType, GeneratorType
from typing import Any, Final

ELIDED: Final = "…"
"""Stands for a value that was too long, or is no plain data."""

FILE: Final = "<traced>"

MAX_EVENTS: Final = 4000
MAX_CHARS: Final = 160
_MAX_ITEMS: Final = 80
_MAX_DEPTH: Final = 5
_MAX_BITS: Final = 4 * MAX_CHARS
_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes)
# Flags of code objects, in the order of the language's documentation (module inspect).
_FUNCTION, _VARARGS, _VARKEYWORDS, _GENERATOR = 0x1, 0x4, 0x8, 0x20


class _Enough(BaseException):
    """Stops a run that made more events than are kept; no program catches it by accident."""


def normalised(code: str) -> str:
    """``code`` with one statement a line, no comments and no docstrings.

    Raises:
        SyntaxError: if it does not parse, or is nested too deeply.
    """
    try:
        return ast.unparse(_undocumented(ast.parse(code)))
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"the code cannot be read: {error}") from error


def _undocumented(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            # A text behind the docstring would be the docstring once that is gone.
            while node.body and _is_text(node.body[0]):
                del node.body[0]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def bounded(value: Any) -> str:
    """``repr`` of plain data, or :data:`ELIDED`."""
    if not _is_plain(value):
        return ELIDED
    text = repr(value)
    return text if len(text) <= MAX_CHARS else ELIDED


def _is_plain(value: Any) -> bool:
    """Whether ``value`` is plain data, and not for sure too long; never looks at much of it."""
    level = [value]
    n_seen = 0
    for _ in range(_MAX_DEPTH + 1):
        inner: list[Any] = []
        for part in level:
            kind = type(part)
            n_seen += 1
            if kind in (list, tuple, dict, set, frozenset):
                if len(part) > _MAX_ITEMS:
                    return False
                inner.extend(part)
                if kind is dict:
                    inner.extend(part.values())
            elif kind is int:
                if part.bit_length() > _MAX_BITS:
                    return False
            elif kind in (str, bytes):
                if len(part) > MAX_CHARS:
                    return False
            elif kind not in _PLAIN:
                return False
        # Whatever it holds takes a character each, so there is no need to look on.
        if n_seen + len(inner) > MAX_CHARS:
            return False
        if not inner:
            return True
        level = inner
    return False


class _Recorder:
    """The trace function of one call, and what it has seen."""

    def __init__(self, max_events: int, hidden: frozenset[str]) -> None:
        self.frames: list[dict[str, Any]] = []
        self.moments: list[tuple[int, int, str, dict[str, str]]] = []
        self._max_events = max_events
        self._hidden = hidden
        self._idx_of: dict[int, int] = {}
        self._seen: dict[int, dict[str, str]] = {}
        self._raising: set[int] = set()
        self._generators: list[FrameType] = []  # held, or another frame could get the id of one
        self.busy = True

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if not self.busy or code.co_filename != FILE:
            return None
        if not code.co_flags & _FUNCTION or code.co_name.startswith("<"):
            return None  # the body of a class, a comprehension, a lambda
        if event == "call" and id(frame) not in self._idx_of:
            self._enter(frame, code)
        idx = self._idx_of.get(id(frame))
        if idx is None:
            return None
        if event == "line":
            self._record(idx, frame, "line")
            self._raising.discard(idx)
        elif event == "exception":
            # Either the function handles it, and goes on, or it returns by raising.
            self._raising.add(idx)
        elif event == "return" and not code.co_flags & _GENERATOR:
            self._record(idx, frame, "return")
            if idx not in self._raising or _at_return(frame):
                self.frames[idx]["returned"] = bounded(arg)
            del self._idx_of[id(frame)]
        return self

    def _enter(self, frame: FrameType, code: CodeType) -> None:
        outer = frame.f_back
        parent = None
        while outer is not None and parent is None:
            parent = self._idx_of.get(id(outer))
            outer = outer.f_back
        values = {name: bounded(value) for name, value in frame.f_locals.items()}
        self._idx_of[id(frame)] = idx = len(self.frames)
        if code.co_flags & _GENERATOR:
            self._generators.append(frame)
        self._seen[idx] = values
        n_given = code.co_argcount + code.co_kwonlyargcount
        n_given += sum(bool(code.co_flags & flag) for flag in (_VARARGS, _VARKEYWORDS))
        given = [name for name in code.co_varnames[:n_given] if name in values]
        self.frames.append(
            {"name": code.co_name, "parent": parent, "arguments": {n: values[n] for n in given}}
        )

    def _record(self, idx: int, frame: FrameType, kind: str) -> None:
        if len(self.moments) >= self._max_events:
            self.busy = False
            raise _Enough
        seen = self._seen[idx]
        # Names of cells are left out of co_varnames if they are no parameters.
        own = (*frame.f_code.co_varnames, *frame.f_code.co_cellvars)
        values = frame.f_locals
        changes: dict[str, str] = {}
        for name in own:
            if name in self._hidden:
                continue
            # One that was deleted is not known any more.
            now = bounded(values[name]) if name in values else ELIDED
            if seen.get(name, None if name in values else ELIDED) != now:
                changes[name] = now
        seen.update(changes)
        self.moments.append((idx, frame.f_lineno, kind, changes))


def _of_comprehensions(tree: ast.Module) -> frozenset[str]:
    """Names that only comprehensions bind; from Python 3.12 on they are the function's own."""
    inside = {
        id(name): name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name)
    }
    outside = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            outside.update([] if id(node) in inside else [node.id])
    return frozenset(inside.values()) - outside


def _at_return(frame: FrameType) -> bool:
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")


def trace_call(code: str, call: str, *, max_events: int = MAX_EVENTS) -> dict[str, Any]:
    """Run one call and record it.

    Args:
        code: source that defines what ``call`` needs; it is :func:`normalised` first.
        call: an expression such as ``f([1, 2])``.
        max_events: a longer run is cut off there, and says so.

    Returns:
        ``call``; ``frames``, each with name, parent (index or null), arguments and, if it came to
        its end, returned; ``moments`` as ``[frame, line, kind, changes]``; ``returned`` and
        ``raised`` of the call itself (null where there is none); ``complete``.
    """
    source = normalised(code)
    recorder = _Recorder(max_events, _of_comprehensions(ast.parse(source)))
    space: dict[str, Any] = {"__name__": "traced"}
    returned = raised = None
    complete = True
    # What prints is not recorded, and without bounds.
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        try:
            exec(compile(source, FILE, "exec"), space)
            expression = compile(call, "<call>", "eval")
            sys.settrace(recorder)
            try:
                value = eval(expression, space)
                if isinstance(value, GeneratorType):
                    value = list(itertools.islice(value, _MAX_ITEMS + 1))
            finally:
                # Python lets go of a recorder that raises, be it for want of stack.
                complete = sys.gettrace() is recorder
                sys.settrace(None)
            returned = bounded(value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raised = _described(error)
    return {
        "call": call,
        "frames": recorder.frames,
        "moments": recorder.moments,
        "returned": returned if complete else None,
        "raised": raised if complete else None,
        "complete": complete,
    }


def _described(error: BaseException) -> str:
    try:
        message = str(error)
    except BaseException:
        message = ""
    return f"{type(error).__name__}: {message}"[:MAX_CHARS]


def main() -> None:
    """Answer one request: ``{"code": …, "calls": […], "max_events": n}``."""
    request = json.loads(sys.stdin.readline())
    replies = sys.stdout
    traces = [
        trace_call(request["code"], call, max_events=request.get("max_events", MAX_EVENTS))
        for call in request["calls"]
    ]
    # The traced code may have left half a line here.
    replies.write("\n" + json.dumps({"traces": traces}) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
    os._exit(0)  # no thread or exit handler of the traced code has a say after the reply
