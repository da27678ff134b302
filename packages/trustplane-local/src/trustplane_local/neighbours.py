"""Ports and subnets reserved by the other stacks of this machine, running or stopped.

Each stack registers itself by a note in the build cache, which contains the path of its state folder. A note is
ignored if its folder does not contain that stack.
"""

import fcntl
import ipaddress
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trustplane.errors import HostError
from trustplane_local import stack as stacks
from trustplane_local.stack import Stack

# RFC 2544 reserves it for benchmarks: real networks do not use it.
POOL = ipaddress.IPv4Network("198.18.0.0/15")
PREFIX = 18

_Route = dict[str, object]


@contextmanager
def lock_stacks(cache: Path) -> Generator[list[Stack]]:
    """Yield the registered stacks. No other process chooses ports or subnets until the block ends."""
    folder = cache / "stacks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _registered(folder)


def register_stack(stack: Stack) -> None:
    """Register a stack; call it within `lock_stacks`, before the stack's file is written."""
    (stack.cache / "stacks" / stack.id).write_text(f"{stack.folder}\n")


def unregister_stack(stack: Stack) -> None:
    """Remove a stack's note."""
    (stack.cache / "stacks" / stack.id).unlink(missing_ok=True)


def choose_subnet(used: Iterable[ipaddress.IPv4Network], requested: str = "") -> str:
    """Return the subnet for a new stack.

    Args:
        used: Networks of this machine's routes and of other stacks.
        requested: The user's subnet; empty for the first free one.

    Raises:
        HostError: The requested subnet is in use, or none is free.
    """
    used = list(used)
    candidates = [parse_subnet(requested)] if requested else list(POOL.subnets(new_prefix=PREFIX))
    for subnet in candidates:
        if not any(subnet.overlaps(network) for network in used):
            return str(subnet)
    clashes = sorted({str(network) for network in used if any(network.overlaps(subnet) for subnet in candidates)})
    raise HostError(
        f"The subnet {requested} is in use" if requested else f"No /{PREFIX} of {POOL} is free",
        why=f"this machine's routes or other stacks use {', '.join(clashes)}",
        next_step=f"Choose an unused private /{PREFIX} with `trustplane local up --subnet CIDR`, "
        "or remove another stack with `trustplane local down --state DIR`",
    )


def parse_subnet(text: str) -> ipaddress.IPv4Network:
    """Parse the option --subnet.

    Raises:
        ValueError: The text is not an IPv4 /18.
    """
    subnet = ipaddress.IPv4Network(text)
    if subnet.prefixlen != PREFIX:
        raise ValueError(f"{text} is not a /{PREFIX}")
    return subnet


def parse_routes(routes: bytes) -> list[ipaddress.IPv4Network]:
    """Return the networks in the output of `ip -j -4 route show table all`, without the default route."""
    entries = msgspec.json.decode(routes or b"[]", type=list[_Route])
    destinations = (str(route.get("dst", "default")) for route in entries)
    networks = (ipaddress.IPv4Network(text, strict=False) for text in destinations if text != "default")
    return [network for network in networks if network.prefixlen > 0]


def reserved_ports(neighbours: Collection[Stack]) -> set[int]:
    """Return all ports of these stacks."""
    return {port for stack in neighbours for port in stack.ports.values()}


def _registered(folder: Path) -> list[Stack]:
    notes = [note for note in sorted(folder.iterdir()) if note.name != "lock"]
    return [stack for note in notes if (stack := _read_note(note)) is not None]


def _read_note(note: Path) -> Stack | None:
    try:
        stack = stacks.read_stack(Path(note.read_text().strip()))
    except (OSError, msgspec.DecodeError):
        return None
    return stack if stack is not None and stack.id == note.name else None
