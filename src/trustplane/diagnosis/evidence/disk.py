"""Inspect a node over SSH: the CAs its containerd would trust, its clock, and the chains that it receives."""

import base64
import contextlib
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.resources import files
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from trustplane.certificates.parsing import parse_pem
from trustplane.certificates.repair import read_any
from trustplane.diagnosis.evidence.limit import TimeLimits
from trustplane.diagnosis.facts import Disk, Host, ObservedFrom
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.proxy import proxy_for
from trustplane.errors import NodeError, TrustplaneError
from trustplane.nodes import plan, trust
from trustplane.nodes.hosts_toml import parse_hosts_toml
from trustplane.nodes.state import CERTS, HOSTS, NodeReport
from trustplane.nodes.trust import Shell
from trustplane.registry.address import Address
from trustplane.text import clean, redact

_SCRIPT: Final = files("trustplane.diagnosis.evidence").joinpath("node.sh").read_text()
_COMMAND: Final = "sudo -n sh -s"
# Only the host of an image reference goes into a script on a node, and only if a shell does not interpret any of it.
_ADDRESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,260}")
_HOST_VERBS: Final = ("served", "asks")
_CONNECT: Final = "http://"  # the scheme of proxies that openssl can use
_MAX_LINES: Final = 20_000  # of a report: one per file
_MAX_TOML: Final = 16 << 10  # characters of a hosts.toml; one with 50 mirrors has 5,000
_MAX_MIRRORS: Final = 20
_MAX_ERROR: Final = 200  # characters
_NO_PROXIES: Final[Mapping[str, str]] = MappingProxyType({})
_CLOCK_SECONDS: Final = 2.0  # the network delay to a node

Line = tuple[str, str, str]  # verb, name and value; see node.sh


@dataclass(frozen=True)
class NodeInspection:
    """The state of a node, and of the registry as the node reaches it.

    Attributes:
        disk: Its files and runtime.
        hosts: The hosts that it dialled, with the chains that they served.
        challenge: The registry's authentication scheme, such as `basic`; "" if unknown.
        unanswered: Hosts from which the node received no certificate in time.
    """

    disk: Disk
    hosts: tuple[Host, ...]
    challenge: str = ""
    unanswered: tuple[str, ...] = ()


async def inspect_node(
    node: Shell, registry: str, endpoints: Iterable[tuple[Role, str]], limits: TimeLimits
) -> NodeInspection:
    """Inspect a node without changing it.

    Raises:
        NodeError: It lacks a program that the script needs, or its report cannot be parsed.
        TransientError: The connection was lost.
    """
    try:
        return await _inspect(node, registry, endpoints, limits)
    except (ValueError, ArithmeticError, RecursionError) as error:  # base64, numbers, times, TOML
        raise NodeError(
            f"The report of node {node.address} cannot be parsed", why=clean(str(error), _MAX_ERROR)
        ) from error


async def _inspect(
    node: Shell, registry: str, endpoints: Iterable[tuple[Role, str]], limits: TimeLimits
) -> NodeInspection:
    named = {address: role for role, address in endpoints}
    state = await trust.read(node)
    before = time.time()
    wait = math.ceil(limits.handshake)
    name = registry if _ADDRESS.fullmatch(registry) else "-"
    report = await _run(node, f"main {wait} {name}", named, seconds=limits.node)
    if ("end", "-", "-") not in report:  # a node without any CA and a report cut short look alike
        raise NodeError(f"The report of node {node.address} is incomplete")
    disk = _disk(report, state, before)
    every = dict.fromkeys(_mirrors(disk), Role.MIRROR) | named
    disk = replace(disk, proxies=_proxies(report, every))
    report = [line for line in report if line[0] not in _HOST_VERBS or line[1] not in disk.proxies]
    later = tuple(address for address in every if address not in named or address in disk.proxies)
    with contextlib.suppress(TrustplaneError):  # keep the first report
        report += await _run(node, f"dial {wait}", later, disk.proxies, seconds=limits.second) if later else []
    hosts = tuple(_hosts(report, every, disk.proxies))
    return NodeInspection(disk, hosts, _challenge(report, named), _unanswered(every, hosts))


def _unanswered(addresses: Iterable[str], hosts: Iterable[Host]) -> tuple[str, ...]:
    known = {host.address for host in hosts}
    return tuple(address for address in addresses if address not in known)


async def _run(
    node: Shell,
    command: str,
    addresses: Iterable[str],
    proxies: Mapping[str, str] = _NO_PROXIES,
    *,
    seconds: float,
) -> list[Line]:
    routes = [(address, proxies.get(address, "")) for address in addresses]
    arguments = " ".join(_argument(*route) for route in routes if _is_usable(*route))
    output = await node.run(_COMMAND, stdin=f"{_SCRIPT}\n{command} {arguments}\n", timeout=seconds)
    if output.exit_status != 0:
        raise NodeError(
            f"The inspection of node {node.address} failed", why=clean(output.stderr.strip()[-_MAX_ERROR:], _MAX_ERROR)
        )
    if output.stdout.count("\n") > _MAX_LINES:
        raise NodeError(
            f"The report of node {node.address} cannot be parsed", why=f"it has more than {_MAX_LINES} lines"
        )
    return list(_lines(output.stdout))


def _mirrors(disk: Disk) -> list[str]:
    """Return host[:port] of the mirrors with an HTTPS URL."""
    urls = [url for path, text in disk.hosts_toml.items() if path.endswith(".toml") for url in mirrors(text)]
    return [netloc for url in urls[:_MAX_MIRRORS] if (netloc := _https_netloc(url))]


def _https_netloc(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # a missing bracket
        return ""
    return parts.netloc if parts.scheme == "https" else ""


def mirrors(hosts_toml: str) -> list[str]:
    """Return the URLs of the hosts that containerd asks before the origin, in order; none if it cannot be parsed."""
    if len(hosts_toml) > _MAX_TOML:
        return []
    try:
        return [redact(endpoint.url) for endpoint in parse_hosts_toml(hosts_toml).hosts]
    except ValueError:
        return []


def _argument(address: str, proxy: str) -> str:
    target = Address.read(address)
    return f"{address}={target.host}:{target.port}={target.host}={proxy.removeprefix(_CONNECT)}"


def _is_usable(address: str, proxy: str) -> bool:
    via = proxy.removeprefix(_CONNECT)
    return bool(_ADDRESS.fullmatch(address)) and (not proxy or (via != proxy and bool(_ADDRESS.fullmatch(via))))


def _proxies(report: list[Line], addresses: Iterable[str]) -> dict[str, str]:
    """Return containerd's proxy for each host that it does not reach directly."""
    environment = {
        name: base64.b64decode(value).decode(errors="replace") for verb, name, value in report if verb == "variable"
    }
    return {address: proxy for address in addresses if (proxy := proxy_for(environment, address))}


def _lines(output: str) -> Iterator[Line]:
    for line in output.splitlines():
        verb, _, rest = line.partition(" ")
        name, _, value = rest.rpartition(" ")  # a path may contain blanks; a value does not
        yield verb, name, value


def _disk(report: list[Line], state: NodeReport, before: float) -> Disk:
    texts = {name: base64.b64decode(value) for verb, name, value in report if verb == "file"}
    roots = {path: text for path, text in texts.items() if not path.endswith(".toml")}
    ders = {path: tuple(ca.der for ca in read_any(text).certificates) for path, text in roots.items()}
    clock = next((float(name) - before for verb, name, _ in report if verb == "clock"), 0.0)
    return Disk(
        roots={path: certificates for path, certificates in ders.items() if certificates},
        malformed=tuple(path for path, text in roots.items() if "/tkg-" in path and not parse_pem(text).ok),
        is_stale=_is_stale(state),
        clock=timedelta(seconds=round(clock)) if abs(clock) > _CLOCK_SECONDS else timedelta(),
        hosts_toml={path: text.decode(errors="replace") for path, text in texts.items() if path.startswith(HOSTS)},
    )


def _is_stale(state: NodeReport) -> bool | None:
    trust_files = {
        path: file.digest for path, file in state.files.items() if path.startswith(f"{CERTS}/tkg-") and file.is_regular
    }
    owned = plan.managed_files(state) or trust_files
    return not plan.has_loaded_files(state, trust_files, owned) if trust_files else None


def _hosts(report: list[Line], roles: Mapping[str, Role], proxies: Mapping[str, str]) -> Iterator[Host]:
    for verb, address, value in report:
        if verb == "served" and address in roles:
            chain = tuple(certificate.der for certificate in parse_pem(base64.b64decode(value)).certificates)
            if chain:
                yield Host(roles[address], address, ObservedFrom.NODE, chain, proxy=proxies.get(address, ""))


def _challenge(report: list[Line], roles: Mapping[str, Role]) -> str:
    schemes = (value for verb, address, value in report if verb == "asks" and roles.get(address) is Role.REGISTRY)
    return next(schemes, "").lower()
