"""Kernel limits that are too low for several nodes in containers on one host.

Every systemd, kubelet, containerd and controller watches files. inotify instances are counted per user, and all
containers of a stack run as the same user. Distributions allow 128. Source: inotify(7).
"""

from collections.abc import Callable
from pathlib import Path

SYSCTL = Path("/proc/sys")
LIMITS = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 1048576}


def raise_limits(note: Callable[[str], None], root: Path = SYSCTL) -> None:
    """Raise each limit that is too low, until the next reboot, and report it with `note`; never lower a limit."""
    for name, needed in LIMITS.items():
        file = root / name
        current = int(file.read_text())
        if current < needed:
            file.write_text(f"{needed}\n")
            note(f"Raised {name.replace('/', '.')} from {current} to {needed} until the next reboot.")
