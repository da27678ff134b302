"""A node's SSH host key, pinned to its Machine on first contact. Pure.

The pin is an annotation of the Machine: a new machine, which has a new key, is a new object, even under an old address.
Which keys a node has is known before that: it says so on its Node, by its kubelet's identity (`unpack.sh`).
"""

from collections.abc import Collection, Mapping
from typing import Final

from trustplane.api.meta import Json, Object
from trustplane.errors import NodeError

ANNOTATION: Final = "trustplane.dev/ssh-host-key"
REPORTED: Final = "trustplane.dev/ssh-host-keys"  # of the Node in its own cluster: `type key,` for each
_MAX_REPORT: Final = 16 * 1024  # characters; an RSA key of 4,096 bits has 750
_MAX_KEYS: Final = 16


def pinned_key(machine: Object) -> str:
    """Return the pinned key, one line in OpenSSH format; empty before the first contact."""
    return machine.metadata.annotations.get(ANNOTATION, "")


def reported_keys(annotations: Mapping[str, str]) -> frozenset[str]:
    """Return the keys that a node says it has, each `type key`; none where it says nothing that can be read.

    Args:
        annotations: Of its Node, which its kubelet, and whoever administers its cluster, can write.
    """
    text = annotations.get(REPORTED, "")
    if len(text) > _MAX_REPORT:
        return frozenset()
    keys = (_material(one) for one in text.split(",")[:_MAX_KEYS])
    return frozenset(" ".join(one) for one in keys if len(one) == _WORDS)


def is_known(machine: Object, shown: str) -> bool:
    """Tell whether a key is the pinned one, so that nobody has to be asked."""
    known = _material(pinned_key(machine))
    return bool(known) and known == _material(shown)


def check_host_key(machine: Object, shown: str, said: Collection[str] = ()) -> Json | None:
    """Check the key that a node has shown against the pin of its Machine, and against what the node itself has said.

    Args:
        machine: As the API server has it.
        shown: The key, one line in OpenSSH format.
        said: What the node has said, see `reported`. One of these takes the place of a pin: some platforms make a
            machine's keys anew at a reboot. Empty: it has said nothing.

    Returns:
        None where it is the pinned one; on first contact a merge patch that pins it. The patch must succeed before
        anything is changed on the node: of two first contacts, the API server lets only one pin.

    Raises:
        NodeError: The node has shown another key, or none.
    """
    name, known = machine.metadata.name, _material(pinned_key(machine))
    if not _material(shown):
        raise NodeError(f"The node of Machine {name} has shown no host key", next_step="Look at its SSH server")
    is_said = " ".join(_material(shown)) in said
    if said and not is_said:
        raise NodeError(
            f"Not the node of Machine {name} answers at its address",
            why="the SSH host key that was shown is none of those that the node has said it has; nothing was sent",
            next_step=f"Look at who has that address. The node's own are in annotation {REPORTED} of its Node",
        )
    if known and known != _material(shown) and not is_said:
        raise NodeError(
            f"The SSH host key of the node of Machine {name} has changed",
            why="another machine answers at its address, or its keys were made anew; nothing was sent to it",
            next_step=f"If that is as it should be, remove annotation {ANNOTATION} of the Machine",
        )
    if known == _material(shown):
        return None
    metadata = {"resourceVersion": machine.metadata.resource_version, "annotations": {ANNOTATION: shown.strip()}}
    return {"metadata": metadata}


_WORDS: Final = 2  # of a key: its type, and itself


def _material(key: str) -> tuple[str, ...]:
    # The third word is a comment.
    return tuple(key.split()[:2])
