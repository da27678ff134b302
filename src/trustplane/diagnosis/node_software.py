"""The units and paths of the software on a node, by the runtime that wrote a message."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trustplane.diagnosis.layer import Runtime


@dataclass(frozen=True)
class NodeSoftware:
    """Templates of a runtime's units and paths; `{registry}` is the registry's host.

    Attributes:
        unit: Its unit in systemd.
        data: The directory of its images.
        trust: How to have it trust a CA outside of Trustplane; "" if Trustplane writes the file.
        ca_file: Where its configuration names a CA file, or where the file is.
        client: How to set a client certificate.
        restart: How to make it read its trust again.
        scheme: Where the port and scheme of a registry are set.
        configuration: Its registry configuration.
    """

    unit: str = "containerd"
    data: str = "/var/lib/containerd"
    trust: str = ""
    ca_file: str = "the CA file that /etc/containerd/certs.d/{registry}/hosts.toml names"
    client: str = "set `client` to the certificate and key in /etc/containerd/certs.d/{registry}/hosts.toml"
    restart: str = "systemctl restart containerd (running containers keep running)"
    scheme: str = "hosts.toml"
    configuration: str = "/etc/containerd/certs.d/*/hosts.toml"


_DOCKER: Final = NodeSoftware(
    "docker",
    "/var/lib/docker",
    "/etc/docker/certs.d/{registry}/ca.crt (no restart)",
    "/etc/docker/certs.d/{registry}/ca.crt",
    "write the certificate and key to /etc/docker/certs.d/{registry}/client.cert and client.key",
    "systemctl restart docker (only for CAs in the system's store; those in certs.d need no restart)",
    "insecure-registries in /etc/docker/daemon.json",
    "/etc/docker/daemon.json",
)
_CRIO: Final = NodeSoftware(
    "crio",
    "/var/lib/containers/storage",
    "/etc/containers/certs.d/{registry}/ca.crt (no restart)",
    "/etc/containers/certs.d/{registry}/ca.crt",
    "write the certificate and key to /etc/containers/certs.d/{registry}/client.cert and client.key",
    "systemctl restart crio (only for CAs in the system's store; those in certs.d need no restart)",
    "`insecure` in /etc/containers/registries.conf",
    "/etc/containers/registries.conf",
)
_UNKNOWN: Final = NodeSoftware()


def _rancher(name: str, unit: str) -> NodeSoftware:
    file = f"/etc/rancher/{name}/registries.yaml"
    return NodeSoftware(
        unit,
        f"/var/lib/rancher/{name}/agent/containerd",
        f"a file that `ca_file` of {{registry}} in {file} names, then: systemctl restart {unit}",
        f"`ca_file` of {{registry}} in {file}",
        f"set `cert_file` and `key_file` of {{registry}} in {file}, then: systemctl restart {unit}",
        f"systemctl restart {unit} (it writes containerd's configuration from {file})",
        file,
        file,
    )


_BY_RUNTIME: Final[Mapping[str, NodeSoftware]] = MappingProxyType(
    {
        Runtime.DOCKER: _DOCKER,
        Runtime.CONTAINERS_IMAGE: _CRIO,
        "k3s": _rancher("k3s", "k3s-agent"),
        "rke2": _rancher("rke2", "rke2-agent"),
    }
)


def software_of(runtime: Runtime, platform: str) -> NodeSoftware:
    """Return the software of a runtime, or of a distribution that brings its own: `k3s`, `rke2`."""
    return _BY_RUNTIME.get(platform) or _BY_RUNTIME.get(runtime) or _UNKNOWN
