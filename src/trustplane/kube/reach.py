"""Which addresses a client that a stranger's kubeconfig describes may connect to."""

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
from trustplane.kube.names import Names

# Of the operator alone, for a stack on one machine: a workload cluster may be at any address.
ALLOWANCE: Final = "TRUSTPLANE_ALLOW_LOCAL_CLUSTERS"

ADDRESS_STEP: Final = "Have the control plane's endpoint be an address of its own, as Cluster API makes it"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_FRESH_SECONDS: Final = 300.0  # that our own addresses are known
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_THIS_NETWORK: Final = ipaddress.ip_network("0.0.0.0/8")


class RefusedAddressError(OSError):
    """An address is not connected to."""


@dataclass(frozen=True)
class Reach:
    """What may be connected to.

    Attributes:
        own: Addresses and ports of the management cluster's API server: never.
        is_local_allowed: Whether the operator allows all addresses.
    """

    own: frozenset[tuple[str, int]] = frozenset()
    is_local_allowed: bool = False

    def refusal(self, address: str, port: int) -> str:
        """Return why an address is not connected to; empty: it may be."""
        if self.is_local_allowed:
            return ""
        parsed = _embedded(ipaddress.ip_address(address.partition("%")[0]))
        if (str(parsed), port) in self.own:
            return f"{parsed} port {port} is the management cluster's own API server"
        kind = _kind(parsed)
        return f"{parsed} is {kind} address, and no workload cluster's" if kind else ""


def _embedded(address: Address) -> Address:
    """Return the IPv4 address that is meant by an IPv6 one, where it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def _kind(address: Address) -> str:
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
    """Return what strangers' clients may reach, by the URL of the management cluster's API server."""
    named = [_host_and_port(server)]
    if host := os.environ.get("KUBERNETES_SERVICE_HOST"):
        named.append((host, int(os.environ.get("KUBERNETES_SERVICE_PORT") or HTTPS_PORT)))
    own = await _OWN.addresses(frozenset(named))
    return Reach(frozenset({*named, *own}), os.environ.get(ALLOWANCE) == "1")


class _Own:
    """The addresses of the management cluster's own API server, looked up now and then: they hardly ever change."""

    def __init__(self) -> None:
        self._names = Names()
        self._known: dict[tuple[str, int], tuple[float, frozenset[tuple[str, int]]]] = {}  # when looked up; addresses

    async def addresses(self, named: frozenset[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return all addresses, with their ports, of hosts and ports."""
        return {address for place in named for address in await self._of(*place)}

    async def _of(self, host: str, port: int) -> frozenset[tuple[str, int]]:
        since, known = self._known.get((host, port), (-math.inf, frozenset()))
        if time.monotonic() - since < _FRESH_SECONDS:
            return known
        if known:  # who comes meanwhile is not to wait, nor to look it up as well
            self._known[host, port] = (time.monotonic(), known)
        try:
            resolved = await self._names.resolve(host)
        except (OSError, ValueError):
            return known  # a name that does not resolve now has no other address that could be met
        found = frozenset((str(_embedded(ipaddress.ip_address(one.partition("%")[0]))), port) for one in resolved)
        self._known[host, port] = (time.monotonic(), found)
        return found


_OWN: Final = _Own()


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (HTTPS_PORT if parts.scheme == "https" else 80)


def guard(reach: Reach) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Return what makes the sockets of connections: by then the address is known, whatever a name resolved to before.

    It raises RefusedAddressError for an address that is not connected to.
    """

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, type_, protocol, _, address = info
        if refusal := reach.refusal(address[0], address[1]):
            raise RefusedAddressError(refusal)
        return socket.socket(family, type_, protocol)

    return make
