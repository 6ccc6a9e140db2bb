"""One sandboxed process as the parent sees it, and the thread that starts them ahead of need.

All processes are started by one thread that lives as long as the sandbox, because the kernel ties
``--die-with-parent`` to the *thread* that started the child: a worker started by a short-lived
thread would be killed when that thread ends.
"""

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from datagen.errors import DatagenError
from datagen.verify import isolation
from datagen.verify.isolation import Variant
from datagen.verify.syscall_filter import syscall_filter

_START_LIMIT_S: Final = 60.0
_END_LIMIT_S: Final = 10.0
_PIECE: Final = 1 << 16
_TMP_FILES: Final = 8
"""The private /tmp holds this many files of the largest size."""


class ChannelClosedError(Exception):
    """The process closed its end: it is over, or made itself unable to answer."""


class TooLongError(Exception):
    """More came than may be kept."""


class SandboxProcess:
    """A process in its sandbox; used by one thread at a time, for one job."""

    def __init__(
        self, variant: Variant, limits: dict[str, Any], *, number: int, visible: Sequence[Path]
    ) -> None:
        """Start the process; it is ready when :meth:`wait_ready` returns."""
        self._buffer = bytearray()
        self._ended = False
        self._first: int | None = None  # a descriptor of the pid namespace's first process
        self._folder: Path | None = None
        config = {**limits, "uid": None}
        n_extra = 0
        if variant == "own_uid":
            config["uid"] = isolation.own_uid(number)
        elif variant == "user_namespace":
            n_extra = 1  # bubblewrap's own first process has the same user
        else:
            n_extra = _n_tasks_of_this_user()
        config["n_processes"] = limits["n_processes"] + n_extra
        script = "/inside" if variant != "weak" else str(isolation.INSIDE)
        argv = isolation.worker_argv(script, json.dumps(config))
        self._info: int | None = None
        passed: list[int] = []
        cwd = None
        if variant == "weak":
            self._folder = Path(tempfile.mkdtemp(prefix="datagen-sandbox-"))
            cwd = self._folder
        else:
            program = isolation.bubblewrap_program()
            if program is None:
                raise DatagenError("bubblewrap is gone; install it with: apt install bubblewrap")
            self._info, info_in = os.pipe()
            passed.append(info_in)
            if (program_text := syscall_filter()) is not None:
                filter_out, filter_in = os.pipe()
                passed.append(filter_out)
                os.write(filter_in, program_text)
                os.close(filter_in)
            argv = [
                *isolation.bubblewrap_argv(
                    variant,
                    program=program,
                    visible=visible,
                    tmp_mb=limits["file_mb"] * _TMP_FILES,
                    info_fd=info_in,
                    filter_fd=passed[1] if len(passed) > 1 else None,
                ),
                *argv,
            ]
        try:
            # Bubblewrap, too, gets the empty environment: its first process can be seen inside.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=isolation.environment(),
                cwd=cwd,
                start_new_session=True,
                pass_fds=passed,
            )
        except OSError as error:
            self._forget_files()
            raise DatagenError(f"the sandbox does not start: {argv[0]!r}: {error}") from error
        finally:
            for descriptor in passed:
                os.close(descriptor)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._in = self._process.stdin.fileno()
        self.out = self._process.stdout.fileno()
        self.err = self._process.stderr.fileno()
        for descriptor in (self._in, self.out, self.err):
            os.set_blocking(descriptor, False)

    def wait_ready(self) -> None:
        """Wait until it can take a job.

        Raises:
            DatagenError: if it does not start; with what it said.
        """
        deadline = time.monotonic() + _START_LIMIT_S
        try:
            is_ready = self.receive(deadline, limit=100) == b"ready"
            if is_ready and self._process.poll() is None:
                self._open_first()
                return
            told = "it ended while it waited" if is_ready else "it does not speak the protocol"
        except TimeoutError:
            told = f"no sign of life for {_START_LIMIT_S:g} s"
        except (ChannelClosedError, TooLongError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            with contextlib.suppress(OSError):
                self._buffer += os.read(self.err, _PIECE)
            told = bytes(self._buffer).decode(errors="replace").strip()[-500:] or "it ended at once"
        self.kill()
        raise DatagenError(f"the sandbox does not start: {told}")

    def _open_first(self) -> None:
        if self._info is not None:
            told = json.loads(os.read(self._info, 1000))
            with contextlib.suppress(OSError):
                self._first = os.pidfd_open(told["child-pid"])

    def send(self, line: bytes, deadline: float) -> None:
        """Write one line.

        Raises:
            TimeoutError: past ``deadline`` (of the monotonic clock).
            ChannelClosedError: if nobody reads.
        """
        view = memoryview(line + b"\n")
        while view:
            self._wait(self._in, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChannelClosedError from error

    def receive(self, deadline: float, *, limit: int) -> bytes:
        """Read one line, without its end.

        Raises:
            TimeoutError: past ``deadline``. ChannelClosedError: at the end of what is written.
            TooLongError: if a line has more than ``limit`` bytes.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > limit:
                raise TooLongError
            self._buffer += self._piece(deadline)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        if len(line) > limit:
            raise TooLongError
        return line

    def receive_all(self, deadline: float, *, limit: int) -> bytes:
        """Read to the end; errors as of :meth:`receive`."""
        while len(self._buffer) <= limit:
            try:
                self._buffer += self._piece(deadline)
            except ChannelClosedError:
                return bytes(self._buffer)
        raise TooLongError

    def _piece(self, deadline: float) -> bytes:
        self._wait(self.out, select.POLLIN, deadline)
        piece = os.read(self.out, _PIECE)
        if not piece:
            raise ChannelClosedError
        return piece

    @staticmethod
    def _wait(descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError

    def drain(self, deadline: float, *, limit: int) -> tuple[bytes, bytes]:
        """Both outputs until the process ends, each cut at ``limit`` bytes.

        Raises:
            TimeoutError: past ``deadline``; carries what there was as its ``args``.
        """
        kept = {self.out: bytearray(self._buffer[:limit]), self.err: bytearray()}
        poll = select.poll()
        for descriptor in kept:
            poll.register(descriptor, select.POLLIN)
        n_open = 2
        while n_open and time.monotonic() < deadline:
            # A descendant in the weak mode may keep the pipes open after the program has ended.
            over = self._process.poll() is not None
            ready = poll.poll(0 if over else 20)
            if over and not ready:
                break
            for descriptor, _ in ready:
                piece = os.read(descriptor, _PIECE)
                if not piece:
                    poll.unregister(descriptor)
                    n_open -= 1
                kept[descriptor] += piece[: limit - len(kept[descriptor])]
        outputs = bytes(kept[self.out]), bytes(kept[self.err])
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError(*outputs) from None
        return outputs

    def exit_status(self, limit_s: float = 1.0) -> int | None:
        """Its status as a shell has it (128 + signal), or ``None`` if it does not end in time."""
        try:
            status = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        return status if status >= 0 else 128 - status

    def kill(self) -> None:
        """End every process of the sandbox and wait until all are gone.

        In the weak mode that is the process group; what has left it lives on.
        """
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(OSError):
            if self._first is not None:
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        if self._first is not None:
            poll = select.poll()
            poll.register(self._first, select.POLLIN)
            # The first process of a namespace ends after all others in it.
            poll.poll(_END_LIMIT_S * 1000)
        self._forget_files()

    def abandon(self) -> None:
        """Let go of a process that belongs to the parent of this forked process."""
        self._ended = True
        self._process.returncode = 0  # so that nobody waits for it
        folder, self._folder = self._folder, None
        self._forget_files()
        self._folder = folder

    def _forget_files(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        for descriptor in (self._info, self._first):
            if descriptor is not None:
                os.close(descriptor)
        self._info = self._first = None
        process = getattr(self, "_process", None)
        for pipe in (process.stdin, process.stdout, process.stderr) if process else ():
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _n_tasks_of_this_user() -> int:
    """Processes and threads that this user runs: the kernel's limit counts them all together."""
    n = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                n += sum(1 for _ in (folder / "task").iterdir())
    return n


class WarmPool:
    """Keeps ``size`` started processes ready; each is handed out once and never comes back used."""

    def __init__(
        self, variant: Variant, limits: dict[str, Any], *, size: int, visible: Sequence[Path]
    ) -> None:
        """Start filling the pool in the background."""
        self._make = (variant, limits, visible)
        self._size = size
        self._numbers = itertools.count()
        self._ready: deque[SandboxProcess] = deque()
        self._changed = threading.Condition()
        self._failure: Exception | None = None
        self._closed = False
        self._wanted = 0
        self._starter = threading.Thread(target=self._fill, name="sandbox starter", daemon=True)
        self._starter.start()

    def _fill(self) -> None:
        variant, limits, visible = self._make
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._closed or (len(self._ready) < self._size and self._failure is None)
                    )
                )
                if self._closed:
                    return
            try:
                process = SandboxProcess(
                    variant, limits, number=next(self._numbers), visible=visible
                )
            except Exception as error:
                process, failure = None, error
            else:
                failure = None
            with self._changed:
                if process is not None and not self._closed:
                    self._ready.append(process)
                    process = None
                self._failure = failure
                self._changed.notify_all()
            if process is not None:
                process.kill()

    def _has_work(self) -> bool:
        return self._closed or (len(self._ready) < self._size and self._failure is None)

    def take(self) -> SandboxProcess:
        """A process that is ready for a job.

        Raises:
            DatagenError: if none can be started.
        """
        for attempt in range(3):
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or self._ready or self._failure is not None
                )
                if self._closed:
                    raise DatagenError("the sandbox is closed; open another one")
                if not self._ready:
                    failure, self._failure = self._failure, None
                    self._changed.notify_all()
                    raise DatagenError(str(failure))
                process = self._ready.popleft()
                self._changed.notify_all()
            try:
                process.wait_ready()
                return process
            except DatagenError:
                # It may have died of something else, such as a person's kill.
                if attempt == 2:
                    raise
        raise AssertionError

    def close(self) -> None:
        """End all idle processes; those handed out are their takers' to end."""
        with self._changed:
            self._closed = True
            idle = list(self._ready)
            self._ready.clear()
            self._changed.notify_all()
        for process in idle:
            process.kill()
        if self._starter is not threading.current_thread():
            self._starter.join(_END_LIMIT_S)

    def abandon(self) -> None:
        """Forget everything, in a forked process that has no starter and owns no worker."""
        for process in self._ready:
            process.abandon()
        self._ready.clear()
        self._closed = True
