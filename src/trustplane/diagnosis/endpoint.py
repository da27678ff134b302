"""Decide which host failed, and its role for the registry in the image reference."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from trustplane.api import dockerhub
from trustplane.api.dockerhub import canonical
from trustplane.api.image_reference import parse_image
from trustplane.diagnosis.layer import Endpoint, Kind, Layer, Role
from trustplane.diagnosis.names import is_name

DOCKER_HUB: Final = dockerhub.NAME
_HTTPS, _HTTP = "443", "80"
# Kubernetes' registry redirects requests for manifests to these hosts.
_REDIRECTING: Final = frozenset({"registry.k8s.io", "k8s.gcr.io"})
_REDIRECTED: Final = (".pkg.dev", "gcr.io")
_PORT: Final = re.compile(r"^(?P<host>.*?)(?::(?P<port>\d{1,5}))?$")


@dataclass(frozen=True)
class Facts:
    """The names in the layers of a message.

    Attributes:
        image: The image reference, "" if the message has none.
        url: The URL of the last request.
        host: The last host named outside a URL.
        address: The last address dialled.
    """

    image: str = ""
    url: str = ""
    host: str = ""
    address: str = ""


def registry_of(image: str) -> str:
    """Return the host[:port] of an image reference; Docker Hub if it has none, "" for text that names no image."""
    return parse_image(image).registry if is_name(image) else ""


def failed_endpoint(facts: Facts, layers: Iterable[Layer]) -> Endpoint:
    """Return the host that failed."""
    kinds = [layer.kind for layer in layers]
    registry = registry_of(facts.image)
    if Kind.PROXY in kinds:
        return _endpoint(facts.address, Role.PROXY)
    if facts.url:
        return _requested(facts.url, registry, kinds)
    if facts.host:
        return _endpoint(facts.host, _host_role(facts.host, registry, kinds))
    if Kind.TOKEN in kinds:
        return Endpoint("", role=Role.TOKEN_SERVICE)
    return _endpoint(registry or facts.address, Role.REGISTRY)


def _host_role(host: str, registry: str, kinds: list[Kind]) -> Role:
    if not registry or canonical(host) == registry:
        return Role.REGISTRY
    return Role.BLOB_STORE if Kind.BLOB in kinds else Role.MIRROR


def is_second_host(endpoint: Endpoint, image: str) -> bool:
    """Return whether the failed host is a second one of the registry: its token service or its blob store."""
    has_role = endpoint.role in {Role.TOKEN_SERVICE, Role.BLOB_STORE}
    return has_role and bool(endpoint.host) and canonical(endpoint.address) != registry_of(image)


def _requested(url: str, registry: str, kinds: list[Kind]) -> Endpoint:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # an invalid port, or a missing bracket
        return Endpoint("")
    address = host if port is None else f"{host}:{port}"
    is_registry = not registry or canonical(address) == registry
    is_redirect = registry in _REDIRECTING and host.endswith(_REDIRECTED)
    role = _role(
        parse_qs(parts.query),
        parts.path,
        kinds,
        is_registry=is_registry or is_redirect,
        is_known=bool(registry) and not is_redirect,
    )
    is_plain = parts.scheme == "http"
    return Endpoint(host, str(port or (_HTTP if is_plain else _HTTPS)), parts.path, role, is_plain)


def _role(query: dict[str, list[str]], path: str, kinds: list[Kind], *, is_registry: bool, is_known: bool) -> Role:
    if "ns" in query:  # containerd sends a mirror the name of the original registry
        return Role.MIRROR
    if {"scope", "service"} & query.keys() or Kind.TOKEN in kinds:
        return Role.TOKEN_SERVICE
    if Kind.BLOB in kinds:
        at_registry = is_registry if is_known else path.startswith("/v2/")
        return Role.REGISTRY if at_registry else Role.BLOB_STORE
    return Role.REGISTRY if is_registry else Role.MIRROR


def _endpoint(address: str, role: Role) -> Endpoint:
    match = _PORT.match(address)
    if match is None or address.count(":") > 1:
        return Endpoint(address.strip("[]"), role=role)
    return Endpoint(match["host"], match["port"] or ("" if role is Role.PROXY else _HTTPS), role=role)
