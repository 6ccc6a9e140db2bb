"""The one sandbox of a process, for callers that are handed none, such as the verifiers."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datagen.verify.boxes.box import Sandbox
from datagen.verify.boxes.modes import SandboxMode
from datagen.verify.reports import Limits


@dataclass(frozen=True, slots=True)
class _Settings:
    """The arguments of :class:`Sandbox`."""

    mode: SandboxMode = "auto"
    limits: Limits = Limits()  # noqa: RUF009 (it is frozen)
    size: int = 2
    visible: tuple[Path, ...] = ()


class _Default:
    """What :func:`default_sandbox` opens, and with which settings."""

    lock = threading.Lock()
    sandbox: Sandbox | None = None
    settings = _Settings()


def _renew_lock() -> None:
    _Default.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def configure_default(
    *,
    mode: SandboxMode = "auto",
    limits: Limits | None = None,
    size: int = 2,
    visible: Sequence[Path] = (),
) -> None:
    """Settings of :func:`default_sandbox`; one that is open with other settings is closed."""
    settings = _Settings(mode, limits or Limits(), size, tuple(visible))
    with _Default.lock:
        if settings == _Default.settings:
            return
        _Default.settings = settings
        opened, _Default.sandbox = _Default.sandbox, None
    if opened is not None:
        opened.close()


def default_sandbox() -> Sandbox:
    """The sandbox of this process: opened on first use, closed at exit, its own after a fork.

    Raises:
        ConfigError: if the configured mode does not work here.
    """
    with _Default.lock:
        if _Default.sandbox is None:
            chosen = _Default.settings
            _Default.sandbox = Sandbox(
                mode=chosen.mode, limits=chosen.limits, size=chosen.size, visible=chosen.visible
            )
        return _Default.sandbox
