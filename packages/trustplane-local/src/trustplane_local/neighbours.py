"""What other stacks of this machine keep for themselves: ports and subnets, also while they are stopped.

Every stack leaves a note in the build cache that says where its state folder is. A note without a stack behind it is
void.
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

# Set aside by RFC 2544 for benchmarks between hosts: no network out there uses it.
POOL = ipaddress.IPv4Network("198.18.0.0/15")
PREFIX = 18

_Route = dict[str, object]


@contextmanager
def lock_stacks(cache: Path) -> Generator[list[Stack]]:
    """Yield the known stacks; nobody else chooses until the block ends."""
    folder = cache / "stacks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _known(folder)


def register_stack(stack: Stack) -> None:
    """Leave the note for others; call it within `choosing`, before the stack's own file is written."""
    (stack.cache / "stacks" / stack.id).write_text(f"{stack.folder}\n")


def unregister_stack(stack: Stack) -> None:
    """Remove the note."""
    (stack.cache / "stacks" / stack.id).unlink(missing_ok=True)


def choose_subnet(used: Iterable[ipaddress.IPv4Network], asked: str = "") -> str:
    """Return the subnet for a new stack.

    Args:
        used: networks of this machine's routes and of other stacks.
        asked: the subnet that the user wants; empty to take the first free one.

    Raises:
        HostError: it is in use, or none is left.
    """
    used = list(used)
    wanted = [parse_subnet(asked)] if asked else list(POOL.subnets(new_prefix=PREFIX))
    for subnet in wanted:
        if not any(subnet.overlaps(one) for one in used):
            return str(subnet)
    clashes = sorted({str(one) for one in used if any(one.overlaps(subnet) for subnet in wanted)})
    raise HostError(
        f"The subnet {asked} is in use" if asked else f"No /{PREFIX} of {POOL} is free",
        why=f"this machine's routes or other stacks use {', '.join(clashes)}",
        next_step=f"Choose a private /{PREFIX} that this machine does not use with `trustplane local up --subnet`, "
        "or stop another stack with `trustplane local down --state DIR`",
    )


def parse_subnet(asked: str) -> ipaddress.IPv4Network:
    """Parse what the user gave as --subnet.

    Raises:
        ValueError: it is not an IPv4 /18.
    """
    subnet = ipaddress.IPv4Network(asked)
    if subnet.prefixlen != PREFIX:
        raise ValueError(f"{asked} is not a /{PREFIX}")
    return subnet


def parse_routes(routes: bytes) -> list[ipaddress.IPv4Network]:
    """Return the networks in the output of `ip -j -4 route show table all`; the default route is none of them."""
    destinations = (str(one.get("dst", "default")) for one in msgspec.json.decode(routes or b"[]", type=list[_Route]))
    networks = (ipaddress.IPv4Network(one, strict=False) for one in destinations if one != "default")
    return [one for one in networks if one.prefixlen > 0]


def reserved_ports(neighbours: Collection[Stack]) -> set[int]:
    """Return every port of these stacks."""
    return {port for one in neighbours for port in one.ports.values()}


def _known(folder: Path) -> list[Stack]:
    found = []
    for note in sorted(folder.iterdir()):
        kept = None if note.name == "lock" else _stack(note)
        if kept is not None:
            found.append(kept)
    return found


def _stack(note: Path) -> Stack | None:
    try:
        kept = stacks.read_stack(Path(note.read_text().strip()))
    except (OSError, msgspec.DecodeError):
        return None
    return kept if kept is not None and kept.id == note.name else None
