"""Runs calls of a function and records each variable's value line by line; a script, stdlib only.

It is run by path inside the sandbox (one JSON request on stdin, one JSON reply on stdout), and
imported where the code is our own. Tracing uses :func:`sys.settrace`, which every supported Python
has (``sys.monitoring`` came with 3.12). Ready-made tracers (snoop, hunter, birdseye) print for
people, bring packages into the sandbox, and do not bound what they record.

A line event comes *before* its line runs, so the changes that an event carries were made by the
line before it. Values are kept as ``repr``, and only those that ``ast.literal_eval`` reads back:
anything else, and whatever is too long, is elided.
"""

import ast
import contextlib
import io
import itertools
import json
import sys
from types import CodeType, FrameType, GeneratorType
from typing import Any, Final

ELIDED: Final = "…"
"""Stands for a value that was too long, or is no plain data."""

FILE: Final = "<traced>"

MAX_EVENTS: Final = 4000
MAX_CHARS: Final = 160
_MAX_ITEMS: Final = 80
_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes)
_GENERATOR: Final = 0x20


class _Enough(BaseException):
    """Stops a run that made more events than are kept; no program catches it by accident."""


def normalised(code: str) -> str:
    """``code`` with one statement a line, no comments and no docstrings.

    Raises:
        SyntaxError: if it does not parse.
    """
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return ast.unparse(tree)


def bounded(value: Any, max_chars: int = MAX_CHARS) -> str:
    """``repr`` of plain data, or :data:`ELIDED`."""
    if not _is_plain(value):
        return ELIDED
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return ELIDED
    return text if len(text) <= max_chars else ELIDED


def _is_plain(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind in _PLAIN:
        return kind not in (str, bytes) or len(value) <= MAX_CHARS
    if kind not in (list, tuple, dict, set, frozenset) or len(value) > _MAX_ITEMS or depth > 4:
        return False
    parts = itertools.chain(value, value.values()) if kind is dict else value
    return all(_is_plain(part, depth + 1) for part in parts)


class _Recorder:
    """The trace function of one call, and what it has seen."""

    def __init__(self, max_events: int) -> None:
        self.frames: list[dict[str, Any]] = []
        self.moments: list[tuple[int, int, str, dict[str, str]]] = []
        self._max_events = max_events
        self._idx_of: dict[int, int] = {}
        self._seen: dict[int, dict[str, str]] = {}
        self.busy = True

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if not self.busy or code.co_filename != FILE or code.co_name.startswith("<"):
            return None
        if event == "call" and id(frame) not in self._idx_of:
            self._enter(frame, code)
        idx = self._idx_of.get(id(frame))
        if idx is None:
            return None
        if event == "line":
            self._record(idx, frame, "line")
        elif event == "return" and not code.co_flags & _GENERATOR:
            self._record(idx, frame, "return")
            if not self.frames[idx].pop("raising", False):
                self.frames[idx]["returned"] = bounded(arg)
            del self._idx_of[id(frame)]
        elif event == "exception":
            # Either the function handles it, and another line follows, or it returns by raising.
            self.frames[idx]["raising"] = True
        if event == "line":
            self.frames[idx].pop("raising", None)
        return self

    def _enter(self, frame: FrameType, code: CodeType) -> None:
        outer = frame.f_back
        parent = None
        while outer is not None and parent is None:
            parent = self._idx_of.get(id(outer))
            outer = outer.f_back
        values = {name: bounded(value) for name, value in frame.f_locals.items()}
        self._idx_of[id(frame)] = idx = len(self.frames)
        self._seen[idx] = values
        n_given = code.co_argcount + code.co_kwonlyargcount
        given = [name for name in code.co_varnames[:n_given] if name in values]
        self.frames.append(
            {"name": code.co_name, "parent": parent, "arguments": {n: values[n] for n in given}}
        )

    def _record(self, idx: int, frame: FrameType, kind: str) -> None:
        if len(self.moments) >= self._max_events:
            self.busy = False
            raise _Enough
        seen = self._seen[idx]
        own = frame.f_code.co_varnames
        # Names of cells are left out of co_varnames if they are no parameters.
        cells = frame.f_code.co_cellvars
        changes: dict[str, str] = {}
        for name, value in frame.f_locals.items():
            if name not in own and name not in cells:
                continue
            now = bounded(value)
            if seen.get(name) != now:
                changes[name] = now
        seen.update(changes)
        self.moments.append((idx, frame.f_lineno, kind, changes))


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
    recorder = _Recorder(max_events)
    space: dict[str, Any] = {"__name__": "traced"}
    returned = raised = None
    complete = True
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(source, FILE, "exec"), space)
            expression = compile(call, "<call>", "eval")
            sys.settrace(recorder)
            try:
                value = eval(expression, space)
                if isinstance(value, GeneratorType):
                    value = list(itertools.islice(value, _MAX_ITEMS + 1))
            finally:
                sys.settrace(None)
            returned = bounded(value)
        except _Enough:
            complete = False
        except (Exception, SystemExit) as error:
            raised = f"{type(error).__name__}: {error}"[:MAX_CHARS]
    for frame in recorder.frames:
        frame.pop("raising", None)
    return {
        "call": call,
        "frames": recorder.frames,
        "moments": recorder.moments,
        "returned": returned,
        "raised": raised,
        "complete": complete,
    }


def main() -> None:
    """Answer one request: ``{"code": …, "calls": […], "max_events": n}``."""
    request = json.loads(sys.stdin.readline())
    replies = sys.stdout
    traces = [
        trace_call(request["code"], call, max_events=request.get("max_events", MAX_EVENTS))
        for call in request["calls"]
    ]
    replies.write(json.dumps({"traces": traces}) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
