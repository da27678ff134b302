"""A node over SSH: what its containerd would trust, whether it has loaded that, its clock, and what it is served."""

import base64
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
from trustplane.diagnosis.evidence import Disk, Host, Vantage
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.proxy import through
from trustplane.errors import NodeError, TrustplaneError
from trustplane.nodes import plan, trust
from trustplane.nodes.hosts_toml import parse
from trustplane.nodes.state import CERTS, HOSTS, NodeState
from trustplane.nodes.trust import Shell
from trustplane.registry.address import Address
from trustplane.text import clean, redact

_SCRIPT: Final = files("trustplane.collectors").joinpath("node.sh").read_text()
_COMMAND: Final = "sudo -n sh -s"
# What goes into a script on a node is the host of an image's name, and nothing a shell would read otherwise.
_ADDRESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,260}")
SECOND_SECONDS: Final = 3.0  # for mirrors, and what is behind a proxy: known after the first look
_OF_HOST: Final = ("served", "asks")
_CONNECT: Final = "http://"  # the only proxies that can be tried by hand
_MAX_LINES: Final = 20_000  # of an answer: one for each file
_MAX_TOML: Final = 16 << 10  # characters of a hosts.toml that is read; one with 50 mirrors has 5,000
_MAX_MIRRORS: Final = 20  # that are asked by hand
_SHOWN: Final = 200  # characters of what a node says of a failure
_NO_PROXIES: Final[Mapping[str, str]] = MappingProxyType({})
_CLOCK_SECONDS: Final = 2.0  # what the way to a node may take


@dataclass(frozen=True)
class OnNode:
    """What was seen on a node.

    Attributes:
        disk: Its files and runtime.
        hosts: What it is served.
        challenge: How the registry asks it for credentials, such as `basic`; "" where that is not known.
        unseen: Mirrors, and hosts behind a proxy, that the node had no time to ask.
    """

    disk: Disk
    hosts: tuple[Host, ...]
    challenge: str = ""
    unseen: tuple[str, ...] = ()


async def look_at(node: Shell, registry: str, endpoints: Iterable[tuple[Role, str]], *, seconds: float) -> OnNode:
    """Look at a node; nothing is changed there.

    Raises:
        NodeError: It lacks what is needed, or its answer cannot be read.
        TransientError: The connection was lost.
    """
    try:
        return await _look_at(node, registry, endpoints, seconds=seconds)
    except (ValueError, ArithmeticError, RecursionError) as error:  # of base64, numbers, times, TOML
        raise NodeError(f"What node {node.address} answers cannot be read", why=clean(str(error), _SHOWN)) from error


async def _look_at(node: Shell, registry: str, endpoints: Iterable[tuple[Role, str]], *, seconds: float) -> OnNode:
    wanted = {address: role for role, address in endpoints}
    state = await trust.read(node)
    before = time.time()
    report = await _ask(node, f"main {registry if _ADDRESS.fullmatch(registry) else '-'}", wanted, seconds)
    disk = _disk(report, state, before)
    every = dict.fromkeys(_mirrors(disk), Role.MIRROR) | wanted
    disk = replace(disk, proxies=_proxies(report, every))
    report = [one for one in report if one[0] not in _OF_HOST or one[1] not in disk.proxies]
    later = tuple(one for one in every if one not in wanted or one in disk.proxies)
    try:
        report += await _ask(node, "dial", later, SECOND_SECONDS, disk.proxies) if later else []
        unseen: tuple[str, ...] = ()
    except TrustplaneError:  # one that does not answer hides nothing else
        unseen = later
    return OnNode(disk, tuple(_hosts(report, every, disk.proxies)), _challenge(report, wanted), unseen)


async def _ask(
    node: Shell, command: str, addresses: Iterable[str], seconds: float, proxies: Mapping[str, str] = _NO_PROXIES
) -> list[tuple[str, str, str]]:
    ways = [(one, proxies.get(one, "")) for one in addresses]
    dialled = " ".join(_dialled(*way) for way in ways if _can_be_tried(*way))
    output = await node.run(_COMMAND, stdin=f"{_SCRIPT}\n{command} {dialled}\n", timeout=seconds)
    if output.exit_status != 0:
        raise NodeError(
            f"Node {node.address} could not be looked at", why=clean(output.stderr.strip()[-_SHOWN:], _SHOWN)
        )
    if output.stdout.count("\n") > _MAX_LINES:
        raise NodeError(f"What node {node.address} answers cannot be read", why=f"it has more than {_MAX_LINES} lines")
    return list(_lines(output.stdout))


def _mirrors(disk: Disk) -> list[str]:
    """Return host[:port] of the mirrors that are asked by TLS."""
    asked = [one for path, text in disk.hosts_toml.items() if path.endswith(".toml") for one in mirrors(text)]
    return [netloc for one in asked[:_MAX_MIRRORS] if (netloc := _of_https(one))]


def _of_https(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket too few
        return ""
    return parts.netloc if parts.scheme == "https" else ""


def mirrors(hosts_toml: str) -> list[str]:
    """Return the hosts that containerd asks before the origin, in its order; none where it does not parse."""
    if len(hosts_toml) > _MAX_TOML:
        return []
    try:
        return [redact(endpoint.url) for endpoint in parse(hosts_toml).hosts]
    except ValueError:
        return []


def _dialled(address: str, proxy: str) -> str:
    read = Address.read(address)
    return f"{address}={read.host}:{read.port}={read.host}={proxy.removeprefix(_CONNECT)}"


def _can_be_tried(address: str, proxy: str) -> bool:
    via = proxy.removeprefix(_CONNECT)
    return bool(_ADDRESS.fullmatch(address)) and (not proxy or (via != proxy and bool(_ADDRESS.fullmatch(via))))


def _proxies(report: list[tuple[str, str, str]], addresses: Iterable[str]) -> dict[str, str]:
    """Return through which proxy containerd asks each host, of those that it does not ask itself."""
    said = {
        name: base64.b64decode(value).decode(errors="replace") for verb, name, value in report if verb == "variable"
    }
    return {one: proxy for one in addresses if (proxy := through(said, one))}


def _lines(output: str) -> Iterator[tuple[str, str, str]]:
    for line in output.splitlines():
        verb, _, rest = line.partition(" ")
        name, _, value = rest.rpartition(" ")  # a path may have blanks, no value has
        yield verb, name, value


def _disk(report: list[tuple[str, str, str]], state: NodeState, before: float) -> Disk:
    texts = {name: base64.b64decode(value) for verb, name, value in report if verb == "file"}
    roots = {path: text for path, text in texts.items() if not path.endswith(".toml")}
    read = {path: tuple(one.der for one in read_any(text).certificates) for path, text in roots.items()}
    clock = next((float(name) - before for verb, name, _ in report if verb == "clock"), 0.0)
    return Disk(
        roots={path: found for path, found in read.items() if found},
        malformed=tuple(path for path, text in roots.items() if "/tkg-" in path and not parse_pem(text).ok),
        is_stale=_is_stale(state),
        clock=timedelta(seconds=round(clock)) if abs(clock) > _CLOCK_SECONDS else timedelta(),
        hosts_toml={path: text.decode(errors="replace") for path, text in texts.items() if path.startswith(HOSTS)},
    )


def _is_stale(state: NodeState) -> bool | None:
    ours = {
        path: one.digest for path, one in state.files.items() if path.startswith(f"{CERTS}/tkg-") and one.is_regular
    }
    owned = plan.owned(state) or ours
    return not plan.is_fresh(state, ours, owned) if ours else None


def _hosts(
    report: list[tuple[str, str, str]], wanted: Mapping[str, Role], proxies: Mapping[str, str]
) -> Iterator[Host]:
    for verb, address, value in report:
        if verb == "served" and address in wanted:
            found = tuple(one.der for one in parse_pem(base64.b64decode(value)).certificates)
            if found:
                yield Host(wanted[address], address, Vantage.NODE, found, proxy=proxies.get(address, ""))


def _challenge(report: list[tuple[str, str, str]], wanted: dict[str, Role]) -> str:
    asked = (value for verb, address, value in report if verb == "asks" and wanted.get(address) is Role.REGISTRY)
    return next(asked, "").lower()
