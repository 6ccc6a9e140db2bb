"""One sandboxed process as the parent sees it: it gets ready, ends, and is seen to be gone."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datagen.errors import DatagenError
from datagen.verify.boxes.channel import Channel, ChannelClosedError, TooLongError
from datagen.verify.boxes.isolation import Variant
from datagen.verify.boxes.launch import launch
from datagen.verify.reports import Limits

_START_LIMIT_S: Final = 60.0

END_LIMIT_S: Final = 10.0
"""How long to wait for something that was told to end."""


class SandboxProcess:
    """A process in its sandbox; used by one thread at a time, for one job."""

    def __init__(
        self, variant: Variant, limits: Limits, *, number: int, visible: Sequence[Path]
    ) -> None:
        """Start the process; it is ready when :meth:`wait_ready` returns."""
        launched = launch(variant, limits, number=number, visible=visible)
        self._process = launched.process
        self._info = launched.info
        self._folder = launched.folder
        self._first: int | None = None  # a descriptor of the pid namespace's first process
        self._ended = False
        pipes = self._process.stdin, self._process.stdout, self._process.stderr
        self._pipes = [pipe for pipe in pipes if pipe is not None]
        entrance, out, err = (pipe.fileno() for pipe in self._pipes)
        self.channel = Channel(entrance, out, err)

    def wait_ready(self) -> None:
        """Wait until it can take a job.

        Raises:
            DatagenError: if it does not start; with what it said.
        """
        deadline = time.monotonic() + _START_LIMIT_S
        try:
            is_ready = self.channel.receive(deadline, limit=100) == b"ready"
            if is_ready and self._process.poll() is None:
                self._open_first()
                return
            told = "it ended while it waited" if is_ready else "it does not speak the protocol"
        except TimeoutError:
            told = f"no sign of life for {_START_LIMIT_S:g} s"
        except (ChannelClosedError, TooLongError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            said = self.channel.leftovers().decode(errors="replace")
            told = said.strip()[-500:] or "it ended at once"
        self.kill()
        raise DatagenError(f"the sandbox does not start: {told}")

    def _open_first(self) -> None:
        if self._info is not None:
            told = json.loads(os.read(self._info, 1000))
            with contextlib.suppress(OSError):
                self._first = os.pidfd_open(told["child-pid"])

    def drain(self, deadline: float, *, limit: int) -> tuple[bytes, bytes]:
        """Both outputs until the process ends, each cut at ``limit`` bytes.

        Raises:
            TimeoutError: past ``deadline``; carries what there was as its ``args``.
        """
        outputs = self.channel.drain(
            deadline, limit=limit, is_over=lambda: self._process.poll() is not None
        )
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
            poll.poll(END_LIMIT_S * 1000)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._close()

    def abandon(self) -> None:
        """Let go of a process that belongs to the parent of this forked process."""
        self._ended = True
        self._process.returncode = 0  # so that nobody waits for it
        self._close()

    def _close(self) -> None:
        for descriptor in (self._info, self._first):
            if descriptor is not None:
                os.close(descriptor)
        self._info = self._first = None
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()
