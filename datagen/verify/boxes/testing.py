"""A test run: passes calls from the process of the tests to that of the solution, and answers back.

The frames are not looked into here. A line of the tests' process with a bare tab is a call, one
without it is the verdict; the solution's process has no line for a verdict.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final, cast

from datagen.verify.boxes.channel import ChannelClosedError, TooLongError
from datagen.verify.boxes.messages import MAX_LINE, decoded, encoded, ended, packages
from datagen.verify.boxes.process import SandboxProcess
from datagen.verify.reports import TestJob, TestReport

_MAX_LOADED: Final = 1 << 18


def run_tests(take: Callable[[], SandboxProcess], job: TestJob, *, wall_s: float) -> TestReport:
    """Run a test job.

    Args:
        take: gives a process; used a second time once the solution is loaded.
        job: what to run.
        wall_s: seconds for all of it, after the first process was taken.
    """
    solution = take()
    deadline = time.monotonic() + wall_s
    told = "loading the solution"
    try:
        request = {"kind": "solution", "code": job.code, "prelude": job.prelude}
        solution.channel.send(encoded(request), deadline)
        loaded = decoded(solution.channel.receive(deadline, limit=_MAX_LOADED))
        if (fault := _fault_of_loading(loaded, job.entry_point)) is not None:
            return fault
        driver = take()
        request = {
            "kind": "tests",
            "tests": job.tests,
            "entry_point": job.entry_point,
            "prelude": job.prelude,
            "packages": packages(),
        }
        told = "the tests"
        driver.channel.send(encoded(request), deadline)
        while True:
            try:
                asked = driver.channel.receive(deadline, limit=MAX_LINE)
            except (ChannelClosedError, TooLongError):
                failure = ended(driver, "the tests")
                state = "timeout" if failure.state == "timeout" else "error"
                return TestReport(state, failure.reason)
            call, is_call, frame = asked.partition(b"\t")
            if not is_call:
                verdict = decoded(asked)
                return TestReport(verdict["state"], verdict["reason"])
            told = json.loads(call)
            solution.channel.send(frame, deadline)
            answer = solution.channel.receive(deadline, limit=MAX_LINE)
            told = "the tests"
            driver.channel.send(answer, deadline)
    except TimeoutError:
        return TestReport("timeout", f"{told} did not end within {wall_s:g} s")
    except ChannelClosedError:
        failure = ended(solution, told)
        return TestReport(failure.state, failure.reason)
    except TooLongError:
        return TestReport("killed", f"{told} gave more than {MAX_LINE >> 20} MB")


def _fault_of_loading(loaded: dict[str, Any], entry_point: str) -> TestReport | None:
    raised, names = loaded.get("raise"), loaded.get("names")
    if isinstance(raised, list) and len(cast(list[Any], raised)) == 2:
        kind, message = map(str, cast(list[Any], raised))
        line = loaded.get("line")
        at = f" (line {line})" if isinstance(line, int) else ""
        state = "memory" if kind == "MemoryError" else "failed"
        told = " ".join(f"{kind}: {message}".split()).rstrip(": ")
        return TestReport(state, f"the solution does not load: {told}{at}")
    if not isinstance(names, list):
        return TestReport("killed", "the solution does not speak the protocol")
    if entry_point not in names:
        return TestReport("failed", f"the solution defines no function {entry_point!r}")
    return None
