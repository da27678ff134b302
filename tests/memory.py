"""How much memory this process has used at most, since it began.

`getrusage` says it too, but its figure outlives `exec`: a small program started by a large one begins with that one's.
"""

import re
from pathlib import Path


def peak() -> int:
    """Return the most resident memory, in MiB, as Linux counts it for the program that runs."""
    status = Path("/proc/self/status").read_text()
    (most,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(most) >> 10
