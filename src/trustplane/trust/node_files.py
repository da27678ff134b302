"""File paths of a set's entries on a node: in the directory of system roots, or in those of single registries. Pure.

containerd uses the first existing directory of `<host>_<port>_`, `<host>:<port>` and `_default`, and in it either
`hosts.toml` or, if that file is absent, empty or broken, every `*.crt`. It reads these files on every pull.

Source: containerd v2.4.2, core/remotes/docker/config (hosts.go, config_unix.go).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from trustplane.api import dockerhub
from trustplane.api.limits import HOST_PATTERN, MAX_HOST_LENGTH
from trustplane.trust.entries import TrustSet, is_entry_name

SYSTEM_CERTS_DIRECTORY: Final = "/etc/ssl/certs"
CONTAINERD_CERTS_DIRECTORY: Final = "/etc/containerd/certs.d"
_TOML: Final = "hosts.toml"
_FILE: Final = re.compile(r"tkg-(.+)\.pem")  # in certs.d, containerd reads a .pem only if hosts.toml names it
_HOST: Final = re.compile(HOST_PATTERN.removesuffix("$"))
_HEADER: Final = "# Written by Trustplane; changes are undone.\n"


class CertificateFile(NamedTuple):
    """A certificate file.

    Attributes:
        name: Of the entry.
        host: The registry of the file; empty for a node-wide entry.
    """

    name: str
    host: str = ""

    @property
    def path(self) -> str:
        """Path on the node."""
        return f"{registry_directory(self.host)}/tkg-{self.name}.pem"


def is_registry_host(host: str) -> bool:
    """Return whether a text is `host` or `host:port` as in image references, and so the name of one directory."""
    return len(host) <= MAX_HOST_LENGTH and bool(_HOST.fullmatch(host))


def registry_directory(host: str) -> str:
    """Return the directory of a registry's files; without a host, the directory of system roots."""
    return f"{CONTAINERD_CERTS_DIRECTORY}/{host}" if host else SYSTEM_CERTS_DIRECTORY


def parse_certificate_path(path: str) -> CertificateFile | None:
    """Return the certificate file of a path; None if Trustplane writes no certificate file there."""
    folder, _, file = path.rpartition("/")
    match = _FILE.fullmatch(file)
    if match is None or not is_entry_name(match[1]):
        return None
    if folder == SYSTEM_CERTS_DIRECTORY:
        return CertificateFile(match[1])
    host = folder.removeprefix(f"{CONTAINERD_CERTS_DIRECTORY}/")
    return CertificateFile(match[1], host) if host != folder and is_registry_host(host) else None


def lay_out_files(
    names: Iterable[str], hosts: Mapping[str, Sequence[str]]
) -> tuple[list[CertificateFile], dict[str, str]]:
    """Return the files of a set: the certificate files, and the content of each registry's `hosts.toml` by path.

    Args:
        names: Of the entries.
        hosts: Registries of the registry-scoped entries, by name.
    """
    places = [CertificateFile(name, host) for name in names for host in hosts.get(name, ("",))]
    by_host: dict[str, list[str]] = {}
    for file in places:
        by_host.setdefault(file.host, []).append(file.name)
    return places, {hosts_toml_path(host): render_hosts_toml(host, by_host[host]) for host in sorted(by_host) if host}


def render_files(trust: TrustSet) -> dict[str, str]:
    """Return the content of all files of a set by path; each `hosts.toml` comes after the files that it names."""
    places, tomls = lay_out_files(trust.names, trust.scopes)
    pems = trust.pem_by_name()
    return {file.path: pems[file.name] for file in places} | tomls


def scopes_by_name(places: Iterable[CertificateFile]) -> dict[str, list[str]]:
    """Return the registries of each entry by name; a node-wide entry has an empty list."""
    hosts: dict[str, list[str]] = {}
    for file in places:
        hosts.setdefault(file.name, []).extend([file.host] if file.host else [])
    return hosts


def hosts_toml_path(host: str) -> str:
    """Return the path of a registry's `hosts.toml`, which makes containerd use its files."""
    return f"{registry_directory(host)}/{_TOML}"


def render_hosts_toml(host: str, names: Iterable[str]) -> str:
    """Return a `hosts.toml` that adds the named entries to the system roots for the registry."""
    server = json.dumps(f"https://{_server(host)}")
    paths = ", ".join(json.dumps(CertificateFile(name, host).path) for name in sorted(names))
    # containerd 1.6 ignores `ca` at the top level. A JSON string without control characters is a valid TOML string.
    return f'{_HEADER}server = {server}\n\n[host.{server}]\n  capabilities = ["pull", "resolve"]\n  ca = [{paths}]\n'


def _server(host: str) -> str:
    # By default, containerd asks another host only for Docker Hub.
    return dockerhub.SERVER if host == dockerhub.NAME else host


def parse_hosts_toml_path(path: str) -> str:
    """Return the registry of a `hosts.toml` by its path; empty if the path is not of such a file."""
    folder, _, file = path.rpartition("/")
    host = folder.removeprefix(f"{CONTAINERD_CERTS_DIRECTORY}/")
    return host if file == _TOML and host != folder and is_registry_host(host) else ""


def is_managed_hosts_toml(path: str, content: str) -> bool:
    """Return whether any release of Trustplane wrote a `hosts.toml`, by its first line."""
    return bool(parse_hosts_toml_path(path)) and content.startswith(_HEADER)
