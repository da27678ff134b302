"""Registry-scoped trust files that have no effect, because containerd reads other files of certs.d. Pure.

containerd fixes the name `hosts.toml`. A foreign `hosts.toml` is never changed: `nodes.plan` reports a conflict.
`trust.node_files` describes the files that containerd reads, and their order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trustplane.nodes.state import HOSTS, NodeReport
from trustplane.trust.node_files import hosts_toml_path, parse_hosts_toml_path, registry_directory


@dataclass(frozen=True)
class Shadow:
    """A file or directory without effect, because containerd reads another one.

    Attributes:
        path: The file or directory without effect.
        by: The file or directory that containerd reads instead.
        is_ours: Whether `path` is managed; if so, the node does not trust the registry by it.
    """

    path: str
    shadowed_by: str
    is_managed: bool


def find_shadows(state: NodeReport, ours: Iterable[str]) -> list[Shadow]:
    """Return the files without effect on a node, for all registries that have managed files.

    Args:
        state: The node.
        ours: Paths of all managed files.
    """
    managed = set(ours)
    hosts = sorted({host for path in managed if (host := parse_hosts_toml_path(path))})
    return [shadow for host in hosts for shadow in find_host_shadows(host, state, managed)]


def find_host_shadows(host: str, state: NodeReport, ours: Iterable[str]) -> list[Shadow]:
    """Return the files without effect on a node that has managed files for one registry.

    Args:
        host: `host` or `host:port`, as in image references.
        state: The node.
        ours: Paths of all managed files.
    """
    managed, folder = set(ours), registry_directory(host)
    result = [
        Shadow(path, hosts_toml_path(host), is_managed=False)
        for path in _within(folder, state.files)
        if path.endswith((".crt", ".cert", ".key")) and path not in managed
    ]
    if preferred := _within(_underscored(host), state.files):
        result.append(Shadow(folder, preferred[0].rpartition("/")[0], is_managed=True))
    if default := _within(f"{HOSTS}/_default", state.files):
        result.append(Shadow(default[0].rpartition("/")[0], folder, is_managed=False))
    return result


def _within(directory: str, files: Mapping[str, object]) -> list[str]:
    return sorted(path for path in files if path.rpartition("/")[0] == directory)


def _underscored(host: str) -> str:
    """Return the directory that containerd prefers for a host with a port; empty for a host without one."""
    name, colon, port = host.rpartition(":")
    return f"{HOSTS}/{name}_{port}_" if colon and name else ""
