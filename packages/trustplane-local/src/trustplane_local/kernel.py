"""Limits of the kernel that are too low for several machines in containers on one host.

Every systemd, kubelet, containerd and controller watches files; inotify's instances are counted per user, and all
containers of a stack are the same user. Distributions allow 128. Source: inotify(7).
"""

from collections.abc import Callable
from pathlib import Path

SYSCTL = Path("/proc/sys")
LIMITS = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 1048576}


def raise_limits(note: Callable[[str], None], root: Path = SYSCTL) -> None:
    """Raise each limit that is lower than needed, until the next reboot, and say so; never lower one."""
    for name, needed in LIMITS.items():
        file = root / name
        present = int(file.read_text())
        if present < needed:
            file.write_text(f"{needed}\n")
            note(f"Raised {name.replace('/', '.')} from {present} to {needed}, until the next reboot.")
