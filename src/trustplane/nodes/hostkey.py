"""A node's SSH host key, pinned to its Machine on first contact. Pure.

The pin is an annotation of the Machine: a new machine, which has a new key, is a new object, even under an old address.
"""

from typing import Final

from trustplane.api.meta import Json
from trustplane.errors import NodeError

ANNOTATION: Final = "trustplane.dev/ssh-host-key"


def pinned(machine: Json) -> str:
    """Return the pinned key, one line in OpenSSH format; empty before the first contact."""
    key: str = (machine["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    return key


def pin(machine: Json, shown: str) -> Json | None:
    """Check the key that a node has shown against the pin of its Machine.

    Args:
        machine: As the API server has it.
        shown: The key, one line in OpenSSH format.

    Returns:
        None where it is the pinned one; on first contact a merge patch that pins it. The patch must succeed before
        anything is changed on the node: of two first contacts, the API server lets only one pin.

    Raises:
        NodeError: The node has shown another key, or none.
    """
    name, known = machine["metadata"]["name"], _material(pinned(machine))
    if not _material(shown):
        raise NodeError(f"The node of Machine {name} has shown no host key", next_step="Look at its SSH server")
    if known and known != _material(shown):
        raise NodeError(
            f"The SSH host key of the node of Machine {name} has changed",
            why="another machine answers at its address, or its keys were made anew; nothing was sent to it",
            next_step=f"If that is as it should be, remove annotation {ANNOTATION} of the Machine",
        )
    if known:
        return None
    metadata = {"resourceVersion": machine["metadata"]["resourceVersion"], "annotations": {ANNOTATION: shown.strip()}}
    return {"metadata": metadata}


def _material(key: str) -> tuple[str, ...]:
    # The third word is a comment.
    return tuple(key.split()[:2])
