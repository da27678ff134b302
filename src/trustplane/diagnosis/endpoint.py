"""Which host really failed, and what it is to the registry that the image's name begins with."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from trustplane.api import dockerhub
from trustplane.api.dockerhub import canonical
from trustplane.diagnosis.layer import Endpoint, Kind, Layer, Role

DOCKER_HUB: Final = dockerhub.NAME
_HTTPS, _HTTP = "443", "80"
_PORT: Final = re.compile(r"^(?P<host>.*?)(?::(?P<port>\d{1,5}))?$")


@dataclass(frozen=True)
class Facts:
    """What the layers named.

    Attributes:
        image: The image's name, "" where the message has none.
        url: The last request's.
        host: The last host that was named without a URL.
        address: The last address that was dialled.
    """

    image: str = ""
    url: str = ""
    host: str = ""
    address: str = ""


def registry_of(image: str) -> str:
    """Return the host:port that an image's name begins with; Docker Hub where it begins with none, "" without name."""
    if not image:
        return ""
    first, slash, _ = image.partition("/")
    names_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return canonical(first) if names_host else DOCKER_HUB


def failed(facts: Facts, layers: Iterable[Layer]) -> Endpoint:
    """Say which host failed."""
    kinds = [one.kind for one in layers]
    registry = registry_of(facts.image)
    if Kind.PROXY in kinds:
        return _endpoint(facts.address, Role.PROXY)
    if facts.url:
        return _requested(facts.url, registry, kinds)
    if facts.host:
        return _endpoint(
            facts.host, Role.REGISTRY if not registry or canonical(facts.host) == registry else Role.MIRROR
        )
    if Kind.TOKEN in kinds:
        return Endpoint("", role=Role.TOKEN_SERVICE)
    return _endpoint(registry or facts.address, Role.REGISTRY)


def is_elsewhere(endpoint: Endpoint, image: str) -> bool:
    """Tell whether a second host of the registry failed: its token service or its blob store."""
    second = endpoint.role in {Role.TOKEN_SERVICE, Role.BLOB_STORE}
    return second and bool(endpoint.host) and canonical(endpoint.address) != registry_of(image)


def _requested(url: str, registry: str, kinds: list[Kind]) -> Endpoint:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a port that is none, a bracket too few
        return Endpoint("")
    address = host if port is None else f"{host}:{port}"
    same = not registry or canonical(address) == registry
    role = _role(parse_qs(parts.query), parts.path, kinds, same=same, known=bool(registry))
    is_plain = parts.scheme == "http"
    return Endpoint(host, str(port or (_HTTP if is_plain else _HTTPS)), parts.path, role, is_plain)


def _role(query: dict[str, list[str]], path: str, kinds: list[Kind], *, same: bool, known: bool) -> Role:
    if "ns" in query:  # containerd tells a mirror whose image it wants
        return Role.MIRROR
    if {"scope", "service"} & query.keys() or Kind.TOKEN in kinds:
        return Role.TOKEN_SERVICE
    if Kind.BLOB in kinds:
        at_registry = same if known else path.startswith("/v2/")
        return Role.REGISTRY if at_registry else Role.BLOB_STORE
    return Role.REGISTRY if same else Role.MIRROR


def _endpoint(address: str, role: Role) -> Endpoint:
    found = _PORT.match(address)
    if found is None or address.count(":") > 1:
        return Endpoint(address.strip("[]"), role=role)
    return Endpoint(found["host"], found["port"] or _HTTPS, role=role)
