"""What all talks with a sandboxed process have in common: lines of JSON, and how it can end."""

import json
import sysconfig
from typing import Any, Final, cast

from datagen.verify.boxes.process import SandboxProcess
from datagen.verify.inside.plain_data import MAX_FRAME_BYTES
from datagen.verify.reports import Failure

MAX_LINE: Final = MAX_FRAME_BYTES + 4096
"""Bytes of the longest line: a frame, and what was asked in words."""

SIGXCPU_STATUS: Final = 128 + 24
"""The exit status of a program that used up its processor time."""


def encoded(job: dict[str, Any]) -> bytes:
    """A job as one line, without its end."""
    return json.dumps(job).encode("ascii")


def decoded(line: bytes) -> dict[str, Any]:
    """A JSON object, or an empty one for whatever else there is."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def packages() -> list[str]:
    """Folders of the packages that are installed beside this program."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))


def ended(process: SandboxProcess, told: str) -> Failure:
    """Why a process ended by itself; ``told`` is what it was doing."""
    status = process.exit_status()
    if status is None:
        return Failure("killed", f"{told} closed the channel")
    if status == SIGXCPU_STATUS:
        return Failure("timeout", f"{told} used up the processor time")
    if status > 128:
        return Failure("killed", f"{told} was ended by signal {status - 128}")
    return Failure("killed", f"{told} ended the process with status {status}")
