"""The traced calls of one function, looked up by what a thought says of them."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from datagen.code.claims.calls import (
    Call,
    bind,
    call_with,
    parameters_of,
    parse_call,
    required,
    same_arguments,
)
from datagen.code.claims.events import Example
from datagen.code.execution import Execution, function_of, is_known, same_value


class Runs:
    """Executions of one function.

    Attributes:
        executions: in the order given.
        entry_point: name of the function.
    """

    def __init__(self, executions: Sequence[Execution], entry_point: str) -> None:
        self.executions = tuple(executions)
        self.entry_point = entry_point
        code = self.executions[0].code if self.executions else ""
        self.function = function_of(code, entry_point) if code else None

    @cached_property
    def functions(self) -> frozenset[str]:
        """Names of the function and of all that it called."""
        called = {frame.name for execution in self.executions for frame in execution.frames}
        return frozenset({self.entry_point, *called})

    @cached_property
    def names(self) -> frozenset[str]:
        """Variables and parameters in any traced call."""
        names: set[str] = set(parameters_of(self.function)) if self.function else set()
        for execution in self.executions:
            for frame in execution.frames:
                names.update(frame.arguments)
            for moment in execution.moments:
                names.update(moment.changes)
        return frozenset(names)

    @staticmethod
    def end_of(execution: Execution) -> str | None:
        """The value that the call returned, ``raises …`` with a name, or ``None``: unknown."""
        if execution.raised is not None:
            return f"raises {execution.raised.partition(':')[0]}"
        return execution.returned

    @staticmethod
    def inner_values(execution: Execution, name: str) -> set[str]:
        """All known values that ``name`` had in calls within the call."""
        values = {
            frame.arguments[name]
            for idx, frame in enumerate(execution.frames)
            if idx != execution.root and name in frame.arguments
        }
        for moment in execution.moments:
            if moment.frame != execution.root and name in moment.changes:
                values.add(moment.changes[name])
        return {value for value in values if is_known(value)}

    def outcomes(self, subject: str, kind: str) -> tuple[str | None, ...]:
        """How the call that ``subject`` writes out ended, wherever it was traced.

        Args:
            subject: a call with literals, of the function or one that it called.
            kind: of the claim; of calls that raised only the outermost are known.
        """
        call = parse_call(subject)
        if call is None:
            return ()
        found: list[str | None] = []
        if call.name == self.entry_point:
            found.extend(self.end_of(e) for e in self._with_arguments(call, self.executions))
        if found and kind == "raises":
            return tuple(found)
        for execution in self.executions:
            function = function_of(execution.code, call.name)
            given = bind(call, function) if function else None
            for frame in execution.frames:
                if (
                    given is not None
                    and frame.parent is not None
                    and frame.name == call.name
                    and same_arguments(given, frame.arguments)
                ):
                    found.append(frame.returned)
        return tuple(found)

    def covers(self, subject: str) -> bool:
        """Whether the end of the call that ``subject`` writes out is known."""
        return any(self.outcomes(subject, "returns")) or any(self.outcomes(subject, "raises"))

    def as_wanted(self, subject: str) -> str | None:
        """The call in the form in which it is asked for; ``None`` if it is not to be traced."""
        call = parse_call(subject)
        if call is None or call.name != self.entry_point:
            return None
        if self.function is not None and bind(call, self.function) is None:
            return None
        return str(call)

    def binds(self, event: Example) -> bool:
        """Whether an example gives values to parameters of the function."""
        if self.function is None:
            return False
        names = parameters_of(self.function)
        return bool(self._given(event)) and all(name in names for name in self._given(event))

    def examples(self, event: Example) -> tuple[Execution, ...]:
        """The traced calls that an example may mean.

        If it leaves out a parameter without a default, all calls that agree with it are meant.
        """
        if event.call is not None:
            return self._with_arguments(event.call, self.executions)
        given = self._given(event)
        if self.function is None or not given:
            return ()
        call = call_with(self.function, given)
        if call is not None:
            return self._with_arguments(call, self.executions)
        return tuple(
            execution
            for execution in self.executions
            if all(
                name in execution.arguments and same_value(value, execution.arguments[name])
                for name, value in given.items()
            )
        )

    def missing(self, event: Example) -> tuple[str, ...]:
        """The call to trace for an example, if its values make up a whole call."""
        call = event.call
        if call is None and self.function is not None and self.binds(event):
            call = call_with(self.function, self._given(event))
        wanted = self.as_wanted(str(call)) if call is not None else None
        return () if wanted is None else (wanted,)

    def _given(self, event: Example) -> dict[str, str]:
        """Values by parameter; one without a name is that of the only required parameter."""
        values = dict(event.values)
        if "" in values and self.function is not None:
            names = required(self.function) or parameters_of(self.function)
            value = values.pop("")
            if len(names) == 1:
                values[names[0]] = value
        return values

    def _with_arguments(self, call: Call, executions: Iterable[Execution]) -> tuple[Execution, ...]:
        function = self.function
        given = bind(call, function) if function is not None else None
        if given is None or function is None:
            return ()
        found: list[Execution] = []
        for execution in executions:
            made = parse_call(execution.call)
            bound = bind(made, function) if made is not None else None
            if same_arguments(given, bound if bound is not None else execution.arguments):
                found.append(execution)
        return tuple(found)
