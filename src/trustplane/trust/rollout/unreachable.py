"""Replace unreachable nodes on request, one at a time. Pure.

A node is replaced only if its successor boots with the wanted set, and if a controller makes that successor. Control
plane machines are never deleted: a MachineHealthCheck replaces one while at least two others are healthy.
"""

from typing import Final

from trustplane.trust.rollout.observed import Node, Observed

_QUORUM: Final = 3  # machines of a control plane that can lose one


def to_delete(seen: Observed) -> tuple[str, ...]:
    """Return the worker Machine to delete now, if any."""
    return tuple(one.name for one in _lost(seen) if not one.control_plane and _is_calm(seen, one))[:1]


def to_remediate(seen: Observed) -> tuple[str, ...]:
    """Return the control plane Machine that its MachineHealthCheck should replace now, if any."""
    members = [one for one in seen.nodes if one.control_plane]
    if to_delete(seen) or len(members) < _QUORUM:
        return ()
    lost = [one for one in _lost(seen) if one.control_plane]
    return tuple(one.name for one in lost if all(other.takes_part for other in members if other != one))


def _lost(seen: Observed) -> list[Node]:
    """Return replaceable unreachable nodes, sorted by name; none while another one is being deleted."""
    is_open = seen.is_boot_set and (seen.is_proven or not seen.can_be_proven)
    if not (seen.replace_unreachable and is_open):
        return []
    if any(one.busy and not one.reachable for one in seen.nodes):
        return []
    lost = [one for one in seen.nodes if one.joined and not one.reachable and one.replaceable]
    return sorted((one for one in lost if one.holds != seen.wanted), key=lambda one: one.name)


def _is_calm(seen: Observed, node: Node) -> bool:
    """Return whether every machine of its pool has joined, including the last replacement."""
    return all(one.joined for one in seen.nodes if not one.control_plane and one.group == node.group)
