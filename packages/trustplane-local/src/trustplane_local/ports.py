"""Ports on 127.0.0.1: chosen once for a stack, and named with their holder when somebody else has one.

They come from below the range that the kernel gives to outgoing connections (32768 and up on Linux), so that no
client's connection ever sits on a port while the stack is down.
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
        names: what the ports are for.
        taken: ports kept by other stacks, in use at the moment or not.
        is_free: tells whether nobody listens on a port.
        order: the ports to try, one after the other; by default all, shuffled.

    Raises:
        HostError: there are too few.
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
            why="other programs listen on the rest",
            next_step="Stop some of them (`ss -ltnp` lists them), then run `trustplane local up` again",
        )
    return chosen


def is_free(port: int) -> bool:
    """Tell whether a server could listen on that port, on any address of this machine."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - bound, never listened on
        if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
            continue
        with socket.socket(family, socket.SOCK_STREAM) as server:
            # As servers do: connections that are closing do not count.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((address, port))
            except OSError:
                return False
    return True


def find_listener(port: int) -> str:
    """Return who listens on that port, as `name (pid N)`, or nothing where the kernel does not tell."""
    with contextlib.suppress(OSError):
        listing = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False, timeout=10
        )
        return parse_listener(listing.stdout)
    return ""


def parse_listener(listing: str) -> str:
    """Return the first process in the output of `ss -ltnp`, as `name (pid N)`."""
    found = _USER.search(listing)
    return f"{found['program']} (pid {found['pid']})" if found else ""


def occupied_error(taken: Mapping[str, int], who: Callable[[int], str], folder: Path) -> HostError:
    """Return the error for ports of a stack that somebody else holds.

    Args:
        taken: port by the name of its part.
        who: tells who listens on a port.
        folder: the stack's state folder.
    """
    held = [f"port {port} of {name} is held by {who(port) or 'another program'}" for name, port in taken.items()]
    return HostError(
        f"The stack in {folder} cannot start: {len(held)} of its ports {'is' if len(held) == 1 else 'are'} taken",
        why="; ".join(held),
        next_step="Stop what holds it and run `trustplane local up` again, or start over on other ports with "
        "`trustplane local down` and `trustplane local up`",
    )
