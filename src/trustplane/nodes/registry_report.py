"""Read over SSH how a node's containerd reaches registries. `registries.sh` changes nothing on the node."""

from collections.abc import Collection
from importlib.resources import files
from typing import Final

from trustplane.errors import NodeError
from trustplane.nodes import registries
from trustplane.nodes.registries import RegistryReport
from trustplane.nodes.trust import Shell
from trustplane.text import clean
from trustplane.trust.node_files import is_registry_host

_COMMAND: Final = "sudo -n sh -s"
_SCRIPT: Final = files("trustplane.nodes").joinpath("registries.sh").read_text()
_TIMEOUT: Final = 30.0  # seconds
_MAX_REASON: Final = 200  # characters


async def read_registry_report(node: Shell, hosts: Collection[str]) -> RegistryReport:
    """Read the report that `registries.assess_access` evaluates.

    Args:
        node: A node with a checked host key.
        hosts: Registries, `host` or `host:port`.

    Raises:
        NodeError: The node lacks a required program or right, or its report cannot be parsed.
        TransientError: The connection was lost.
    """
    # A valid host has no character with a meaning inside single quotes.
    arguments = " ".join(f"'{host}'" for host in sorted(hosts) if is_registry_host(host))
    output = await node.run(_COMMAND, stdin=f"{_SCRIPT}\nmain {arguments} </dev/null\n", timeout=_TIMEOUT)
    if output.exit_status != 0:
        raise _unread(node, output.stderr.strip()[-_MAX_REASON:] or f"exit status {output.exit_status}")
    try:
        return registries.parse_registry_report(output.stdout)
    except ValueError as error:
        raise _unread(node, str(error)) from error


def _unread(node: Shell, why: str) -> NodeError:
    return NodeError(
        f"The registry configuration of node {node.address} could not be read",
        why=clean(why, _MAX_REASON),
        next_step="Check that the node has coreutils, systemctl and sudo without a password",
    )
