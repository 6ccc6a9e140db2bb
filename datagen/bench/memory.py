"""How much memory this process has taken.

Nothing of ours is imported here: what asks may want to know what its own imports take.
"""

import resource
import sys
from pathlib import Path


def peak_memory_mib() -> float:
    """Most memory that this process ever held at a time, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # The system's own maximum counts the parent too, whose memory we were born with.
        [line] = [x for x in status.read_text().splitlines() if x.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
