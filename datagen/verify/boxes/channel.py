"""The pipes of a sandboxed process, with a deadline for each wait and a limit for each answer."""

import os
import select
import time
from collections.abc import Callable
from typing import Final

_PIECE: Final = 1 << 16


class ChannelClosedError(Exception):
    """The process closed its end: it is over, or made itself unable to answer."""


class TooLongError(Exception):
    """More came than may be kept."""


class Channel:
    """Lines to a process and from it; deadlines are of the monotonic clock."""

    def __init__(self, entrance: int, out: int, err: int) -> None:
        """Use these descriptors, which stay the caller's to close."""
        self._in, self._out, self._err = entrance, out, err
        self._buffer = bytearray()
        for descriptor in (entrance, out, err):
            os.set_blocking(descriptor, False)

    def send(self, line: bytes, deadline: float) -> None:
        """Write one line.

        Raises:
            TimeoutError: past ``deadline``.
            ChannelClosedError: if nobody reads.
        """
        view = memoryview(line + b"\n")
        while view:
            _wait(self._in, select.POLLOUT, deadline)
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
        _wait(self._out, select.POLLIN, deadline)
        piece = os.read(self._out, _PIECE)
        if not piece:
            raise ChannelClosedError
        return piece

    def drain(
        self, deadline: float, *, limit: int, is_over: Callable[[], bool]
    ) -> tuple[bytes, bytes]:
        """Both outputs until ``deadline`` or until the process ends, each cut at ``limit`` bytes.

        Args:
            deadline: when to leave off.
            limit: bytes to keep; the rest is read and dropped.
            is_over: whether the process has ended. In the weak mode a descendant may keep the
                pipes open for longer.
        """
        kept = {self._out: bytearray(self._buffer[:limit]), self._err: bytearray()}
        poll = select.poll()
        for descriptor in kept:
            poll.register(descriptor, select.POLLIN)
        n_open = 2
        while n_open and time.monotonic() < deadline:
            over = is_over()
            ready = poll.poll(0 if over else 20)
            if over and not ready:
                break
            for descriptor, _ in ready:
                piece = os.read(descriptor, _PIECE)
                if not piece:
                    poll.unregister(descriptor)
                    n_open -= 1
                kept[descriptor] += piece[: limit - len(kept[descriptor])]
        return bytes(kept[self._out]), bytes(kept[self._err])

    def leftovers(self) -> bytes:
        """What was read without making a line, and then what there is of the error output."""
        try:
            return bytes(self._buffer) + os.read(self._err, _PIECE)
        except OSError:
            return bytes(self._buffer)


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError
