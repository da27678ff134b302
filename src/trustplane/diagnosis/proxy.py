"""The proxy that a Go program such as containerd uses for a host, by its environment. Pure.

Sources: https://pkg.go.dev/golang.org/x/net/http/httpproxy; for localhost also containerd, core/remotes/docker.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

_MAX_PORT_DIGITS: Final = 5
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080}


def proxy_for(environment: Mapping[str, str], address: str) -> str:
    """Return the proxy for HTTPS to `host[:port]`, as `scheme://host:port` without credentials; "" without a proxy."""
    proxy = _proxy(environment.get("HTTPS_PROXY") or environment.get("https_proxy") or "")
    excepted = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    host, port = _host_and_port(address.lower())
    if not proxy or _is_loopback(host) or any(_matches(pattern, host, port) for pattern in _patterns(excepted)):
        return ""
    return proxy


def is_localhost(address: str) -> bool:
    """Return whether containerd treats `host[:port]` as local: then it neither requires TLS nor verifies it."""
    return _is_loopback(_host_and_port(address.lower())[0])


def _proxy(text: str) -> str:
    try:
        parts = urlsplit(text.strip() if "://" in text else f"http://{text.strip()}")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return ""
    if not parts.hostname or not port or parts.scheme not in _DEFAULT_PORTS:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def _patterns(text: str) -> Iterator[str]:
    yield from (pattern for pattern in (part.strip().lower() for part in text.split(",")) if pattern)


def _matches(pattern: str, host: str, port: int) -> bool:
    if pattern == "*":
        return True
    address = _address(host)
    if "/" in pattern:
        network = _network(pattern)
        return bool(network and address and address in network)
    excepted, excepted_port = _host_and_port(pattern, default=0)
    if not excepted or excepted_port not in (0, port):
        return False
    if literal := _address(excepted):
        return literal == address
    name = excepted.removeprefix("*")
    return host.endswith(name if name.startswith(".") else f".{name}") or host == name


def _host_and_port(text: str, default: int = _DEFAULT_PORTS["https"]) -> tuple[str, int]:
    """Split `host`, `host:port`, `[address]:port`, or a bare IPv6 address."""
    if _address(text):
        return text, default
    host, separator, port = text.rpartition(":")
    if separator and port.isdecimal() and len(port) <= _MAX_PORT_DIGITS:
        return host.strip("[]"), int(port)
    return text.strip("[]"), default


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return host == "localhost" or bool(address and address.is_loopback)
