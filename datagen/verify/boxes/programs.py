"""Scripts of our own and any programs, which take the place of the sandboxed process."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen.verify.boxes.channel import ChannelClosedError, TooLongError
from datagen.verify.boxes.messages import MAX_LINE, decoded, encoded, ended, packages
from datagen.verify.boxes.process import SandboxProcess
from datagen.verify.reports import CommandResult, Failure, Limits


def leads_out(name: str) -> bool:
    """Whether a file of this name would not lie in the working folder."""
    path = Path(name)
    return path.is_absolute() or ".." in path.parts or not path.name


def run_script(
    process: SandboxProcess, script: Path, request: dict[str, Any], limits: Limits
) -> dict[str, Any] | Failure:
    """The object in the last line that the script prints, or why there is none."""
    job = {
        "kind": "script",
        "name": script.name,
        "source": script.read_text(encoding="utf-8"),
        "request": request,
        "packages": packages(),
    }
    deadline = time.monotonic() + limits.wall_s
    try:
        process.channel.send(encoded(job), deadline)
        output = process.channel.receive_all(deadline, limit=MAX_LINE)
    except TimeoutError:
        return Failure("timeout", f"{script.name} did not end within {limits.wall_s:g} s")
    except TooLongError:
        return Failure("killed", f"{script.name} wrote over {MAX_LINE >> 20} MB")
    except ChannelClosedError:
        output = b""
    lines = output.strip().split(b"\n")
    return decoded(lines[-1]) or ended(process, script.name)


def run_command(
    process: SandboxProcess,
    argv: Sequence[str],
    *,
    files: Mapping[str, str],
    stdin: str,
    limits: Limits,
) -> CommandResult:
    """Run a program in a folder that holds ``files``."""
    job = {"kind": "command", "argv": list(argv), "files": dict(files), "stdin": stdin}
    deadline = time.monotonic() + limits.wall_s
    try:
        process.channel.send(encoded(job), deadline)
        started = decoded(process.channel.receive(deadline, limit=1 << 16))
        if "missing" in started:
            reason = f"there is no program {argv[0]!r} in the sandbox"
            return CommandResult("missing", None, "", "", reason)
        if "refused" in started:
            return CommandResult("error", None, "", "", str(started["refused"]))
        out, err = process.drain(deadline, limit=limits.output_kb << 10)
    except (ChannelClosedError, TooLongError):
        return CommandResult("error", None, "", "", ended(process, argv[0]).reason)
    except TimeoutError as error:
        out, err = error.args or (b"", b"")
        reason = f"{argv[0]} did not end within {limits.wall_s:g} s"
        return CommandResult("timeout", None, _text(out), _text(err), reason)
    status = process.exit_status()
    return CommandResult("exited", status, _text(out), _text(err), f"exit status {status}")


def _text(output: bytes) -> str:
    return output.decode("utf-8", errors="replace")
