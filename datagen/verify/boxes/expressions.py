"""The values of expressions: each one is awaited alone, so one that hangs costs its own value."""

import time
from collections.abc import Sequence
from typing import Any

from datagen.verify.boxes.channel import ChannelClosedError, TooLongError
from datagen.verify.boxes.messages import MAX_LINE, SIGXCPU_STATUS, decoded, encoded, ended
from datagen.verify.boxes.process import SandboxProcess
from datagen.verify.reports import Evaluated, Limits


def evaluate(
    process: SandboxProcess, code: str, calls: Sequence[str], limits: Limits
) -> list[Evaluated]:
    """At least one result; fewer than asked for if an expression ended the sandbox."""
    job = {
        "kind": "evaluate",
        "code": code,
        "calls": list(calls),
        "max_chars": limits.output_kb << 10,
    }
    results: list[Evaluated] = []
    loading = True
    deadline = time.monotonic() + limits.wall_s
    try:
        process.channel.send(encoded(job), deadline)
        while len(results) < len(calls):
            reply = decoded(process.channel.receive(deadline, limit=MAX_LINE))
            if loading and "error" in reply:
                return [Evaluated(None, str(reply["error"]))] * len(calls)
            if not loading:
                results.append(_evaluated(reply))
            loading = False
            deadline = time.monotonic() + limits.wall_s
    except TimeoutError:
        error = "timeout"
    except (ChannelClosedError, TooLongError):
        failure = ended(process, "it")
        error = failure.state if failure.state == "timeout" else failure.reason
    else:
        return results
    lost = len(calls) if loading else 1
    return results + [Evaluated(None, error)] * lost


def _evaluated(reply: dict[str, Any]) -> Evaluated:
    if isinstance(value := reply.get("value"), str):
        return Evaluated(value, None)
    if isinstance(status := reply.get("exit"), int):
        if status == 128 - SIGXCPU_STATUS:
            return Evaluated(None, "timeout")
        how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return Evaluated(None, f"the process {how}")
    return Evaluated(None, str(reply.get("error", "no reply")))
