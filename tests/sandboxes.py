"""Sandboxes for tests, and a way to see whether anything of them is left."""

import os
from pathlib import Path

import pytest

from datagen.verify.boxes import isolation, modes
from datagen.verify.boxes.isolation import Variant
from datagen.verify.sandbox import Limits, Sandbox, SandboxMode

LIMITS = Limits(wall_s=8, cpu_s=4, memory_mb=256)
"""A wall limit that a busy machine keeps; tests of that limit set a short one."""


def open_sandbox(
    mode: SandboxMode, limits: Limits = LIMITS, *, variant: Variant | None = None
) -> Sandbox:
    """A sandbox, or a skipped test that says what is missing; ``variant`` is taken unprobed."""
    if mode != "weak" and isolation.bubblewrap_program() is None:
        pytest.skip("needs bubblewrap: apt install bubblewrap")
    with pytest.MonkeyPatch.context() as patch:
        if variant is not None:
            patch.setattr(modes, "resolve", lambda _: variant)
        return Sandbox(mode=mode, limits=limits, size=1)


def holders(marker: str) -> list[int]:
    """Processes that hold an in-memory file of this name, wherever they are and whoever."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            names = [os.readlink(link) for link in (folder / "fd").iterdir()]  # noqa: PTH115
        except OSError:
            continue
        if any(marker in name for name in names):
            found.append(int(folder.name))
    return found
