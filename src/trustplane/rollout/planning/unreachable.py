"""Replace unreachable nodes on request, one at a time. Pure.

A node is replaced only if its successor boots with the set in force, and if a controller creates that successor. The
plan never deletes control plane machines: a MachineHealthCheck replaces one while at least two others are healthy.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from trustplane.rollout.planning.observed import Node, Observed
from trustplane.rollout.planning.outlook import names
from trustplane.rollout.planning.steps import Kept, Obstacle

_QUORUM: Final = 3  # machines of a control plane that can lose one


def to_delete(cluster: Observed) -> tuple[str, ...]:
    """Return the worker Machine to delete now, if any."""
    return tuple(node.name for node in _lost(cluster) if not node.control_plane and _is_calm(cluster, node))[:1]


def to_remediate(cluster: Observed) -> tuple[str, ...]:
    """Return the control plane Machine that its MachineHealthCheck should replace now, if any."""
    lost = [] if to_delete(cluster) else [node for node in _lost(cluster) if node.control_plane]
    return tuple(node.name for node in lost if not node.marked and _can_lose(cluster, node))


def kept(cluster: Observed) -> tuple[Kept, ...]:
    """Return why unreachable nodes are not replaced although the user asked for it."""
    if cluster.paused or cluster.replaces or not cluster.replace_unreachable:
        return ()
    blocked = [(node, _obstacle(cluster, node)) for node in _unreachable(cluster)]
    by_obstacle = {each: [node for node, obstacle in blocked if obstacle is each] for each in Obstacle}
    return tuple(Kept(obstacle, names(nodes)) for obstacle, nodes in by_obstacle.items() if nodes)


def _obstacle(cluster: Observed, node: Node) -> Obstacle | None:
    if not node.control_plane:
        return None if node.replaceable else Obstacle.ALONE
    if node.marked:
        return Obstacle.MARKED
    if len(_control_plane(cluster)) < _QUORUM and not cluster.deleting:
        return Obstacle.TOO_FEW
    if not node.replaceable:
        return Obstacle.UNCHECKED
    return None if _can_lose(cluster, node) else Obstacle.OTHERS


def _control_plane(cluster: Observed) -> Sequence[Node]:
    return [node for node in cluster.nodes if node.control_plane]


def _can_lose(cluster: Observed, node: Node) -> bool:
    """Return whether all other nodes of the control plane are healthy, and enough to lose this one."""
    members = _control_plane(cluster)
    others = [other for other in members if other != node]
    return (
        len(members) >= _QUORUM
        and not cluster.deleting
        and all(other.takes_part and not other.marked for other in others)
    )


def _lost(cluster: Observed) -> Sequence[Node]:
    """Return replaceable unreachable nodes, sorted by name; none while another one is being deleted."""
    is_open = cluster.is_boot_set and (cluster.is_proven or not cluster.can_be_proven)
    if not (cluster.replace_unreachable and is_open):
        return []
    if cluster.deleting or any(node.busy and not node.reachable for node in cluster.nodes):
        return []
    return sorted((node for node in _unreachable(cluster) if node.replaceable), key=lambda node: node.name)


def _unreachable(cluster: Observed) -> Iterator[Node]:
    yield from (node for node in cluster.nodes if node.joined and not node.reachable and node.holds != cluster.wanted)


def _is_calm(cluster: Observed, node: Node) -> bool:
    """Return whether every machine of its pool has joined, including the last replacement."""
    return all(other.joined for other in cluster.nodes if not other.control_plane and other.group == node.group)
