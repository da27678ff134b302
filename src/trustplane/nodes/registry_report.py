"""Read over SSH how a node's containerd reaches registries, by `registries.sh`; nothing is changed there."""

from collections.abc import Collection
from importlib.resources import files
from typing import Final

from trustplane.errors import NodeError
from trustplane.nodes import registries
from trustplane.nodes.registries import RegistryReport
from trustplane.nodes.trust import Shell
from trustplane.text import clean
from trustplane.trust.places import is_host

_COMMAND: Final = "sudo -n sh -s"
_SCRIPT: Final = files("trustplane.nodes").joinpath("registries.sh").read_text()
_TIMEOUT: Final = 30.0  # seconds
_MAX_WORDS: Final = 200


async def read_registry_report(node: Shell, hosts: Collection[str]) -> RegistryReport:
    """Read what `registries.access` judges by.

    Args:
        node: A node, whose host key has been checked.
        hosts: Registries, `host` or `host:port`.

    Raises:
        NodeError: The node lacks what is needed, or its report cannot be read.
        TransientError: The connection was lost.
    """
    # What goes into the script is nothing that a shell would read otherwise.
    wanted = " ".join(f"'{host}'" for host in sorted(hosts) if is_host(host))
    output = await node.run(_COMMAND, stdin=f"{_SCRIPT}\nmain {wanted} </dev/null\n", timeout=_TIMEOUT)
    if output.exit_status != 0:
        raise _unread(node, output.stderr.strip()[-_MAX_WORDS:] or f"exit status {output.exit_status}")
    try:
        return registries.parse_registry_report(output.stdout)
    except ValueError as error:
        raise _unread(node, str(error)) from error


def _unread(node: Shell, why: str) -> NodeError:
    return NodeError(
        f"How node {node.address} reaches registries could not be read",
        why=clean(why, _MAX_WORDS),
        next_step="See that sudo without a password, coreutils and systemctl are there",
    )
