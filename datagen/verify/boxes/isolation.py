"""Command lines that start a sandboxed worker, and the walls that they put up.

Bubblewrap is given a root of its own in which a few things are shown, not the machine's root with
things hidden: what nobody thought of is not there.

There are two ways of using it. An ordinary user needs a user namespace. The superuser must not rely
on one: the kernel never counts the processes of the real superuser, whatever number a namespace
shows inside, so a fork bomb would not be bounded. There the worker itself becomes a user with a
number that nobody else has.
"""

import contextlib
import os
import py_compile
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

Variant = Literal["own_uid", "user_namespace", "weak"]
"""How a worker is held: bubblewrap opened by the superuser, or by anybody, or no bubblewrap."""

INSIDE: Final = Path(__file__).parents[1] / "inside"
"""The scripts that run inside; bubblewrap shows them as ``/inside``."""

_FIRST_UID: Final = 0x70000000
"""Start of numbers that neither systemd nor usual container tools give to anybody."""

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_ETC: Final = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")


def bubblewrap_program() -> str | None:
    """Where bubblewrap is installed."""
    return shutil.which("bwrap")


def environment() -> dict[str, str]:
    """All that a sandboxed program finds in its environment."""
    path = [str(Path(sys.prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
    return {"PATH": ":".join(path), "HOME": "/tmp", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}


def own_uid(number: int) -> int:
    """The user number of this process's ``number``-th worker, unlike those of other processes."""
    return _FIRST_UID + ((os.getpid() % 2**21) << 6 | number % 64)


def worker_argv(variant: Variant, config: str) -> list[str]:
    """Python without site-packages, user settings and environment variables, as a worker.

    The worker is imported rather than run, because only imported modules are cached as byte code.
    """
    folder = str(INSIDE.parent) if variant == "weak" else "/"
    # Behind the standard library, because in the weak mode the folder holds a module called math.
    start = (
        f"import sys; sys.path.append({folder!r}); from inside import worker; "
        "sys.path.pop(); worker.main()"
    )
    return [os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", start, config]


@cache
def cache_byte_code() -> None:
    """Compile what runs inside, where it cannot be cached; costs nothing but time to leave out."""
    for script in INSIDE.glob("*.py"):
        with contextlib.suppress(OSError, py_compile.PyCompileError):
            py_compile.compile(str(script), doraise=True)


def bubblewrap_argv(
    variant: Variant,
    *,
    program: str,
    visible: Sequence[Path],
    tmp_mb: int,
    info_fd: int,
    filter_fd: int | None,
) -> list[str]:
    """The command line up to the program to run.

    Args:
        variant: ``own_uid`` or ``user_namespace``.
        program: bubblewrap itself.
        visible: further folders and files that can be read inside, under their own names.
        tmp_mb: size of the private ``/tmp``, which is also the working folder.
        info_fd: where bubblewrap writes the number of the namespace's first process.
        filter_fd: where it reads the filter of system calls, if there is one.
    """
    argv = [program, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--hostname", "sandbox", "--die-with-parent", "--new-session"]
    argv += ["--info-fd", str(info_fd), "--cap-drop", "ALL"]
    if filter_fd is not None:
        argv += ["--seccomp", str(filter_fd)]
    if variant == "own_uid":
        argv += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        argv += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    for name in _SYSTEM:
        folder = Path(name)
        if folder.is_symlink():
            argv += ["--symlink", str(folder.readlink()), name]
        elif folder.exists():
            argv += ["--ro-bind", name, name]
    argv += ["--perms", "0755", "--dir", "/etc"]
    for name in _ETC:
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    argv += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    megabyte = 1 << 20
    argv += ["--perms", "1777", "--size", str(tmp_mb * megabyte), "--tmpfs", "/tmp"]
    argv += ["--perms", "1777", "--size", str(megabyte), "--tmpfs", "/dev/shm"]
    shown = _shown(visible)
    # Left to itself, bubblewrap gives /root in the sandbox the permissions of the real /root.
    for parent in sorted({str(parent) for path in shown for parent in Path(path).parents}):
        argv += ["--perms", "0755", "--dir", parent] if parent != "/" else []
    for path in shown:
        argv += ["--ro-bind", path, path]
    argv += ["--ro-bind", str(INSIDE), "/inside", "--remount-ro", "/", "--chdir", "/tmp", "--"]
    return argv


def _shown(visible: Sequence[Path]) -> list[str]:
    """The interpreter, its libraries and what was asked for, outermost first.

    A prefix may be reached through a symbolic link, and then both names are needed.
    """
    named = {Path(sys.base_prefix), Path(sys.prefix), Path(sys.base_exec_prefix), *visible}
    named |= {path.resolve() for path in named}
    named = {path for path in named if path.exists() and path != Path("/")}
    inner = {path for path in named if any(path.is_relative_to(name) for name in _SYSTEM)}
    return sorted(map(str, named - inner))
