"""The sandbox for code that a model wrote.

The solution and the tests never share a process. One sandbox runs the solution and answers calls
with plain data; another one runs the tests against a proxy and alone says whether they passed. A
solution can therefore return wrong values, and nothing else: no patched ``print``, ``assert`` or
pytest, no exit status and no byte written to a descriptor is a verdict.

Guaranteed in the mode ``bubblewrap``, for every job:

- It sees a read-only root of its own: the system's programs and libraries, the interpreter and the
  packages beside it, what ``visible`` names. No home, no ``/etc/passwd`` or ``/etc/shadow``, no
  other process, no environment of the caller, no device but the harmless ones.
- It writes to a private ``/tmp`` in memory, of bounded size, which is gone afterwards.
- It has no network, not even the machine's loopback, and no System V or abstract-socket IPC.
- It has no privileges and cannot gain any. Processor time and address space of each process, the
  number of processes, the size of a file, and the bytes that reach the caller are limited.
- When the call returns, or when the caller dies, every process of it is gone.
- No job meets anything that an earlier job left: a sandbox is used once.

Not guaranteed:

- Safety from errors of the kernel: the kernel is shared. Code that may be *malicious* with means
  (rather than a model's) belongs into a virtual machine.
- A common limit on memory: each of ``n_processes`` processes may take ``memory_mb``, and the
  private ``/tmp`` comes on top.
- Fairness of time: a verdict of ``timeout`` depends on the machine's load.
- Secrecy of what is in ``/usr``, in the interpreter's folder and in the virtual environment.
- Timing and other side channels, and the same values in two runs (hash seeds, clocks, threads).
- In a job of :meth:`Sandbox.run_command` or :meth:`Sandbox.run_script` the program decides: one
  that executes an answer, rather than read it, can be made to say anything by that answer.

The mode ``weak`` is an ordinary child process with the same limits, an empty environment, its own
process group and a private folder. Results cannot be forged there either, *by the means above*.
Not covered: the network; reading and writing every file that the caller may; other processes of
the same user (they can be read and killed, this program and the tests' process among them, so a
solution that goes for them can also forge); processes that leave the group; and, for the
superuser, the number of processes.
"""

import atexit
import contextlib
import json
import os
import sysconfig
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

from datagen.errors import ConfigError, DatagenError
from datagen.verify import isolation
from datagen.verify.isolation import Variant
from datagen.verify.sandbox_process import (
    ChannelClosedError,
    SandboxProcess,
    TooLongError,
    WarmPool,
)

SandboxMode = Literal["auto", "bubblewrap", "weak"]
State = Literal["passed", "failed", "error", "timeout", "memory", "killed"]

_MAX_FRAME: Final = (8 << 20) + 4096
_SIGXCPU_STATUS: Final = 128 + 24


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
class TestReport:
    """How the tests of a solution ended.

    Attributes:
        state: ``passed``; ``failed``: a check did not hold, the solution raised, or it does not
            even load; ``error``: the tests are of no use (none executed a check, say) and decide
            nothing; ``timeout``: by the clock or the processor; ``memory``; ``killed``: the
            solution's process ended.
        reason: one line, such as ``f([1]) returned 3, not 4``.
    """

    __test__ = False  # or pytest takes it for a class of tests

    state: State
    reason: str

    @property
    def passed(self) -> bool:
        """Whether all checks held, and there was one."""
        return self.state == "passed"


@dataclass(frozen=True, slots=True)
class TestJob:
    """The arguments of :meth:`Sandbox.run_tests`."""

    __test__ = False

    code: str
    tests: str
    entry_point: str
    prelude: str = ""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The ``repr`` of an expression's value, or why there is none (``ValueError: …``)."""

    value: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a script gave no reply."""

    state: Literal["error", "timeout", "memory", "killed"]
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


class Sandbox:
    """Runs code that is not trusted; see the module for what holds and what does not.

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
        self._variant: Variant = resolve(mode)
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
        self._pool = WarmPool(
            self._variant, asdict(self.limits), size=2 * self.size, visible=self._visible
        )
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
    def _slot(self) -> Any:
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

    def _deadline(self) -> float:
        return time.monotonic() + self.limits.wall_s

    # --- tests ------------------------------------------------------------------------------------

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
        with self._slot() as take:
            solution = take()
            deadline = self._deadline()
            job = {"kind": "solution", "code": code, "prelude": prelude}
            told = "loading the solution"
            try:
                solution.send(_line(job), deadline)
                loaded = _object(solution.receive(deadline, limit=1 << 18))
                if (fault := _fault_of_loading(loaded, entry_point)) is not None:
                    return fault
                driver = take()
                job = {
                    "kind": "tests",
                    "tests": tests,
                    "entry_point": entry_point,
                    "prelude": prelude,
                    "packages": _packages(),
                }
                told = "the tests"
                driver.send(_line(job), deadline)
                while True:
                    try:
                        asked = driver.receive(deadline, limit=_MAX_FRAME)
                    except (ChannelClosedError, TooLongError):
                        report = _ended(driver, "the tests")
                        return TestReport(
                            "timeout" if report.state == "timeout" else "error", report.reason
                        )
                    call, is_call, frame = asked.partition(b"\t")
                    if not is_call:
                        verdict = _object(asked)
                        return TestReport(cast(State, verdict["state"]), verdict["reason"])
                    told = json.loads(call)
                    solution.send(frame, deadline)
                    answer = solution.receive(deadline, limit=_MAX_FRAME)
                    told = "the tests"
                    driver.send(answer, deadline)
            except TimeoutError:
                limit = f"{self.limits.wall_s:g} s"
                return TestReport("timeout", f"{told} did not end within {limit}")
            except ChannelClosedError:
                return _ended(solution, told)
            except TooLongError:
                return TestReport("killed", f"{told} gave more than {_MAX_FRAME >> 20} MB")

    def run_tests_many(self, jobs: Sequence[TestJob]) -> list[TestReport]:
        """Run several test jobs, ``size`` at a time; reports are in the order of ``jobs``."""

        def run(job: TestJob) -> TestReport:
            return self.run_tests(
                job.code, tests=job.tests, entry_point=job.entry_point, prelude=job.prelude
            )

        with ThreadPoolExecutor(self.size) as threads:
            return list(threads.map(run, jobs))

    # --- values -----------------------------------------------------------------------------------

    def evaluate(self, code: str, calls: Sequence[str]) -> list[Evaluated]:
        """The value of each expression after ``code`` was executed.

        Each expression sees what the code defined, and nothing that another expression did. All of
        it is the code's word: a hostile code can make the values up.

        Raises:
            DatagenError: if the sandbox itself is broken.
        """
        results: list[Evaluated] = []
        while len(results) < len(calls):
            results += self._evaluate_some(code, calls[len(results) :])
        return results

    def _evaluate_some(self, code: str, calls: Sequence[str]) -> list[Evaluated]:
        """At least one result; fewer than asked for if an expression ended the sandbox."""
        job = {
            "kind": "evaluate",
            "code": code,
            "calls": list(calls),
            "max_chars": self.limits.output_kb << 10,
        }
        results: list[Evaluated] = []
        loading = True
        with self._slot() as take:
            process = take()
            deadline = self._deadline()
            try:
                process.send(_line(job), deadline)
                while len(results) < len(calls):
                    reply = _object(process.receive(deadline, limit=_MAX_FRAME))
                    if loading and "error" in reply:
                        return [Evaluated(None, str(reply["error"]))] * len(calls)
                    if not loading:
                        results.append(_evaluated(reply))
                    loading = False
                    deadline = self._deadline()
            except TimeoutError:
                error = "timeout"
            except (ChannelClosedError, TooLongError):
                report = _ended(process, "it")
                error = report.state if report.state == "timeout" else report.reason
            else:
                return results
        lost = len(calls) if loading else 1
        return results + [Evaluated(None, error)] * lost

    # --- programs ---------------------------------------------------------------------------------

    def run_script(self, script: Path, request: dict[str, Any]) -> dict[str, Any] | Failure:
        """Run a script of our own, of the standard library alone, with one request.

        Args:
            script: reads a JSON object from ``sys.stdin`` and prints one as its last line.
            request: the object.

        Returns:
            The reply. If the script executes code that is not trusted, in its own process, then
            the reply is that code's word.
        """
        job = {
            "kind": "script",
            "name": script.name,
            "source": script.read_text(encoding="utf-8"),
            "request": request,
            "packages": _packages(),
        }
        with self._slot() as take:
            process = take()
            deadline = self._deadline()
            try:
                process.send(_line(job), deadline)
                output = process.receive_all(deadline, limit=_MAX_FRAME)
            except TimeoutError:
                reason = f"{script.name} did not end within {self.limits.wall_s:g} s"
                return Failure("timeout", reason)
            except TooLongError:
                return Failure("killed", f"{script.name} wrote over {_MAX_FRAME >> 20} MB")
            except ChannelClosedError:
                output = b""
            lines = output.strip().split(b"\n")
            if reply := _object(lines[-1]):
                return reply
            report = _ended(process, script.name)
            state = report.state if report.state in ("timeout", "memory", "killed") else "error"
            return Failure(cast(Any, state), report.reason)

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
        files = dict(files or {})
        for name in files:
            if Path(name).is_absolute() or ".." in Path(name).parts or not Path(name).name:
                raise ConfigError(f"file name {name!r} leads out of the folder; use a relative one")
        job = {"kind": "command", "argv": list(argv), "files": files, "stdin": stdin}
        limit = self.limits.output_kb << 10
        with self._slot() as take:
            process = take()
            deadline = self._deadline()
            try:
                process.send(_line(job), deadline)
                started = _object(process.receive(deadline, limit=1 << 16))
                if "missing" in started:
                    reason = f"there is no program {argv[0]!r} in the sandbox"
                    return CommandResult("missing", None, "", "", reason)
                if "refused" in started:
                    return CommandResult("error", None, "", "", str(started["refused"]))
                out, err = process.drain(deadline, limit=limit)
            except (ChannelClosedError, TooLongError):
                reason = _ended(process, argv[0]).reason
                return CommandResult("error", None, "", "", reason)
            except TimeoutError as error:
                out, err = error.args or (b"", b"")
                reason = f"{argv[0]} did not end within {self.limits.wall_s:g} s"
                return CommandResult("timeout", None, _text(out), _text(err), reason)
            status = process.exit_status()
        return CommandResult("exited", status, _text(out), _text(err), f"exit status {status}")


def _line(job: dict[str, Any]) -> bytes:
    return json.dumps(job).encode("ascii")


def _object(line: bytes) -> dict[str, Any]:
    """A JSON object, or an empty one for whatever else there is."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _text(output: bytes) -> str:
    return output.decode("utf-8", errors="replace")


def _packages() -> list[str]:
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))


def _fault_of_loading(loaded: dict[str, Any], entry_point: str) -> TestReport | None:
    raised, names = loaded.get("raise"), loaded.get("names")
    if isinstance(raised, list) and len(cast(list[Any], raised)) == 2:
        kind, message = map(str, cast(list[Any], raised))
        line = loaded.get("line")
        at = f" (line {line})" if isinstance(line, int) else ""
        state: State = "memory" if kind == "MemoryError" else "failed"
        told = " ".join(f"{kind}: {message}".split()).rstrip(": ")
        return TestReport(state, f"the solution does not load: {told}{at}")
    if not isinstance(names, list):
        return TestReport("killed", "the solution does not speak the protocol")
    if entry_point not in names:
        return TestReport("failed", f"the solution defines no function {entry_point!r}")
    return None


def _ended(process: SandboxProcess, told: str) -> TestReport:
    """Why a process ended by itself."""
    status = process.exit_status()
    if status is None:
        return TestReport("killed", f"{told} closed the channel")
    if status == _SIGXCPU_STATUS:
        return TestReport("timeout", f"{told} used up the processor time")
    if status > 128:
        return TestReport("killed", f"{told} was ended by signal {status - 128}")
    return TestReport("killed", f"{told} ended the process with status {status}")


def _evaluated(reply: dict[str, Any]) -> Evaluated:
    if isinstance(value := reply.get("value"), str):
        return Evaluated(value, None)
    if isinstance(status := reply.get("exit"), int):
        if status == 128 - _SIGXCPU_STATUS:
            return Evaluated(None, "timeout")
        how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return Evaluated(None, f"the process {how}")
    return Evaluated(None, str(reply.get("error", "no reply")))


# --- which mode works here ------------------------------------------------------------------------

_PROBE: Final = """
import json, os, sys, time
n = 0
try:
    while n < 40:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        n += 1
except OSError:
    pass
print(json.dumps({"n": n, "shadow": os.path.exists("/etc/shadow")}))
sys.stdout.flush()
os._exit(0)
"""
_PROBE_PROCESSES: Final = 8


@cache
def probe(variant: Variant) -> str | None:
    """Really run a sandbox and try its walls; why it cannot be used, or ``None``."""
    limits = {**asdict(Limits()), "n_processes": _PROBE_PROCESSES}
    try:
        process = SandboxProcess(variant, limits, number=63, visible=())
        try:
            process.wait_ready()
            deadline = time.monotonic() + 20
            job = {"kind": "script", "name": "probe", "source": _PROBE}
            process.send(_line({**job, "request": {}, "packages": []}), deadline)
            found = _object(process.receive(deadline, limit=1000))
        finally:
            process.kill()
    except (DatagenError, TimeoutError, ChannelClosedError, TooLongError) as error:
        return str(error) or type(error).__name__
    if not 0 < found.get("n", 0) <= _PROBE_PROCESSES:
        return f"the limit on processes does not hold ({found.get('n')!r} were started)"
    return "/etc/shadow is visible" if found.get("shadow") else None


def resolve(mode: SandboxMode) -> Variant:
    """The way of isolation that ``mode`` stands for on this machine.

    Raises:
        ConfigError: if ``mode`` is unknown, or bubblewrap does not work and weak was not asked for.
    """
    if mode == "weak":
        return "weak"
    if mode not in ("auto", "bubblewrap"):
        raise ConfigError(f"sandbox mode {mode!r} is unknown; use 'auto', 'bubblewrap' or 'weak'")
    if isolation.bubblewrap_program() is None:
        why = "bubblewrap is not installed"
    else:
        variants: tuple[Variant, ...] = ("own_uid", "user_namespace")
        faults: list[str] = []
        for variant in variants[0 if os.geteuid() == 0 else 1 :]:
            if (fault := probe(variant)) is None:
                return variant
            faults.append(fault)
        why = f"bubblewrap does not work here: {'; '.join(faults)}"
    raise ConfigError(
        f"no sandbox for generated code: {why}. Use: apt install bubblewrap (and allow user "
        "namespaces, Linux 5.14 or later). Or set the sandbox's mode to 'weak', which only limits "
        "time and memory: it does not cover the network, reading and writing your files, your "
        "other processes, or processes left behind"
    )


# --- the process-wide sandbox ---------------------------------------------------------------------


class _Default:
    """What :func:`default_sandbox` opens, and with which settings."""

    lock = threading.Lock()
    sandbox: Sandbox | None = None
    mode: SandboxMode = "auto"
    limits = Limits()
    size = 2
    visible: tuple[Path, ...] = ()


def _renew_lock() -> None:
    _Default.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def configure_default(
    *,
    mode: SandboxMode = "auto",
    limits: Limits | None = None,
    size: int = 2,
    visible: Sequence[Path] = (),
) -> None:
    """Settings of :func:`default_sandbox`; one that is open with other settings is closed."""
    settings = (mode, limits or Limits(), size, tuple(visible))
    with _Default.lock:
        if settings == (_Default.mode, _Default.limits, _Default.size, _Default.visible):
            return
        _Default.mode, _Default.limits, _Default.size, _Default.visible = settings
        opened, _Default.sandbox = _Default.sandbox, None
    if opened is not None:
        opened.close()


def default_sandbox() -> Sandbox:
    """The sandbox of this process: opened on first use, closed at exit, its own after a fork.

    Raises:
        ConfigError: if the configured mode does not work here.
    """
    with _Default.lock:
        if _Default.sandbox is None:
            _Default.sandbox = Sandbox(
                mode=_Default.mode,
                limits=_Default.limits,
                size=_Default.size,
                visible=_Default.visible,
            )
        return _Default.sandbox
