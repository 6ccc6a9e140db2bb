"""What a sandbox is asked for, and what it reports: data alone, so anything may import it."""

from dataclasses import dataclass
from typing import Literal

from datagen.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use; all are upper bounds.

    Attributes:
        wall_s: seconds of the clock, for both processes of a test run together, or for each
            expression of :meth:`Sandbox.evaluate`.
        cpu_s: processor seconds of one process.
        memory_mb: address space of one process.
        n_processes: processes and threads at a time.
        file_mb: size of one file; the private ``/tmp`` holds eight times as much.
        output_kb: what is kept of each output of a program, and of the ``repr`` of a value.
    """

    wall_s: float = 5.0
    cpu_s: int = 5
    memory_mb: int = 512
    n_processes: int = 16
    file_mb: int = 8
    output_kb: int = 64

    def __post_init__(self) -> None:
        """Refuse limits under which nothing can run."""
        for name, least in (
            ("wall_s", 0.01),
            ("cpu_s", 1),
            ("memory_mb", 64),
            ("n_processes", 1),
            ("file_mb", 1),
            ("output_kb", 1),
        ):
            value = getattr(self, name)
            if not value >= least:
                raise ConfigError(f"{name}={value!r} is too small; use at least {least}")


@dataclass(frozen=True, slots=True)
class TestJob:
    """The arguments of :meth:`Sandbox.run_tests`."""

    __test__ = False  # or pytest takes it for a class of tests

    code: str
    tests: str
    entry_point: str
    prelude: str = ""


@dataclass(frozen=True, slots=True)
class TestReport:
    """How the tests of a solution ended.

    Attributes:
        state: ``passed``; ``failed``: a check did not hold, the solution raised, or it does not
            even load; ``error``: the tests are of no use (none executed a check, say) and decide
            nothing; ``timeout``: by the clock or the processor; ``memory``; ``killed``: the
            solution's process ended.
        reason: one line, such as ``f([1]) returned 3, not 4``.
    """

    __test__ = False

    state: Literal["passed", "failed", "error", "timeout", "memory", "killed"]
    reason: str

    @property
    def passed(self) -> bool:
        """Whether all checks held, and there was one."""
        return self.state == "passed"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The ``repr`` of an expression's value, or why there is none (``ValueError: …``)."""

    value: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a script gave no reply."""

    state: Literal["timeout", "killed"]
    reason: str


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a program ended.

    Attributes:
        state: ``exited``; ``timeout``; ``missing``: there is no such program in the sandbox;
            ``error``: its files cannot be written.
        status: exit status as a shell tells it (128 + the signal); ``None`` unless it exited.
        stdout: what it wrote, cut at the limit; bytes that are not UTF-8 are replaced.
        stderr: likewise.
        reason: one line.
    """

    state: Literal["exited", "timeout", "missing", "error"]
    status: int | None
    stdout: str
    stderr: str
    reason: str
