"""A run told in bounds: what is worth saying of it, in order, before any words are chosen.

Both the narrator and the trace that a model is shown are rendered from this. Long loops show their
first iterations and the last, recursion its innermost calls, and elided values are left out.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from datagen.code.execution import Execution, Frame, LoopRun, State, function_of, is_known

_MAX_ITERATIONS: Final = 6
_MAX_INNER_CALLS: Final = 6
_MAX_NAMES: Final = 5
_MAX_ASSIGNED: Final = 12


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened.

    Attributes:
        kind: ``assigned`` outside of loops, ``loop`` for how often one ran, the end of an
            ``iteration``, or an inner ``call``.
        state: the variables to tell of, with their values.
        loop: 0-based number of the loop, where there are several.
        number: of the iteration, from 1 on; of a loop, how often it ran.
        last: whether the iteration is the last of a loop that is not told in full.
        call: the inner call, as an expression.
        returned: what it returned.
    """

    kind: Literal["assigned", "loop", "iteration", "call"]
    state: State = field(default_factory=dict[str, str])
    loop: int | None = None
    number: int = 0
    last: bool = False
    call: str = ""
    returned: str = ""


def equations(state: State) -> str:
    """``a = 1, b = 2`` of the values that are known."""
    return ", ".join(f"{name} = {value}" for name, value in state.items() if is_known(value))


def outcome(execution: Execution) -> str:
    """How the call ended, e.g. ``f(3) returns 9``; empty if that is not known."""
    if execution.returned is not None and is_known(execution.returned):
        return f"{execution.call} returns {execution.returned}"
    if execution.raised:
        return f"{execution.call} raises {execution.raised.partition(':')[0]}"
    return ""


def happenings(execution: Execution) -> Iterator[Happening]:
    """What happened in the call itself, then the inner calls, innermost first."""
    runs = {run.loop.line: (idx, run) for idx, run in enumerate(execution.loop_runs)}
    several = len(runs) > 1
    n_assigned = 0
    for line, changes in _stretches(execution, [run for _, run in runs.values()]):
        if line is not None:
            idx, run = runs[line]
            yield from _loop(run, idx if several else None, whole=execution.complete)
        elif (state := _told(changes)) and n_assigned < _MAX_ASSIGNED:
            n_assigned += 1
            yield Happening("assigned", state)
    yield from _inner_calls(execution)


def _stretches(
    execution: Execution, runs: list[LoopRun]
) -> Iterator[tuple[int | None, dict[str, str]]]:
    """Head lines of loops where they begin, and what changed between them; no name twice."""
    seen: set[int] = set()
    changed: dict[str, str] = {}
    # A moment's changes were made by the line before it, so they belong to where control was then.
    before: int | None = None
    for moment in execution.own_moments:
        if before is None:
            if changed.keys() & moment.changes.keys():
                yield None, changed
                changed = {}
            changed.update(moment.changes)
        lines = (run.loop for run in runs)
        before = next((lo.line for lo in lines if lo.line <= moment.line <= lo.last_line), None)
        if before is not None and before not in seen:
            yield None, changed
            changed = {}
            seen.add(before)
            yield before, {}
    yield None, changed


def _told(state: Mapping[str, str]) -> dict[str, str]:
    known = [(name, value) for name, value in state.items() if is_known(value)]
    return dict(known[:_MAX_NAMES])


def _loop(run: LoopRun, loop: int | None, *, whole: bool) -> Iterator[Happening]:
    n = len(run.iterations)
    long = n > _MAX_ITERATIONS
    if long and whole:
        yield Happening("loop", loop=loop, number=n)
    for number, state in enumerate(run.iterations, start=1):
        if long and number > _MAX_ITERATIONS // 2 and (number < n or not whole):
            continue
        told = _told({name: state[name] for name in run.loop.names if name in state})
        if told:
            yield Happening("iteration", told, loop, number, last=long and number == n)


def _inner_calls(execution: Execution) -> Iterator[Happening]:
    told: dict[str, str] = {}
    functions = {
        name: function_of(execution.code, name)
        for name in {frame.name for frame in execution.inner_calls}
    }
    for frame in reversed(execution.inner_calls):
        call = _written(frame, functions[frame.name])
        if call and is_known(frame.returned):
            told[call] = frame.returned or ""
    for call, returned in list(told.items())[:_MAX_INNER_CALLS]:
        yield Happening("call", call=call, returned=returned)


def _written(frame: Frame, function: ast.FunctionDef | None) -> str:
    """The call as an expression; empty if it cannot be written with what is known."""
    if function is None or function.args.vararg or function.args.kwarg:
        return ""
    if not all(map(is_known, frame.arguments.values())):
        return ""
    by_keyword = {arg.arg for arg in function.args.kwonlyargs}
    arguments = [f"{n}={v}" if n in by_keyword else v for n, v in frame.arguments.items()]
    return f"{frame.name}({', '.join(arguments)})"


def render_execution(execution: Execution) -> str:
    """The run as lines for a model to look at, each ending in a line break."""
    lines = [execution.call]
    for happening in happenings(execution):
        loop = "" if happening.loop is None else f"loop {happening.loop + 1}, "
        match happening.kind:
            case "assigned":
                lines.append(equations(happening.state))
            case "loop":
                lines.append(f"{loop}{happening.number} iterations")
            case "iteration":
                lines.append(f"{loop}iteration {happening.number}: {equations(happening.state)}")
            case "call":
                lines.append(f"{happening.call} returns {happening.returned}")
    lines.append(outcome(execution))
    return "".join(f"{line}\n" for line in lines if line)
