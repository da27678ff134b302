"""Replace unreachable nodes on request, one at a time. Pure.

A node is replaced only if its successor boots with the set in force, and if a controller creates that successor. The
plan never deletes control plane machines: a MachineHealthCheck replaces one while at least two others are healthy.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from trustplane.rollout.planning.inputs import RolloutInput, RolloutNode
from trustplane.rollout.planning.outlook import machine_names
from trustplane.rollout.planning.steps import ObstructedMachines, ReplacementObstacle

_QUORUM: Final = 3  # machines of a control plane that can lose one


def machine_to_delete(cluster: RolloutInput) -> tuple[str, ...]:
    """Return the worker Machine to delete now, if any."""
    return tuple(node.name for node in _lost(cluster) if not node.is_control_plane and _is_calm(cluster, node))[:1]


def machine_to_remediate(cluster: RolloutInput) -> tuple[str, ...]:
    """Return the control plane Machine that its MachineHealthCheck should replace now, if any."""
    lost = [] if machine_to_delete(cluster) else [node for node in _lost(cluster) if node.is_control_plane]
    return tuple(node.name for node in lost if not node.is_marked and _can_lose(cluster, node))


def obstructed_machines(cluster: RolloutInput) -> tuple[ObstructedMachines, ...]:
    """Return why unreachable nodes are not replaced although the user asked for it."""
    if cluster.is_paused or cluster.replaces_machines or not cluster.replace_unreachable:
        return ()
    blocked = [(node, _obstacle(cluster, node)) for node in _unreachable(cluster)]
    by_obstacle = {each: [node for node, obstacle in blocked if obstacle is each] for each in ReplacementObstacle}
    return tuple(ObstructedMachines(obstacle, machine_names(nodes)) for obstacle, nodes in by_obstacle.items() if nodes)


def _obstacle(cluster: RolloutInput, node: RolloutNode) -> ReplacementObstacle | None:
    if not node.is_control_plane:
        return None if node.is_replaceable else ReplacementObstacle.ALONE
    if node.is_marked:
        return ReplacementObstacle.MARKED
    if len(_control_plane(cluster)) < _QUORUM and not cluster.is_deleting_machines:
        return ReplacementObstacle.TOO_FEW
    if not node.is_replaceable:
        return ReplacementObstacle.UNCHECKED
    return None if _can_lose(cluster, node) else ReplacementObstacle.OTHERS


def _control_plane(cluster: RolloutInput) -> Sequence[RolloutNode]:
    return [node for node in cluster.nodes if node.is_control_plane]


def _can_lose(cluster: RolloutInput, node: RolloutNode) -> bool:
    """Return whether all other nodes of the control plane are healthy, and enough to lose this one."""
    members = _control_plane(cluster)
    others = [other for other in members if other != node]
    return (
        len(members) >= _QUORUM
        and not cluster.is_deleting_machines
        and all(other.is_writable and not other.is_marked for other in others)
    )


def _lost(cluster: RolloutInput) -> Sequence[RolloutNode]:
    """Return replaceable unreachable nodes, sorted by name; none while another one is being deleted."""
    is_open = cluster.is_promoted and (cluster.is_proven or not cluster.can_be_proven)
    if not (cluster.replace_unreachable and is_open):
        return []
    if cluster.is_deleting_machines or any(node.is_busy and not node.is_reachable for node in cluster.nodes):
        return []
    return sorted((node for node in _unreachable(cluster) if node.is_replaceable), key=lambda node: node.name)


def _unreachable(cluster: RolloutInput) -> Iterator[RolloutNode]:
    yield from (
        node for node in cluster.nodes if node.has_joined and not node.is_reachable and node.current != cluster.in_force
    )


def _is_calm(cluster: RolloutInput, node: RolloutNode) -> bool:
    """Return whether every machine of its pool has joined, including the last replacement."""
    return all(other.has_joined for other in cluster.nodes if not other.is_control_plane and other.group == node.group)
