"""SSH host keys of nodes: pin a key on first contact, compare it on every later one. Pure.

The pin is an annotation of the Machine. A new machine has a new key and is a new object, even at a reused address.
A node reports its host keys before the first contact, on its Node, with its kubelet's credentials (`unpack.sh`).
"""

from collections.abc import Collection, Mapping
from typing import Final

from trustplane.api.meta import Json, Object
from trustplane.errors import NodeError

ANNOTATION: Final = "trustplane.dev/ssh-host-key"
REPORTED: Final = "trustplane.dev/ssh-host-keys"  # on the Node in its workload cluster: `type key,` for each key
_MAX_REPORT: Final = 16 * 1024  # characters; an RSA key of 4,096 bits has 750
_MAX_KEYS: Final = 16
_WORDS: Final = 2  # of a key: type and key material


def pinned_key(machine: Object) -> str:
    """Return the pinned key, one line in OpenSSH format; empty before the first contact."""
    return machine.metadata.annotations.get(ANNOTATION, "")


def reported_keys(annotations: Mapping[str, str]) -> frozenset[str]:
    """Return the host keys that a node reports, each as `type key`; empty without a readable report.

    Args:
        annotations: Annotations of the Node, writable by its kubelet and by the administrators of its cluster.
    """
    text = annotations.get(REPORTED, "")
    if len(text) > _MAX_REPORT:
        return frozenset()
    keys = (_material(key) for key in text.split(",")[:_MAX_KEYS])
    return frozenset(" ".join(key) for key in keys if len(key) == _WORDS)


def is_known(machine: Object, presented: str) -> bool:
    """Return whether a presented key is the pinned one; the node's report is then not needed."""
    known = _material(pinned_key(machine))
    return bool(known) and known == _material(presented)


def check_host_key(machine: Object, presented: str, reported_keys: Collection[str] = ()) -> Json | None:
    """Check a presented host key against the pin of the Machine and the report of the node.

    Args:
        machine: The Machine, as read from the API server.
        presented: The key that the SSH server presented, one line in OpenSSH format.
        reported_keys: The node's report, see `reported`; empty without one. A reported key may replace the pin: some
            platforms generate new host keys at a reboot.

    Returns:
        None for the pinned key, otherwise a merge patch that pins the presented one. Apply the patch before any change
        to the node: of two concurrent first contacts, the API server accepts only one pin.

    Raises:
        NodeError: The server presented no key, or one that is neither pinned nor reported.
    """
    name, known = machine.metadata.name, _material(pinned_key(machine))
    if not _material(presented):
        raise NodeError(
            f"The SSH server of the node of Machine {name} presented no host key",
            next_step="Check the SSH server of the node",
        )
    is_reported = " ".join(_material(presented)) in reported_keys
    if reported_keys and not is_reported:
        raise NodeError(
            f"Another machine answers at the address of Machine {name}",
            why="it presented an SSH host key that the node did not report; nothing was sent to it",
            next_step=f"Find the machine at this address. Annotation {REPORTED} of the Node lists the right keys",
        )
    if known and known != _material(presented) and not is_reported:
        raise NodeError(
            f"The SSH host key of the node of Machine {name} has changed",
            why="another machine answers at its address, or the node generated new keys; nothing was sent to it",
            next_step=f"If you expected the change, remove annotation {ANNOTATION} from the Machine",
        )
    if known == _material(presented):
        return None
    metadata = {"resourceVersion": machine.metadata.resource_version, "annotations": {ANNOTATION: presented.strip()}}
    return {"metadata": metadata}


def _material(key: str) -> tuple[str, ...]:
    return tuple(key.split()[:_WORDS])  # without the comment
