"""A few child processes that answer JSON requests and are killed when one takes too long.

Computer algebra on what a model wrote can run for ever inside C code that no signal handler or
thread can interrupt; only a process can be stopped. The children are plain subprocesses that run a
script by path and talk over pipes, not ``multiprocessing`` workers: those re-import the caller's
main module, may not be started from daemonic workers, and share locks with forked children.

The protocol: a child writes ``{"ready": true}`` once (or ``{"ready": false, "error": ...}``), then
one line of JSON for each line of JSON it reads, and ends at end of input.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, Literal

from datagen.errors import DatagenError

_START_LIMIT_S: Final = 120.0

Failure = Literal["timeout", "died"]


class _Worker:
    """One child process; used by one thread at a time."""

    def __init__(self, script: Path, limit_s: float) -> None:
        self._process = subprocess.Popen(
            # -P keeps the script's own folder off sys.path: it holds a module called math.
            [sys.executable, "-P", str(script), str(limit_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
        )
        # Importing takes seconds on a busy machine and is not part of any request's limit.
        ready = self._read(_START_LIMIT_S)
        if not isinstance(ready, dict) or not ready.get("ready"):
            self.kill()
            cause = ready if isinstance(ready, str) else ready.get("error")
            raise DatagenError(
                f"the verification worker {script.name!r} does not start ({cause!r}); "
                f"check the installation with: {sys.executable} -P {script}"
            )

    def _read(self, limit_s: float) -> dict[str, Any] | Failure:
        """One reply. A timer kills the child, which ends the blocking read everywhere."""
        assert self._process.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(limit_s, expire)
        timer.daemon = True
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if expired.is_set():  # even with a reply: the child is gone or about to be
            return "timeout"
        try:
            return json.loads(line)
        except ValueError:
            return "died"

    def ask(self, request: dict[str, str], limit_s: float) -> dict[str, Any] | Failure:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, OSError):
            return "died"
        return self._read(limit_s)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class WorkerPool:
    """At most ``size`` children, each started when first needed and kept.

    Safe to share between threads. After a fork the child process starts workers of its own.
    """

    def __init__(self, script: Path, *, size: int, limit_s: float) -> None:
        """Describe the pool; no process starts before the first request.

        Args:
            script: what a child runs; its one argument is ``limit_s``.
            size: most children at a time; further callers wait, and waiting has no limit.
            limit_s: wall-clock seconds that one request may take.
        """
        self._script = script
        self._size = size
        self._limit_s = limit_s
        self._forget()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(self._size)
        self._idle: list[_Worker] = []

    def ask(self, request: dict[str, str]) -> dict[str, Any] | Failure:
        """Answer one request.

        Returns:
            The reply; ``"timeout"`` if it took longer than the limit; ``"died"`` if two children
            in a row ended while working on it (out of memory, say).

        Raises:
            DatagenError: if a child cannot be started.
        """
        with self._free:
            reply = self._ask_once(request)
            # A child may also die of something else, such as a person's kill: ask again, once.
            return self._ask_once(request) if reply == "died" else reply

    def _ask_once(self, request: dict[str, str]) -> dict[str, Any] | Failure:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and not worker.is_alive:
            worker.kill()
            worker = None
        worker = worker or _Worker(self._script, self._limit_s)
        keep = False
        try:
            reply = worker.ask(request, self._limit_s)
            keep = not isinstance(reply, str)
            return reply
        finally:
            if keep:
                with self._lock:
                    self._idle.append(worker)
            else:
                worker.kill()

    def close(self) -> None:
        """End the idle children; the pool can be used again afterwards."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
