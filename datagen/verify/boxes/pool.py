"""Starts sandboxed processes ahead of need, so that a job need not wait for an interpreter.

All processes are started by one thread that lives as long as the sandbox, because the kernel ties
``--die-with-parent`` to the *thread* that started the child: a worker started by a short-lived
thread would be killed when that thread ends.
"""

import itertools
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from datagen.errors import DatagenError
from datagen.verify.boxes.isolation import Variant
from datagen.verify.boxes.process import END_LIMIT_S, SandboxProcess
from datagen.verify.reports import Limits


class WarmPool:
    """Keeps ``size`` started processes ready; each is handed out once and never comes back used."""

    def __init__(
        self, variant: Variant, limits: Limits, *, size: int, visible: Sequence[Path]
    ) -> None:
        """Start filling the pool in the background."""
        self._make = (variant, limits, visible)
        self._size = size
        self._numbers = itertools.count()
        self._ready: deque[SandboxProcess] = deque()
        self._changed = threading.Condition()
        self._failure: Exception | None = None
        self._closed = False
        self._starter = threading.Thread(target=self._fill, name="sandbox starter", daemon=True)
        self._starter.start()

    def _fill(self) -> None:
        variant, limits, visible = self._make
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
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
            self._starter.join(END_LIMIT_S)

    def abandon(self) -> None:
        """Forget everything, in a forked process that has no starter and owns no worker."""
        for process in self._ready:
            process.abandon()
        self._ready.clear()
        self._closed = True
