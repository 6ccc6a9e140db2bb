"""Which kind of sandbox works on this machine, found out by running one and trying its walls."""

import os
import time
from dataclasses import replace
from functools import cache
from typing import Final, Literal

from datagen.errors import ConfigError, DatagenError
from datagen.verify.boxes import isolation
from datagen.verify.boxes.channel import ChannelClosedError, TooLongError
from datagen.verify.boxes.isolation import Variant
from datagen.verify.boxes.messages import decoded, encoded
from datagen.verify.boxes.process import SandboxProcess
from datagen.verify.reports import Limits

SandboxMode = Literal["auto", "bubblewrap", "weak"]
"""What a caller asks for; ``auto`` is bubblewrap and never weak."""

_PROBE: Final = """
import json, os, sys, time
n = 0
try:
    while n < 40:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        n += 1
except OSError:
    pass
print(json.dumps({"n": n, "shadow": os.path.exists("/etc/shadow")}))
sys.stdout.flush()
os._exit(0)
"""
_PROBE_PROCESSES: Final = 8


@cache
def probe(variant: Variant) -> str | None:
    """Really run a sandbox and try its walls; why it cannot be used, or ``None``."""
    limits = replace(Limits(), n_processes=_PROBE_PROCESSES)
    try:
        process = SandboxProcess(variant, limits, number=63, visible=())
        try:
            process.wait_ready()
            deadline = time.monotonic() + 20
            job = {"kind": "script", "name": "probe", "source": _PROBE}
            process.channel.send(encoded({**job, "request": {}, "packages": []}), deadline)
            found = decoded(process.channel.receive(deadline, limit=1000))
        finally:
            process.kill()
    except (DatagenError, TimeoutError, ChannelClosedError, TooLongError) as error:
        return str(error) or type(error).__name__
    if not 0 < found.get("n", 0) <= _PROBE_PROCESSES:
        return f"the limit on processes does not hold ({found.get('n')!r} were started)"
    return "/etc/shadow is visible" if found.get("shadow") else None


def resolve(mode: SandboxMode) -> Variant:
    """The way of isolation that ``mode`` stands for on this machine.

    Raises:
        ConfigError: if ``mode`` is unknown, or bubblewrap does not work and weak was not asked for.
    """
    if mode == "weak":
        return "weak"
    if mode not in ("auto", "bubblewrap"):
        raise ConfigError(f"sandbox mode {mode!r} is unknown; use 'auto', 'bubblewrap' or 'weak'")
    if isolation.bubblewrap_program() is None:
        why = "bubblewrap is not installed"
    else:
        variants: tuple[Variant, ...] = ("own_uid", "user_namespace")
        faults: list[str] = []
        for variant in variants[0 if os.geteuid() == 0 else 1 :]:
            if (fault := probe(variant)) is None:
                return variant
            faults.append(fault)
        why = f"bubblewrap does not work here: {'; '.join(faults)}"
    raise ConfigError(
        f"no sandbox for generated code: {why}. Use: apt install bubblewrap (and allow user "
        "namespaces, Linux 5.14 or later). Or set the sandbox's mode to 'weak', which only limits "
        "time and memory: it does not cover the network, reading and writing your files, your "
        "other processes, or processes left behind"
    )
