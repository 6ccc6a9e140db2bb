"""The sandbox: takes turns, gives each job fresh processes, and ends them when the job is over."""

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from datagen.errors import ConfigError
from datagen.verify.boxes import expressions, isolation, modes, programs, testing
from datagen.verify.boxes.isolation import Variant
from datagen.verify.boxes.modes import SandboxMode
from datagen.verify.boxes.pool import WarmPool
from datagen.verify.boxes.process import SandboxProcess
from datagen.verify.reports import (
    CommandResult,
    Evaluated,
    Failure,
    Limits,
    TestJob,
    TestReport,
)


class Sandbox:
    """Runs code that is not trusted; :mod:`datagen.verify.sandbox` says what holds and what not.

    Safe to share between threads, and usable after a fork, where it starts workers of its own.
    """

    def __init__(
        self,
        *,
        mode: SandboxMode = "auto",
        limits: Limits | None = None,
        size: int = 2,
        visible: Sequence[Path] = (),
    ) -> None:
        """Open it and start workers in the background.

        Args:
            mode: ``auto`` is bubblewrap, found out by running it; ``weak`` must be asked for.
            limits: of each job.
            size: jobs at a time; further callers wait.
            visible: folders and files that jobs may read besides the usual ones, such as a proof
                checker's. Opened by the superuser, a sandbox runs as another user, so these
                must be readable to everybody.

        Raises:
            ConfigError: if bubblewrap does not work here; says what to do.
        """
        if size < 1:
            raise ConfigError(f"size={size!r} must be at least 1")
        self._variant: Variant = modes.resolve(mode)
        self.mode: Literal["bubblewrap", "weak"] = (
            "weak" if self._variant == "weak" else "bubblewrap"
        )
        self.limits = limits or Limits()
        self.size = size
        self._visible = tuple(visible)
        self._open()
        atexit.register(self.close)

    def _open(self) -> None:
        isolation.cache_byte_code()
        self._pid = os.getpid()
        self._closed = False
        # Both processes of a test run are taken from here; an idle one costs memory only.
        self._pool = WarmPool(self._variant, self.limits, size=2 * self.size, visible=self._visible)
        self._free = threading.BoundedSemaphore(self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the idle workers. A job that still runs ends by itself."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        if self._pid == os.getpid():
            self._pool.close()

    @contextlib.contextmanager
    def _slot(self) -> Generator[Callable[[], SandboxProcess]]:
        """Wait for a turn; gives a function that takes a process, and ends those taken."""
        if self._pid != os.getpid():
            self._pool.abandon()
            self._open()
        taken: list[SandboxProcess] = []

        def take() -> SandboxProcess:
            taken.append(self._pool.take())
            return taken[-1]

        with self._free:
            try:
                yield take
            finally:
                for process in taken:
                    process.kill()

    def run_tests(
        self, code: str, *, tests: str, entry_point: str, prelude: str = ""
    ) -> TestReport:
        """Run the tests of a function against a solution.

        Args:
            code: the solution; defines ``entry_point`` at top level.
            tests: statements with ``assert``; or ``def check(candidate)``; or functions
                ``test_*``; or a module for pytest (anything that uses pytest, unittest, fixtures
                or ``class Test…``), which may import the entry point from any name; or doctest
                text.
            entry_point: the function's name, under which the tests find a proxy. Arguments and
                results must be plain data or iterators; changes made to a list, dict or set that
                was passed are carried back.
            prelude: trusted imports and functions that the tests need. They are executed before
                the solution, too, which may use and replace them for itself.

        Raises:
            DatagenError: if the sandbox itself is broken, never because of the code.
        """
        return self._run_job(TestJob(code, tests, entry_point, prelude))

    def run_tests_many(self, jobs: Sequence[TestJob]) -> list[TestReport]:
        """Run several test jobs, ``size`` at a time; reports are in the order of ``jobs``."""
        with ThreadPoolExecutor(self.size) as threads:
            return list(threads.map(self._run_job, jobs))

    def _run_job(self, job: TestJob) -> TestReport:
        with self._slot() as take:
            return testing.run_tests(take, job, wall_s=self.limits.wall_s)

    def evaluate(self, code: str, calls: Sequence[str]) -> list[Evaluated]:
        """The value of each expression after ``code`` was executed.

        Each expression sees what the code defined, and nothing that another expression did. All of
        it is the code's word: a hostile code can make the values up.

        Raises:
            DatagenError: if the sandbox itself is broken.
        """
        results: list[Evaluated] = []
        while len(results) < len(calls):
            with self._slot() as take:
                left = calls[len(results) :]
                results += expressions.evaluate(take(), code, left, self.limits)
        return results

    def run_script(self, script: Path, request: dict[str, Any]) -> dict[str, Any] | Failure:
        """Run a script of our own, of the standard library alone, with one request.

        Args:
            script: reads a JSON object from ``sys.stdin`` and prints one as its last line.
            request: the object.

        Returns:
            The reply. If the script executes code that is not trusted, in its own process, then
            the reply is that code's word.
        """
        with self._slot() as take:
            return programs.run_script(take(), script, request, self.limits)

    def run_command(
        self, argv: Sequence[str], *, files: Mapping[str, str] | None = None, stdin: str = ""
    ) -> CommandResult:
        """Run any program in a private folder.

        Args:
            argv: the program, by name or path, and its arguments.
            files: relative names and texts of what is in the working folder.
            stdin: what the program reads.
        """
        if not argv:
            raise ConfigError("argv=[] names no program")
        files = files or {}
        for name in files:
            if programs.leads_out(name):
                raise ConfigError(f"file name {name!r} leads out of the folder; use a relative one")
        with self._slot() as take:
            return programs.run_command(take(), argv, files=files, stdin=stdin, limits=self.limits)
