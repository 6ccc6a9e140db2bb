"""The answering end of a sandboxed process: a descriptor apart from the standard ones."""

# pyright: basic
# (no typing: every import is paid twice per test run)

import os


def silence(*standard: int) -> None:
    """Lead these descriptors nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in standard:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def take_output() -> int:
    """A descriptor to answer on, which nothing prints to: the standard ones lead nowhere now."""
    sink = os.dup(1)
    silence(0, 1, 2)
    return sink


def write(sink: int, line: bytes) -> None:
    """Write one line, whole."""
    view = memoryview(line + b"\n")
    while view:
        view = view[os.write(sink, view) :]
