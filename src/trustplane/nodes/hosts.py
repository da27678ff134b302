"""CAs for one registry only: `certs.d/<host>/hosts.toml`, which containerd reads at every pull. Pure.

The name `hosts.toml` is containerd's: one of somebody else is never changed (`nodes.plan` reports a conflict).

Source: containerd v2.4.2, core/remotes/docker/config (hosts.go, config_unix.go).
containerd takes the first directory that exists of `<host>_<port>_`, `<host>:<port>` and `_default`, and in it either
`hosts.toml` or, where that is absent, empty or broken, every `*.crt`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from trustplane.errors import UserError
from trustplane.nodes.state import HOSTS, NodeState

_CA: Final = "trustplane.pem"  # a name that containerd does not read by itself
_TOML: Final = "hosts.toml"
_HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Shadow:
    """A file that has no effect because of another one.

    Attributes:
        path: The file, or directory, without effect.
        by: The file, or directory, that containerd reads instead.
        is_ours: Whether what is without effect is ours: then the registry is not trusted by it.
    """

    path: str
    by: str
    is_ours: bool


def files(host: str, pem: str) -> dict[str, str]:
    """Return content by path of what makes containerd trust these CAs for one registry; CAs first.

    The system's roots stay trusted for it as well.

    Args:
        host: `host` or `host:port`, as in the names of images.
        pem: One certificate or several.

    Raises:
        UserError: That is no registry's host.
    """
    if not _HOST.fullmatch(host):
        raise UserError(f"{host!r} is no host of a registry", next_step="Write host or host:port, without https://")
    directory = f"{HOSTS}/{host}"
    return {f"{directory}/{_CA}": pem, f"{directory}/{_TOML}": _toml(host, f"{directory}/{_CA}")}


def _toml(host: str, ca: str) -> str:
    # `ca` at the top level is ignored by containerd 1.6. A string of JSON without control characters is one of TOML.
    return (
        "# Written by Trustplane; changes are undone.\n"
        f"server = {json.dumps(f'https://{host}')}\n\n"
        f"[host.{json.dumps(f'https://{host}')}]\n"
        '  capabilities = ["pull", "resolve"]\n'
        f"  ca = [{json.dumps(ca)}]\n"
    )


def shadows(host: str, state: NodeState, ours: Iterable[str]) -> list[Shadow]:
    """Tell what has no effect on a node once we have our files for a host.

    Args:
        host: As for `files`.
        state: The node.
        ours: Paths of all files that are ours.
    """
    mine, directory = set(ours), f"{HOSTS}/{host}"
    found = [
        Shadow(path, f"{directory}/{_TOML}", is_ours=False)
        for path in _within(directory, state.files)
        if path.endswith((".crt", ".cert", ".key")) and path not in mine
    ]
    if nearer := _within(_underscored(host), state.files):
        found.append(Shadow(directory, nearer[0].rpartition("/")[0], is_ours=True))
    if default := _within(f"{HOSTS}/_default", state.files):
        found.append(Shadow(default[0].rpartition("/")[0], directory, is_ours=False))
    return found


def _within(directory: str, known: Mapping[str, object]) -> list[str]:
    return sorted(path for path in known if path.rpartition("/")[0] == directory)


def _underscored(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return f"{HOSTS}/{name}_{port}_" if colon and name else ""
