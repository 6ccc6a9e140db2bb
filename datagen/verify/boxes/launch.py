"""Starts the process of a sandbox: which limits, which walls, which descriptors it is given."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from datagen.errors import DatagenError
from datagen.verify.boxes import isolation
from datagen.verify.boxes.isolation import Variant
from datagen.verify.boxes.syscall_filter import syscall_filter
from datagen.verify.reports import Limits

_TMP_FILES: Final = 8
"""The private /tmp holds this many files of the largest size."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that was started.

    Attributes:
        process: bubblewrap, or in the weak mode the worker itself.
        info: where bubblewrap tells the number of the namespace's first process; owned.
        folder: the private folder of the weak mode; owned.
    """

    process: subprocess.Popen[bytes]
    info: int | None
    folder: Path | None


def launch(variant: Variant, limits: Limits, *, number: int, visible: Sequence[Path]) -> Launched:
    """Start a process, which may not be ready yet.

    Args:
        variant: how it is held.
        limits: what it may use.
        number: tells it from others of this program.
        visible: further folders and files that it may read.

    Raises:
        DatagenError: if there is nothing to start.
    """
    argv = _worker_argv(variant, limits, number)
    if variant == "weak":
        folder = Path(tempfile.mkdtemp(prefix="datagen-sandbox-"))
        try:
            return Launched(_popen(argv, cwd=folder), None, folder)
        except DatagenError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    program = isolation.bubblewrap_program()
    if program is None:
        raise DatagenError("bubblewrap is gone; install it with: apt install bubblewrap")
    info, info_in = os.pipe()
    filter_out = _filter_to_read()
    walls = isolation.bubblewrap_argv(
        variant,
        program=program,
        visible=visible,
        tmp_mb=limits.file_mb * _TMP_FILES,
        info_fd=info_in,
        filter_fd=filter_out,
    )
    passed = [info_in] if filter_out is None else [info_in, filter_out]
    try:
        return Launched(_popen([*walls, *argv], passed=passed), info, None)
    except DatagenError:
        os.close(info)
        raise
    finally:
        for descriptor in passed:
            os.close(descriptor)


def _worker_argv(variant: Variant, limits: Limits, number: int) -> list[str]:
    uid, n_extra = None, 0
    if variant == "own_uid":
        uid = isolation.own_uid(number)
    elif variant == "user_namespace":
        n_extra = 1  # bubblewrap's own first process has the same user
    else:
        n_extra = _n_tasks_of_this_user()
    config = {**asdict(limits), "uid": uid, "n_processes": limits.n_processes + n_extra}
    return isolation.worker_argv(variant, json.dumps(config))


def _n_tasks_of_this_user() -> int:
    """Processes and threads that this user runs: the kernel's limit counts them all together."""
    n = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                n += sum(1 for _ in (folder / "task").iterdir())
    return n


def _filter_to_read() -> int | None:
    """A descriptor from which the filter of system calls can be read, if there is one."""
    program = syscall_filter()
    if program is None:
        return None
    filter_out, filter_in = os.pipe()
    os.write(filter_in, program)
    os.close(filter_in)
    return filter_out


def _popen(
    argv: list[str], *, cwd: Path | None = None, passed: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    try:
        # Bubblewrap, too, gets the empty environment: its first process can be seen inside.
        return subprocess.Popen(
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
        raise DatagenError(f"the sandbox does not start: {argv[0]!r}: {error}") from error
