"""Nodes that cannot be reached are replaced where somebody asked for that, one at a time. Pure.

Only where the machine that is made instead gets the wanted set, and where somebody makes one. A machine of the control
plane is never deleted: its MachineHealthCheck replaces it, while two others at least are well.
"""

from typing import Final

from trustplane.trust.rollout.observed import Node, Observed

_QUORUM: Final = 3  # machines of a control plane that can lose one


def to_delete(seen: Observed) -> tuple[str, ...]:
    """Return the worker's Machine to delete now: one, or none."""
    return tuple(one.name for one in _lost(seen) if not one.control_plane and _is_calm(seen, one))[:1]


def to_remediate(seen: Observed) -> tuple[str, ...]:
    """Return the control plane's Machine to be replaced by its MachineHealthCheck now: one, or none."""
    members = [one for one in seen.nodes if one.control_plane]
    if to_delete(seen) or len(members) < _QUORUM:
        return ()
    lost = [one for one in _lost(seen) if one.control_plane]
    return tuple(one.name for one in lost if all(other.takes_part for other in members if other != one))


def _lost(seen: Observed) -> list[Node]:
    """Return those that may go, by name; nobody while another one is on its way out."""
    is_open = seen.is_boot_set and (seen.is_proven or not seen.can_be_proven)
    if not (seen.replace_unreachable and is_open):
        return []
    if any(one.busy and not one.reachable for one in seen.nodes):
        return []
    lost = [one for one in seen.nodes if one.joined and not one.reachable and one.replaceable]
    return sorted((one for one in lost if one.holds != seen.wanted), key=lambda one: one.name)


def _is_calm(seen: Observed, node: Node) -> bool:
    """Tell whether every machine of its pool has joined: what was made for the last one is there."""
    return all(one.joined for one in seen.nodes if not one.control_plane and one.group == node.group)
