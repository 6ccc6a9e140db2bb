"""What a variable was at a moment that a thought speaks of.

Prose leaves room ("in the third iteration": before or after the addition?), so a moment gives *all*
values that the words may mean; a claim is wrong only if it is none of them.
"""

import ast
from collections.abc import Sequence
from itertools import pairwise

from datagen.code.claims.contexts import When
from datagen.code.claims.tokens import literal_value
from datagen.code.execution import Execution, Loop, function_of, is_known
from datagen.code.tracer import ELIDED


class Unknown(Exception):
    """The record does not say; the message does."""


class Never(Exception):
    """There was no such moment; the message says what there was instead."""


def values_at(execution: Execution, name: str, when: When, *, loop: int | None) -> tuple[str, ...]:
    """The values of ``name`` that the words may mean, in order of time.

    Args:
        execution: the call in view.
        name: a variable of the called function.
        when: the moment.
        loop: index of the loop among ``execution.loops``, for moments that need one.

    Raises:
        Unknown: if the record does not say.
        Never: if the loop had no such iteration.
    """
    if when.phase == "first":
        return _first_values(execution, name)
    if when.iteration is None and when.phase == "end":
        return execution.history.get(name, ())
    if loop is None or loop >= len(execution.loops):
        raise Unknown("no such loop")
    own = _Run(execution, execution.loops[loop])
    if when.phase == "before":
        return own.values_of(name, own.reached, own.reached)
    if when.phase == "after":
        own.require_end()
        start = own.spans[-1][1] if own.spans else own.reached
        return own.values_of(name, start, len(execution.own_moments) - 1)
    begin, end = own.iteration(when.iteration or 0)
    return own.values_of(name, end if when.phase == "end" else begin - 1, end)


def _first_values(execution: Execution, name: str) -> tuple[str, ...]:
    """All values before the first loop, and the very first one."""
    heads = {loop.line for loop in execution.loops}
    values = list(execution.history.get(name, ())[:1])
    for moment in execution.own_moments:
        values.extend(value for n, value in moment.changes.items() if n == name)
        if moment.line in heads:
            break
    return tuple(values)


class _Run:
    """One loop of one execution; moments are counted within the called function.

    Attributes:
        reached: index of the moment at which the loop's head was first reached.
        spans: per iteration, first moment in the body and the moment at which it was left.
    """

    def __init__(self, execution: Execution, loop: Loop) -> None:
        self._execution = execution
        self._moments = execution.own_moments
        at_head = [i for i, m in enumerate(self._moments) if m.line == loop.line]
        if not at_head:
            raise Unknown("the loop is not reached")
        self.reached = at_head[0]
        self.spans = _spans(execution, loop)

    def require_end(self) -> None:
        if not self._execution.complete:
            raise Unknown("the run was cut off")

    def iteration(self, idx: int) -> tuple[int, int]:
        if idx < 0 or idx + 1 >= len(self.spans):
            self.require_end()  # the last one recorded may have been cut off in the middle
        if not -len(self.spans) <= idx < len(self.spans):
            raise Never(f"the loop runs {len(self.spans)} times")
        return self.spans[idx]

    def values_of(self, name: str, first: int, last: int) -> tuple[str, ...]:
        """The value at moment ``first`` and each one after it, up to moment ``last``."""
        value = self._execution.arguments.get(name)
        values: list[str] = []
        for idx, moment in enumerate(self._moments[: last + 1]):
            value = moment.changes.get(name, value)
            if idx >= first and value is not None and (not values or values[-1] != value):
                values.append(value)
        return tuple(values)


def _spans(execution: Execution, loop: Loop) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    for idx, moment in enumerate(execution.own_moments):
        in_body = moment.kind == "line" and loop.line < moment.line <= loop.last_line
        if in_body and begin is None:
            begin = idx
        elif not in_body and begin is not None:
            spans.append((begin, idx))
            begin = None
    if begin is not None:
        spans.append((begin, len(execution.own_moments) - 1))
    return spans


def n_iterations(execution: Execution, loop: int) -> int:
    """How often an outermost loop ran.

    Raises:
        Unknown: if it was not reached or the run was cut off.
    """
    run = _Run(execution, execution.loops[loop])
    run.require_end()
    return len(run.spans)


def inner_counts(execution: Execution) -> set[int]:
    """Numbers that may be said of loops within loops: iterations in one run of each, and in all."""
    counts: set[int] = set()
    function = function_of(execution.code, execution.frames[execution.root or 0].name)
    outer = {loop.line for loop in execution.loops}
    for node in ast.walk(function) if function else ():
        if isinstance(node, ast.For | ast.While) and node.lineno not in outer:
            end = node.body[-1].end_lineno or node.lineno
            lines = [m.line for m in execution.own_moments]
            total = run = 0
            for line, after in pairwise(lines):
                entered = line == node.lineno < after <= end
                total, run = total + entered, run + entered
                if line == node.lineno and not entered:  # the run is over
                    counts.add(run)
                    run = 0
            counts |= {total, run}
    return counts


def element_of(values: Sequence[str], subject: str) -> tuple[str, ...]:
    """The element that ``subject`` (``xs[0][1]``) names, of each value of its variable.

    Raises:
        Unknown: if a value was elided, or has no such element.
    """
    node = ast.parse(subject, mode="eval").body
    indices: list[object] = []
    while isinstance(node, ast.Subscript):
        indices.insert(0, ast.literal_eval(node.slice))
        node = node.value
    elements: list[str] = []
    for value in values:
        if not is_known(value):
            elements.append(ELIDED)
            continue
        try:
            found = literal_value(value)
        except ValueError:  # infinities and frozen sets are known, but are no literals
            elements.append(ELIDED)
            continue
        try:
            for index in indices:
                found = found[index]
        except (LookupError, TypeError):
            continue
        elements.append(repr(found))
    if not elements:
        raise Unknown("no such element")
    return tuple(elements)
