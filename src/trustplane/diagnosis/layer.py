"""Layers of a message: who said what on the way from the kubelet to the wire."""

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """Who speaks."""

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
    """Which container runtime wrote a message."""

    CONTAINERD = "containerd"
    CONTAINERS_IMAGE = "containers/image"  # CRI-O, podman, skopeo
    DOCKER = "Docker"
    UNKNOWN = "unknown"


class Role(enum.StrEnum):
    """What the host that failed is to the registry."""

    REGISTRY = "registry"
    MIRROR = "mirror"
    TOKEN_SERVICE = "token service"  # noqa: S105
    BLOB_STORE = "blob store"
    PROXY = "proxy"


@dataclass(frozen=True)
class Layer:
    """What one layer said; `host` is the one that it names, as host or host:port."""

    kind: Kind
    words: str
    host: str = ""


@dataclass(frozen=True)
class Endpoint:
    """The host that failed.

    Attributes:
        host: Its name or address, "" where the message has none.
        port: As text; 443 where the message names none.
        path: Of the request, "" where the message has none.
        role: What it is to the registry.
        is_plain: Whether it was asked in plain HTTP.
    """

    host: str
    port: str = "443"
    path: str = ""
    role: Role = Role.REGISTRY
    is_plain: bool = False

    @property
    def address(self) -> str:
        """Host and port, as in an image's name: the port 443 is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == "443" else f"{host}:{self.port}"
