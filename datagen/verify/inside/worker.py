"""The process in a sandbox: sets its own limits, waits for one job, does it, and is thrown away.

It is started before there is a job, so that a job need not wait for an interpreter. There is no
second job: whatever the code of the first one changed dies with the process.

Its argument is a JSON object of limits. It writes ``ready``, reads one line of JSON (the job) and
answers in lines, except for the job ``command``, where it becomes the program.
"""

# pyright: basic

import io
import json
import os
import resource
import sys

from . import plain_data
from .calls import answer_calls
from .expressions import evaluate
from .programs import run_command, run_script
from .wire import take_output, write


def main() -> None:
    """Become one sandboxed job."""
    limits = json.loads(sys.argv[1])
    _drop(limits["uid"])
    _limit(limits)
    write(1, b"ready")
    # The channel stands apart from the standard descriptors, and no program inherits it.
    reader = open(os.dup(0), "rb")  # noqa: SIM115
    line = reader.readline()
    if line:  # else the parent closed, or died
        job = json.loads(line)
        _JOBS[job["kind"]](job, reader)


def _drop(uid: int | None) -> None:
    """Take an unprivileged identity, if the sandbox was opened by the superuser.

    The kernel does not count the processes of the superuser, whatever number a user namespace
    shows, so only this makes the limit on processes hold.
    """
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _limit(limits: dict) -> None:
    megabyte = 1 << 20
    for which, soft, hard in (
        # The first limit ends a program by a signal that names the cause; the second one cannot
        # be ignored.
        (resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1),
        (resource.RLIMIT_AS, limits["memory_mb"] * megabyte, None),
        (resource.RLIMIT_NPROC, limits["n_processes"], None),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * megabyte, None),
        (resource.RLIMIT_NOFILE, 128, None),
        (resource.RLIMIT_CORE, 0, None),
    ):
        ceiling = resource.getrlimit(which)[1]
        wanted = [soft, soft if hard is None else hard]
        if ceiling != resource.RLIM_INFINITY:
            wanted = [min(value, ceiling) for value in wanted]
        resource.setrlimit(which, (wanted[0], wanted[1]))


def _run_tests(job: dict, reader: io.BufferedReader) -> None:
    from . import test_driver  # not worth loading for other jobs

    sink = take_output()

    def ask(told: str, frame: bytes) -> bytes:
        if len(frame) > plain_data.MAX_FRAME_BYTES:
            raise OverflowError(f"the arguments take {len(frame)} bytes")
        write(sink, json.dumps(told).encode() + b"\t" + frame)
        return reader.readline()

    state, reason = test_driver.run(job, ask)
    # JSON has no bare tab, so a line without one is the verdict.
    write(sink, json.dumps({"state": state, "reason": reason}).encode())
    os._exit(0)  # the tests' own exit handlers and threads have no say


_JOBS = {
    "solution": answer_calls,
    "tests": _run_tests,
    "evaluate": evaluate,
    "script": run_script,
    "command": run_command,
}
