"""Ports on 127.0.0.1: chosen once for a stack; an error names the program that occupies one.

They lie below the kernel's range for outgoing connections (32768 and up on Linux): no client occupies them while the
stack is down.
"""

import contextlib
import random
import re
import socket
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from trustplane.errors import HostError

FIRST, LAST = 20000, 32767
_USER = re.compile(r'\("(?P<program>[^"]*)",pid=(?P<pid>\d+)')


def choose_ports(
    names: Iterable[str],
    taken: Collection[int],
    *,
    is_free: Callable[[int], bool],
    order: Iterable[int] | None = None,
) -> dict[str, int]:
    """Return a free port for each name.

    Args:
        names: One name for each port.
        taken: Ports reserved by other stacks, running or stopped.
        is_free: Returns whether no program listens on a port.
        order: The ports to try, in this order; by default all, shuffled.

    Raises:
        HostError: Too few ports are free.
    """
    candidates = (
        port
        for port in (order or random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST))
        if port not in taken and is_free(port)
    )
    names = list(names)
    chosen = dict(zip(names, candidates, strict=False))
    if len(chosen) < len(names):
        raise HostError(
            f"Only {len(chosen)} of {len(names)} ports are free between {FIRST} and {LAST}",
            why="other programs listen on the rest, or other stacks reserve them",
            next_step="Stop some programs (`ss -ltnp` lists them), then run `trustplane local up` again",
        )
    return chosen


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port, on all addresses of this machine."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - bound, never listened on
        if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
            continue
        with socket.socket(family, socket.SOCK_STREAM) as server:
            # As servers do, to ignore closing connections.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((address, port))
            except OSError:
                return False
    return True


def find_listener(port: int) -> str:
    """Return the process that listens on a port, as `name (pid N)`, or an empty string if it is unknown."""
    with contextlib.suppress(OSError):
        listing = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False, timeout=10
        )
        return parse_listener(listing.stdout)
    return ""


def parse_listener(listing: str) -> str:
    """Return the first process in the output of `ss -ltnp`, as `name (pid N)`."""
    match = _USER.search(listing)
    return f"{match['program']} (pid {match['pid']})" if match else ""


def occupied_error(taken: Mapping[str, int], find_holder: Callable[[int], str], folder: Path) -> HostError:
    """Return the error for ports of a stack that other programs occupy.

    Args:
        taken: The occupied ports, by name.
        find_holder: Returns the process that listens on a port.
        folder: The stack's state folder.
    """
    uses = [
        f"port {port} of {name} is in use by {find_holder(port) or 'another program'}" for name, port in taken.items()
    ]
    return HostError(
        f"The stack in {folder} cannot start: {len(uses)} of its ports {'is' if len(uses) == 1 else 'are'} in use",
        why="; ".join(uses),
        next_step="Stop these programs and run `trustplane local up` again, or start over on other ports with "
        "`trustplane local down` and `trustplane local up`",
    )
