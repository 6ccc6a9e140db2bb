"""What back-translation asks of the world outside: runs to compare with, and tests to pass.

All of it goes through the sandbox, since programs that a model wrote are strangers. A program that
was judged once is not run again: round trips of a good thought mostly write the seed's own program.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from datagen.code import tracer
from datagen.code.execution import Execution, executions_of
from datagen.code.happenings import happenings
from datagen.code.tracer import normalised
from datagen.verify.sandbox import Sandbox, TestJob

TRACER: Final = Path(tracer.__file__)

NO_PROGRAM: Final = "no program was written"


@dataclass(frozen=True, slots=True)
class Program:
    """A code seed with the runs that are known of it.

    Attributes:
        seed_id: its seed.
        question: what is asked for.
        code: the solution.
        entry_point: the function's name.
        tests: what a solution must pass.
        prelude: what the tests need beside it.
        executions: at least one; the first is the example to walk through.
    """

    seed_id: str
    question: str
    code: str
    entry_point: str
    tests: str
    prelude: str
    executions: tuple[Execution, ...]


class Examiner(Protocol):
    """Runs programs."""

    def trace(self, code: str, calls: Sequence[str]) -> tuple[Execution, ...]:
        """Runs of ``calls``; those that cannot be traced are missing."""
        ...

    def failures(self, program: Program, codes: Sequence[str | None]) -> list[str | None]:
        """Why each of ``codes`` fails the program's tests; ``None`` for one that passes."""
        ...


@dataclass(slots=True)
class SandboxExaminer:
    """Runs programs in a sandbox; may be shared by many searches of one thread."""

    sandbox: Sandbox
    _known: dict[tuple[str, str], str | None] = field(
        default_factory=dict[tuple[str, str], str | None], init=False
    )

    def trace(self, code: str, calls: Sequence[str]) -> tuple[Execution, ...]:
        """Runs of ``calls``; those that cannot be traced are missing."""
        if not calls:
            return ()
        reply = self.sandbox.run_script(TRACER, {"code": code, "calls": list(calls)})
        if isinstance(reply, dict):
            # The traced code shares a process with the tracer, and so may have made up its reply.
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                return executions_of(code, reply["traces"])
        if len(calls) == 1:
            return ()
        # One call took all the time or memory: each has to stand for itself.
        return tuple(execution for call in calls for execution in self.trace(code, [call]))

    def failures(self, program: Program, codes: Sequence[str | None]) -> list[str | None]:
        """Why each of ``codes`` fails the program's tests; ``None`` for one that passes."""
        keys = [None if code is None else (program.seed_id, _canonical(code)) for code in codes]
        self._known.setdefault((program.seed_id, _canonical(program.code)), None)
        new = {
            key: TestJob(
                code, tests=program.tests, entry_point=program.entry_point, prelude=program.prelude
            )
            for key, code in zip(keys, codes, strict=True)
            if key is not None and code is not None and key not in self._known
        }
        reports = self.sandbox.run_tests_many(list(new.values()))
        for key, report in zip(new, reports, strict=True):
            self._known[key] = None if report.passed else report.reason
        return [NO_PROGRAM if key is None else self._known[key] for key in keys]


def _canonical(code: str) -> str:
    try:
        return normalised(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code


def example_first(question: str, executions: Sequence[Execution]) -> tuple[Execution, ...]:
    """The runs with the one that is best walked through in front.

    That is the first from the question's own examples in which something happens: a loop that does
    not run at all shows nothing. Runs that were cut off come last.
    """
    if not executions:
        return ()
    asked = "".join(question.split())

    def rank(execution: Execution) -> tuple[bool, bool, bool]:
        told = list(happenings(execution))
        silent = not told or (
            bool(execution.loops) and not any(h.kind in ("iteration", "call") for h in told)
        )
        return (
            not execution.complete or execution.returned is None,
            silent,
            "".join(execution.call.split()) not in asked,
        )

    best = min(range(len(executions)), key=lambda idx: (rank(executions[idx]), idx))
    return (executions[best], *(e for idx, e in enumerate(executions) if idx != best))


def record_of(execution: Execution) -> dict[str, Any]:
    """The tracer's reply behind an execution, as plain data."""
    return {
        "call": execution.call,
        "frames": [
            {
                "name": frame.name,
                "parent": frame.parent,
                "arguments": dict(frame.arguments),
                "returned": frame.returned,
            }
            for frame in execution.frames
        ],
        "moments": [
            (moment.frame, moment.line, moment.kind, dict(moment.changes))
            for moment in execution.moments
        ],
        "returned": execution.returned,
        "raised": execution.raised,
        "complete": execution.complete,
    }
