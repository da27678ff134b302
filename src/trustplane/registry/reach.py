"""The hosts that Trustplane contacts because a registry names them.

It contacts hosts on the registry's own site, at addresses of the same kind as the registry's, and only reports the
others. Otherwise a registry, or an impostor, could make the user's machine contact hosts that only it can reach.
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from trustplane.registry.address import Address
from trustplane.registry.failure import Failure, failure_of
from trustplane.text import clean

FOLLOW_OPTION: Final = "--follow-hosts"
PUBLIC, PRIVATE, LINK_LOCAL, LOOPBACK = "public", "private", "link-local", "loopback"
_MAX_ADDRESSES: Final = 4  # tried for one name
_MAX_SHOWN: Final = 200  # characters of a host
_MIN_LABELS: Final = 2
# A short label below a country code is usually a public suffix: co.uk, com.au, ac.jp.
_MAX_SUFFIX_LABEL: Final = 3  # characters
_COUNTRY_CODE: Final = 2  # characters
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Target:
    """A host that Trustplane may contact, at these IP addresses only."""

    address: Address
    ips: tuple[str, ...] = ()
    failure: Failure | None = None  # why the host has no addresses


@dataclass(frozen=True)
class Unasked:
    """A host that Trustplane does not contact."""

    host: str
    why: str

    @property
    def message(self) -> str:
        """The host and the reason, for users."""
        return f"{self.host} was not contacted: {self.why}. {FOLLOW_OPTION} contacts other sites, without credentials"


def target(registry: Address, other: Address, *, anywhere: bool) -> Target | Unasked:
    """Decide whether Trustplane may contact a host that a registry names. Blocks while the resolver looks up both.

    Args:
        registry: The registry, as the user named it.
        other: The host, as the registry named it.
        anywhere: Whether the user allows hosts on other sites.
    """
    why = "" if anywhere or is_same_site(registry.host, other.host) else "it is not on the registry's site"
    if why:
        return Unasked(clean(str(other), _MAX_SHOWN), why)
    try:
        ips = resolve_host(other)
    except (OSError, ValueError) as error:
        failure = failure_of(error, connected=False) if isinstance(error, OSError) else Failure("unknown", str(error))
        return Target(other, failure=failure)
    why = skip_reason(_known_ips(registry), ips, anywhere=anywhere)
    return Unasked(clean(str(other), _MAX_SHOWN), why) if why else Target(other, ips)


def is_same_site(registry: str, other: str) -> bool:
    """Return whether a host is the registry's host, below it, or in its parent domain.

    The parent domain must have at least two labels, and three if it ends in a public suffix such as `co.uk`.
    """
    registry, other = registry.lower().rstrip("."), other.lower().rstrip(".")
    if registry == other:
        return True
    if _is_ip(registry) or _is_ip(other):
        return False
    bases = [domain for domain in (registry, registry.partition(".")[2]) if _is_site(domain)]
    return any(other == base or other.endswith(f".{base}") for base in bases)


def skip_reason(own: Collection[str], others: Collection[str], *, anywhere: bool) -> str:
    """Return why a host at these IP addresses must not be contacted, or "".

    Args:
        own: The registry's IP addresses.
        others: The host's IP addresses.
        anywhere: Whether the user allows private addresses. Loopback and link-local ones are allowed only if the
            registry has such an address.
    """
    allowed = {PUBLIC, *map(address_kind, own), *([PRIVATE] if anywhere else [])}
    refused = sorted(set(map(address_kind, others)) - allowed)
    return f"its address is {refused[0]}, and the registry's is not" if refused else ""


def address_kind(ip: str) -> str:
    """Return from where an IP address can be reached: PUBLIC, PRIVATE, LINK_LOCAL or LOOPBACK."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = embedded or address
    if address.is_loopback or address.is_unspecified:
        return LOOPBACK
    if address.is_link_local or address.is_multicast:
        return LINK_LOCAL
    return PUBLIC if address.is_global else PRIVATE


def resolve_host(address: Address) -> tuple[str, ...]:
    """Look up a host's IP addresses. Raises OSError, or ValueError for an invalid name."""
    results = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(result[4][0]) for result in results))[:_MAX_ADDRESSES]


def _known_ips(address: Address) -> tuple[str, ...]:
    try:
        return resolve_host(address)
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
    is_suffix = len(labels) == _MIN_LABELS and len(labels[1]) == _COUNTRY_CODE and len(labels[0]) <= _MAX_SUFFIX_LABEL
    return len(labels) >= _MIN_LABELS and all(labels) and not is_suffix
