"""Which hosts are asked because a registry names them. What it names is its choice, and none of who looks at it.

Followed are hosts of the registry's own site, at addresses of the registry's own kind: else a registry, or who speaks
in its place, could have an operator's machine ask hosts that only that machine reaches. The rest is named, not asked.
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from trustplane.registry.address import Address
from trustplane.registry.failure import Failure, failure_of
from trustplane.text import clean

OPTION: Final = "--follow-hosts"
PUBLIC, PRIVATE, LINK_LOCAL, LOOPBACK = "public", "private", "link-local", "loopback"
_MAX_ADDRESSES: Final = 4  # that are tried of one name
_SHOWN: Final = 200  # characters of a host
_LABELS: Final = 2
# Below a country's code, such a label is a registry of domains: co.uk, com.au, ac.jp.
_SECOND_LEVEL: Final = 3  # characters, at most
_COUNTRY: Final = 2
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Target:
    """A host that may be asked, at the addresses for which that was decided."""

    address: Address
    ips: tuple[str, ...] = ()
    failure: Failure | None = None  # why it has no addresses


@dataclass(frozen=True)
class Unasked:
    """A host that is not asked."""

    host: str
    why: str

    @property
    def message(self) -> str:
        """What is said of it."""
        return f"{self.host} was not asked: {self.why}. {OPTION} asks other sites, without credentials"


def target(registry: Address, other: Address, *, anywhere: bool) -> Target | Unasked:
    """Decide about a host that a registry names, and look up both. It blocks for as long as the resolver does.

    Args:
        registry: As the operator named it.
        other: As the registry names it.
        anywhere: The operator wants other sites to be asked, too.
    """
    why = "" if anywhere or is_same_site(registry.host, other.host) else "it is on another site than the registry"
    if why:
        return Unasked(clean(str(other), _SHOWN), why)
    try:
        ips = resolve(other)
    except (OSError, ValueError) as error:
        failure = failure_of(error, connected=False) if isinstance(error, OSError) else Failure("unknown", str(error))
        return Target(other, failure=failure)
    why = refusal(_resolved(registry), ips, anywhere=anywhere)
    return Unasked(clean(str(other), _SHOWN), why) if why else Target(other, ips)


def is_same_site(registry: str, other: str) -> bool:
    """Tell whether a host is the registry's, below it, or in the domain right above it.

    That domain must have two labels, three where it looks like a registry of domains (`co.uk`).
    """
    registry, other = registry.lower().rstrip("."), other.lower().rstrip(".")
    if registry == other:
        return True
    if _is_ip(registry) or _is_ip(other):
        return False
    bases = [one for one in (registry, registry.partition(".")[2]) if _is_site(one)]
    return any(other == one or other.endswith(f".{one}") for one in bases)


def refusal(own: Collection[str], others: Collection[str], *, anywhere: bool) -> str:
    """Say why a host at these addresses is not asked; empty where it may be.

    Args:
        own: The registry's addresses.
        others: The host's.
        anywhere: As in `target`. This machine itself, and its link, are never asked for a registry that is elsewhere.
    """
    known = {PUBLIC, *map(kind, own), *([PRIVATE] if anywhere else [])}
    refused = sorted({kind(one) for one in others} - known)
    return f"its address is {refused[0]}, and the registry's is not" if refused else ""


def kind(ip: str) -> str:
    """Return who reaches an address."""
    found = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = inner or found
    if found.is_loopback or found.is_unspecified:
        return LOOPBACK
    if found.is_link_local or found.is_multicast:
        return LINK_LOCAL
    return PUBLIC if found.is_global else PRIVATE


def resolve(address: Address) -> tuple[str, ...]:
    """Look up a host. Raises OSError, or ValueError for what is no name."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))[:_MAX_ADDRESSES]


def _resolved(address: Address) -> tuple[str, ...]:
    try:
        return resolve(address)
    except (OSError, ValueError):
        return ()


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_site(domain: str) -> bool:
    labels = domain.split(".")
    is_suffix = len(labels) == _LABELS and len(labels[1]) == _COUNTRY and len(labels[0]) <= _SECOND_LEVEL
    return len(labels) >= _LABELS and all(labels) and not is_suffix
