"""The sandbox for code that a model wrote.

The solution and the tests never share a process. One sandbox runs the solution and answers calls
with plain data; another one runs the tests against a proxy and alone says whether they passed. A
solution can therefore return wrong values, and nothing else: no patched ``print``, ``assert`` or
pytest, no exit status and no byte written to a descriptor is a verdict.

Guaranteed in the mode ``bubblewrap``, for every job:

- It sees a read-only root of its own: the system's programs and libraries, the interpreter and the
  packages beside it, what ``visible`` names. No home, no ``/etc/passwd`` or ``/etc/shadow``, no
  other process, no environment of the caller, no device but the harmless ones.
- It writes to a private ``/tmp`` in memory, of bounded size, which is gone afterwards.
- It has no network, not even the machine's loopback, and no System V or abstract-socket IPC.
- It has no privileges and cannot gain any. Processor time and address space of each process, the
  number of processes, the size of a file, and the bytes that reach the caller are limited.
- When the call returns, or when the caller dies, every process of it is gone.
- No job meets anything that an earlier job left: a sandbox is used once.

Not guaranteed:

- Safety from errors of the kernel: the kernel is shared. Code that may be *malicious* with means
  (rather than a model's) belongs into a virtual machine.
- A common limit on memory: each of ``n_processes`` processes may take ``memory_mb``, and the
  private ``/tmp`` comes on top.
- Fairness of time: a verdict of ``timeout`` depends on the machine's load.
- Secrecy of what is in ``/usr``, in the interpreter's folder and in the virtual environment.
- Timing and other side channels, and the same values in two runs (hash seeds, clocks, threads).
- In a job of :meth:`Sandbox.run_command` or :meth:`Sandbox.run_script` the program decides: one
  that executes an answer, rather than read it, can be made to say anything by that answer.

The mode ``weak`` is an ordinary child process with the same limits, an empty environment, its own
process group and a private folder. Results cannot be forged there either, *by the means above*.
Not covered: the network; reading and writing every file that the caller may; other processes of
the same user (they can be read and killed, this program and the tests' process among them, so a
solution that goes for them can also forge); processes that leave the group; and, for the
superuser, the number of processes.
"""

from datagen.verify.boxes.box import Sandbox
from datagen.verify.boxes.default import configure_default, default_sandbox
from datagen.verify.boxes.modes import SandboxMode
from datagen.verify.reports import (
    CommandResult,
    Evaluated,
    Failure,
    Limits,
    TestJob,
    TestReport,
)

__all__ = [
    "CommandResult",
    "Evaluated",
    "Failure",
    "Limits",
    "Sandbox",
    "SandboxMode",
    "TestJob",
    "TestReport",
    "configure_default",
    "default_sandbox",
]
