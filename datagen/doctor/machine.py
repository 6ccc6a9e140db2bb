"""Processor, GPUs, disk and sandbox.

Whether a folder can be written to is found out by writing: permissions do not tell of quotas, of
read-only mounts, or of a superuser, who has every permission.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from datagen.doctor.finding import Finding
from datagen.errors import ConfigError

_GIB: Final = 1024**3
_MIN_FREE_BYTES: Final = _GIB


def devices() -> Iterator[Finding]:
    """Processor and GPUs, as torch sees them."""
    n_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    told = [f"{n_cores} cores", platform.machine()]
    if sys.platform != "win32":
        told.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / _GIB:.0f} GiB")
    try:
        import torch
    except Exception:  # told among the packages
        yield Finding("cpu", "ok", ", ".join(told))
        return
    features = {name for name, has in torch.cpu.get_capabilities().items() if has is True}
    bf16 = sorted(name for name in features if "bf16" in name)
    told.append(f"bfloat16 in hardware ({', '.join(bf16)})" if bf16 else "bfloat16 emulated: slow")
    yield Finding("cpu", "ok", ", ".join(told))
    for idx in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.cuda.get_device_properties(idx)
        bf16_too = "with" if torch.cuda.is_bf16_supported(including_emulation=False) else "without"
        detail = f"{device.name}, {device.total_memory / _GIB:.0f} GiB, {bf16_too} bfloat16"
        yield Finding(f"gpu {idx}", "ok", detail)
    if not torch.cuda.is_available():
        if not Path("/proc/driver/nvidia").exists():
            yield Finding("gpu", "note", "none; the embedded reasoner does not need one")
        elif torch.version.cuda is None:
            fix = f"pip install --force-reinstall torch=={torch.__version__.split('+')[0]}"
            detail = f"there is one, but torch {torch.__version__} is built without CUDA"
            yield Finding("gpu", "note", detail, fix)
        else:
            detail = f"there is one, but torch (CUDA {torch.version.cuda}) cannot use it"
            yield Finding("gpu", "note", detail, "nvidia-smi, to compare the driver's CUDA version")


def output(out: Path) -> Iterator[Finding]:
    """The disk that the output goes to."""
    folder = nearest(out)
    free = shutil.disk_usage(folder).free
    detail = f"{free / _GIB:.1f} GiB free for {out.absolute()}"
    if not writable(folder):
        fix = "name another folder with --out"
        yield Finding("output", "missing", f"cannot write to {folder}", fix)
    elif free < _MIN_FREE_BYTES:
        yield Finding("output", "missing", detail, "make room, or name another folder with --out")
    else:
        yield Finding("output", "ok", detail)


def nearest(path: Path) -> Path:
    """The path itself, or the nearest ancestor that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def writable(folder: Path) -> bool:
    """Whether a file can be made here; leaves none behind."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def sandbox() -> Iterator[Finding]:
    """The sandbox for generated code, found out by running one."""
    # Without Linux's limits there is no sandbox at all, and the import would fail.
    if sys.platform != "linux":
        yield Finding("sandbox", "note", "only on Linux; seeds with code cannot be run here")
        return
    from datagen.verify.boxes.isolation import bubblewrap_program
    from datagen.verify.boxes.modes import resolve

    try:
        variant = resolve("auto")
    except ConfigError as error:
        detail = f"{error}; nothing needs it until seeds with code are run"
        yield Finding("sandbox", "note", detail, "apt install bubblewrap")
        return
    how = "by the superuser, jobs have a user of their own"
    how = how if variant == "own_uid" else "in a user namespace"
    yield Finding("sandbox", "ok", f"bubblewrap works ({bubblewrap_program()}, {how})")
