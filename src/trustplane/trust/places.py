"""Where an entry is on a node: in the directory of the system's roots, or in those of single registries. Pure.

containerd takes the first directory that exists of `<host>_<port>_`, `<host>:<port>` and `_default`, and in it either
`hosts.toml` or, where that is absent, empty or broken, every `*.crt`. It reads them at every pull.

Source: containerd v2.4.2, core/remotes/docker/config (hosts.go, config_unix.go).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from trustplane.api import dockerhub
from trustplane.api.limits import HOST_PATTERN, MAX_HOST_LENGTH
from trustplane.trust.entries import TrustSet, is_name

CERTS: Final = "/etc/ssl/certs"
HOSTS: Final = "/etc/containerd/certs.d"
_TOML: Final = "hosts.toml"
_FILE: Final = re.compile(r"tkg-(.+)\.pem")  # in certs.d a name that containerd does not read by itself
_HOST: Final = re.compile(HOST_PATTERN.removesuffix("$"))
_MARK: Final = "# Written by Trustplane; changes are undone.\n"


class Place(NamedTuple):
    """A file of certificates.

    Attributes:
        name: Of the entry.
        host: The registry that it is for; empty: for the whole node.
    """

    name: str
    host: str = ""

    @property
    def path(self) -> str:
        """Path on the node."""
        return f"{directory(self.host)}/tkg-{self.name}.pem"


def is_host(host: str) -> bool:
    """Tell whether that is `host` or `host:port`, as in the names of images: it is the name of one directory."""
    return len(host) <= MAX_HOST_LENGTH and bool(_HOST.fullmatch(host))


def directory(host: str) -> str:
    """Return the directory of a registry's files; without a registry, that of the system's roots."""
    return f"{HOSTS}/{host}" if host else CERTS


def place(path: str) -> Place | None:
    """Return what a file of ours is by its path; None where the path is none of a file of certificates of ours."""
    folder, _, file = path.rpartition("/")
    found = _FILE.fullmatch(file)
    if found is None or not is_name(found[1]):
        return None
    if folder == CERTS:
        return Place(found[1])
    host = folder.removeprefix(f"{HOSTS}/")
    return Place(found[1], host) if host != folder and is_host(host) else None


def layout(names: Iterable[str], hosts: Mapping[str, Sequence[str]]) -> tuple[list[Place], dict[str, str]]:
    """Return what a node has of a set: the files of certificates, and by path those that name them for a registry.

    Args:
        names: Of the entries.
        hosts: The registries of an entry by its name, where it is not for the whole node.
    """
    places = [Place(name, host) for name in names for host in hosts.get(name, ("",))]
    by_host: dict[str, list[str]] = {}
    for one in places:
        by_host.setdefault(one.host, []).append(one.name)
    return places, {toml_path(host): toml(host, by_host[host]) for host in sorted(by_host) if host}


def files(trust: TrustSet) -> dict[str, str]:
    """Return the content of all files that a node has of a set, by path; one that names others comes after them."""
    places, tomls = layout(trust.names, trust.hosts)
    pems = trust.pems()
    return {one.path: pems[one.name] for one in places} | tomls


def hosts_by_name(places: Iterable[Place]) -> dict[str, list[str]]:
    """Return the registries of each entry, by its name; none for one of the whole node."""
    found: dict[str, list[str]] = {}
    for one in places:
        found.setdefault(one.name, []).extend([one.host] if one.host else [])
    return found


def toml_path(host: str) -> str:
    """Return the path of the file that makes containerd use a registry's files. The name is containerd's."""
    return f"{directory(host)}/{_TOML}"


def toml(host: str, names: Iterable[str]) -> str:
    """Return that file: the entries of those names count for the registry; the system's roots do as well."""
    server = json.dumps(f"https://{_server(host)}")
    paths = ", ".join(json.dumps(Place(name, host).path) for name in sorted(names))
    # `ca` at the top level is ignored by containerd 1.6. A string of JSON without control characters is one of TOML.
    return f'{_MARK}server = {server}\n\n[host.{server}]\n  capabilities = ["pull", "resolve"]\n  ca = [{paths}]\n'


def _server(host: str) -> str:
    # The one registry that containerd asks elsewhere, where nothing says otherwise.
    return dockerhub.SERVER if host == dockerhub.NAME else host


def toml_host(path: str) -> str:
    """Return the registry whose `hosts.toml` has that path; empty where it is no such path."""
    folder, _, file = path.rpartition("/")
    host = folder.removeprefix(f"{HOSTS}/")
    return host if file == _TOML and host != folder and is_host(host) else ""


def is_our_toml(path: str, content: str) -> bool:
    """Tell whether we wrote a `hosts.toml`, by its first line: also an earlier or later release of Trustplane."""
    return bool(toml_host(path)) and content.startswith(_MARK)
