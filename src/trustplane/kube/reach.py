"""Addresses that a client for a tenant's kubeconfig may connect to."""

import ipaddress
import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from trustplane.kube.access import HTTPS_PORT
from trustplane.kube.names import NameLookup

# Set by the operator for a stack on one machine: workload clusters may have any address.
ALLOWANCE: Final = "TRUSTPLANE_ALLOW_LOCAL_CLUSTERS"

ADDRESS_STEP: Final = "Give the cluster's control plane endpoint its own routable address, as Cluster API does"

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_FRESH_SECONDS: Final = 300.0  # lifetime of the management cluster's resolved addresses
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_THIS_NETWORK: Final = ipaddress.ip_network("0.0.0.0/8")


class RefusedAddressError(OSError):
    """Connecting to this address is not allowed."""


@dataclass(frozen=True)
class Reach:
    """The addresses that may be connected to.

    Attributes:
        own: addresses and ports of the management cluster's API server, which are always refused.
        is_local_allowed: whether the operator allows all addresses.
    """

    own: frozenset[tuple[str, int]] = frozenset()
    is_local_allowed: bool = False

    def refusal(self, address: str, port: int) -> str:
        """Return why an address is refused; empty: it is allowed."""
        if self.is_local_allowed:
            return ""
        parsed = _embedded(ipaddress.ip_address(address.partition("%")[0]))
        if (str(parsed), port) in self.own:
            return f"{parsed} port {port} is the management cluster's own API server"
        kind = _kind(parsed)
        return f"{parsed} is {kind} address, which no workload cluster can have" if kind else ""


def _embedded(address: IPAddress) -> IPAddress:
    """Return the IPv4 address embedded in an IPv6 address, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def _kind(address: IPAddress) -> str:
    if address.is_loopback:
        return "a loopback"
    if address.is_link_local:
        return "a link-local"
    if address.is_multicast:
        return "a multicast"
    if address.is_unspecified or (address.version == 4 and address in _THIS_NETWORK):  # noqa: PLR2004  IPv4
        return "an unspecified"
    return "a broadcast" if str(address) == "255.255.255.255" else ""


async def reach_beside(server: str) -> Reach:
    """Return the reach of tenants' clients, given the URL of the management cluster's API server."""
    named = [_host_and_port(server)]
    if host := os.environ.get("KUBERNETES_SERVICE_HOST"):
        named.append((host, int(os.environ.get("KUBERNETES_SERVICE_PORT") or HTTPS_PORT)))
    own = await _OWN.addresses(frozenset(named))
    return Reach(frozenset({*named, *own}), os.environ.get(ALLOWANCE) == "1")


class _Own:
    """The addresses of the management cluster's API server, cached because they rarely change."""

    def __init__(self) -> None:
        self._names = NameLookup()
        self._known: dict[tuple[str, int], tuple[float, frozenset[tuple[str, int]]]] = {}  # lookup time, addresses

    async def addresses(self, endpoints: frozenset[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return all addresses, with ports, of endpoints given as host and port."""
        return {address for endpoint in endpoints for address in await self._resolve(*endpoint)}

    async def _resolve(self, host: str, port: int) -> frozenset[tuple[str, int]]:
        since, known = self._known.get((host, port), (-math.inf, frozenset()))
        if time.monotonic() - since < _FRESH_SECONDS:
            return known
        if known:  # callers during this lookup use the known addresses
            self._known[host, port] = (time.monotonic(), known)
        try:
            resolved = await self._names.resolve(host)
        except (OSError, ValueError):
            return known  # an unresolvable name has no new address to protect
        addresses = frozenset((str(_embedded(ipaddress.ip_address(text.partition("%")[0]))), port) for text in resolved)
        self._known[host, port] = (time.monotonic(), addresses)
        return addresses


_OWN: Final = _Own()


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (HTTPS_PORT if parts.scheme == "https" else 80)


def socket_factory(reach: Reach) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Return a socket factory that raises RefusedAddressError for addresses outside `reach`.

    It checks the address of the actual connection, which may differ from an earlier DNS result.
    """

    def create(info: tuple[Any, ...]) -> socket.socket:
        family, type_, protocol, _, address = info
        if refusal := reach.refusal(address[0], address[1]):
            raise RefusedAddressError(refusal)
        return socket.socket(family, type_, protocol)

    return create
