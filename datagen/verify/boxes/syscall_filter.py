"""A seccomp filter that closes what a test or a compiler never needs from the kernel.

Inside a sandbox anybody may open a *further* user namespace and be its superuser, which reaches
much of the kernel's least safe code. The filter refuses that, and a few other ways there, with the
error that an ordinary program expects.
"""

import platform
import struct
from typing import Final

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The kernel's own names of them, in the order of the numbers below."""
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_REFUSED: Final = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "open_by_handle_at": (304, 265),
}
_EVERYWHERE: Final = (*range(425, 434), 442)
"""io_uring, and the newer calls that mount; the same numbers on all architectures."""

_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050001
_UNKNOWN: Final = 0x00050026
"""Fails like an older kernel would, so that the C library falls back to ``clone``."""
_NEW_NAMESPACES: Final = 0x7E020000

_LOAD, _EQUAL, _AT_LEAST, _HAS_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def syscall_filter() -> bytes | None:
    """The program, as ``bwrap --seccomp`` reads it; ``None`` on other architectures."""
    if platform.machine() not in _ARCHITECTURES:
        return None
    at = list(_ARCHITECTURES).index(platform.machine())
    refused = [*(numbers[at] for numbers in _REFUSED.values()), *_EVERYWHERE]
    # Each step is (code, operand, steps to skip if true, if false).
    steps: list[tuple[int, int, int, int]] = [
        (_LOAD, 4, 0, 0),
        (_EQUAL, _ARCHITECTURES[platform.machine()], 1, 0),
        (_RETURN, _REFUSE, 0, 0),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0x40000000, 0, 1),  # the x32 calls of x86_64
        (_RETURN, _REFUSE, 0, 0),
        (_EQUAL, _CLONE3[at], 0, 1),
        (_RETURN, _UNKNOWN, 0, 0),
    ]
    for number in refused:
        steps += [(_EQUAL, number, 0, 1), (_RETURN, _REFUSE, 0, 0)]
    steps += [
        (_EQUAL, _CLONE[at], 0, 3),
        (_LOAD, 16, 0, 0),  # its flags
        (_HAS_BIT, _NEW_NAMESPACES, 0, 1),
        (_RETURN, _REFUSE, 0, 0),
        (_RETURN, _ALLOW, 0, 0),
    ]
    return b"".join(struct.pack("=HBBI", code, yes, no, k) for code, k, yes, no in steps)
