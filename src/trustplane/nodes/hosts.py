"""CAs for one registry only: what has no effect on a node because of another file of containerd's certs.d. Pure.

The name `hosts.toml` is containerd's: one of somebody else is never changed (`nodes.plan` reports a conflict). What
containerd reads, and in which order, is told in `trust.places`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trustplane.nodes.state import HOSTS, NodeReport
from trustplane.trust.places import directory, toml_host, toml_path


@dataclass(frozen=True)
class Shadow:
    """A file that has no effect because of another one.

    Attributes:
        path: The file, or directory, without effect.
        by: The file, or directory, that containerd reads instead.
        is_ours: Whether what is without effect is ours: then the registry is not trusted by it.
    """

    path: str
    shadowed_by: str
    is_managed: bool


def find_shadows(state: NodeReport, ours: Iterable[str]) -> list[Shadow]:
    """Tell what has no effect on a node that has our files, by registry.

    Args:
        state: The node.
        ours: Paths of all files that are ours.
    """
    mine = set(ours)
    hosts = sorted({host for path in mine if (host := toml_host(path))})
    return [one for host in hosts for one in find_host_shadows(host, state, mine)]


def find_host_shadows(host: str, state: NodeReport, ours: Iterable[str]) -> list[Shadow]:
    """Tell what has no effect on a node once we have our files for a host.

    Args:
        host: `host` or `host:port`, as in the names of images.
        state: The node.
        ours: Paths of all files that are ours.
    """
    mine, folder = set(ours), directory(host)
    found = [
        Shadow(path, toml_path(host), is_managed=False)
        for path in _within(folder, state.files)
        if path.endswith((".crt", ".cert", ".key")) and path not in mine
    ]
    if nearer := _within(_underscored(host), state.files):
        found.append(Shadow(folder, nearer[0].rpartition("/")[0], is_managed=True))
    if default := _within(f"{HOSTS}/_default", state.files):
        found.append(Shadow(default[0].rpartition("/")[0], folder, is_managed=False))
    return found


def _within(directory: str, known: Mapping[str, object]) -> list[str]:
    return sorted(path for path in known if path.rpartition("/")[0] == directory)


def _underscored(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return f"{HOSTS}/{name}_{port}_" if colon and name else ""
