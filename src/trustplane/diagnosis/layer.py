"""Layers of a message, from the kubelet down to the network."""

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """The subject of a layer."""

    KUBELET = "kubelet"
    GRPC = "gRPC"
    RUNTIME = "runtime"
    MIRROR = "mirror"
    RESOLVE = "manifest request"
    TOKEN = "token request"  # noqa: S105
    BLOB = "blob request"
    UNPACK = "unpacking"
    HTTP = "HTTP client"
    PROXY = "proxy"
    CONNECTION = "connection"
    DNS = "name lookup"
    TLS = "TLS"
    CERTIFICATE = "certificate check"
    ANSWER = "registry's answer"
    IMAGE = "image"
    NODE = "node"


class Runtime(enum.StrEnum):
    """The container runtime that wrote a message."""

    CONTAINERD = "containerd"
    CONTAINERS_IMAGE = "containers/image"  # CRI-O, podman, skopeo
    DOCKER = "Docker"
    UNKNOWN = "unknown"


class Role(enum.StrEnum):
    """The role of a failed host for the registry."""

    REGISTRY = "registry"
    MIRROR = "mirror"
    TOKEN_SERVICE = "token service"  # noqa: S105
    BLOB_STORE = "blob store"
    PROXY = "proxy"


@dataclass(frozen=True)
class Layer:
    """The text of one layer; `host` is the host it names, as host or host:port."""

    kind: Kind
    text: str
    host: str = ""


@dataclass(frozen=True)
class Endpoint:
    """The host that failed.

    Attributes:
        host: Its name or address, "" if the message has none.
        port: As text; 443 if the message names none, "" for a proxy without one.
        path: The path of the request, "" if the message has none.
        role: Its role for the registry.
        is_plain: Whether the request used plain HTTP.
    """

    host: str
    port: str = "443"
    path: str = ""
    role: Role = Role.REGISTRY
    is_plain: bool = False

    @property
    def address(self) -> str:
        """Return host and port as in an image reference, without port 443."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in {"443", ""} else f"{host}:{self.port}"
