"""Replace unreachable nodes on request, one at a time. Pure.

A node is replaced only if its successor boots with the wanted set, and if a controller makes that successor. Control
plane machines are never deleted: a MachineHealthCheck replaces one while at least two others are healthy.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from trustplane.trust.rollout.observed import Node, Observed
from trustplane.trust.rollout.outlook import names
from trustplane.trust.rollout.steps import Kept, Obstacle

_QUORUM: Final = 3  # machines of a control plane that can lose one


def to_delete(seen: Observed) -> tuple[str, ...]:
    """Return the worker Machine to delete now, if any."""
    return tuple(one.name for one in _lost(seen) if not one.control_plane and _is_calm(seen, one))[:1]


def to_remediate(seen: Observed) -> tuple[str, ...]:
    """Return the control plane Machine that its MachineHealthCheck should replace now, if any."""
    lost = [] if to_delete(seen) else [one for one in _lost(seen) if one.control_plane]
    return tuple(one.name for one in lost if not one.marked and _can_lose(seen, one))


def kept(seen: Observed) -> tuple[Kept, ...]:
    """Return why unreachable nodes are not replaced, although somebody has asked for that."""
    if seen.paused or seen.replaces or not seen.replace_unreachable:
        return ()
    found = {one.name: why for one in _unreachable(seen) if (why := _obstacle(seen, one)) is not None}
    by_obstacle = {why: [one for one in seen.nodes if found.get(one.name) is why] for why in Obstacle}
    return tuple(Kept(why, names(nodes)) for why, nodes in by_obstacle.items() if nodes)


def _obstacle(seen: Observed, node: Node) -> Obstacle | None:
    if not node.control_plane:
        return None if node.replaceable else Obstacle.ALONE
    if node.marked:
        return Obstacle.MARKED
    if len(_control_plane(seen)) < _QUORUM and not seen.deleting:
        return Obstacle.TOO_FEW
    if not node.replaceable:
        return Obstacle.UNCHECKED
    return None if _can_lose(seen, node) else Obstacle.OTHERS


def _control_plane(seen: Observed) -> Sequence[Node]:
    return [one for one in seen.nodes if one.control_plane]


def _can_lose(seen: Observed, node: Node) -> bool:
    """Return whether the control plane is whole but for this one."""
    members = _control_plane(seen)
    others = [one for one in members if one != node]
    return len(members) >= _QUORUM and not seen.deleting and all(one.takes_part and not one.marked for one in others)


def _lost(seen: Observed) -> Sequence[Node]:
    """Return replaceable unreachable nodes, sorted by name; none while another one is being deleted."""
    is_open = seen.is_boot_set and (seen.is_proven or not seen.can_be_proven)
    if not (seen.replace_unreachable and is_open):
        return []
    if seen.deleting or any(one.busy and not one.reachable for one in seen.nodes):
        return []
    return sorted((one for one in _unreachable(seen) if one.replaceable), key=lambda one: one.name)


def _unreachable(seen: Observed) -> Iterator[Node]:
    yield from (one for one in seen.nodes if one.joined and not one.reachable and one.holds != seen.wanted)


def _is_calm(seen: Observed, node: Node) -> bool:
    """Return whether every machine of its pool has joined, including the last replacement."""
    return all(one.joined for one in seen.nodes if not one.control_plane and one.group == node.group)
