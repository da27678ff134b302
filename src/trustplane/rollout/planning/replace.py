"""Plan the replacement of machines: the boot set first, then the control plane, then the pools one by one. Pure.

Progress depends on the sets that machines have. A machine with an unknown set never starts a replacement: if the set
of its successor were also unknown, machines would be replaced forever.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from trustplane.rollout.planning.inputs import RolloutInput, RolloutNode
from trustplane.rollout.planning.outlook import RolloutSummary, machine_names, summarise
from trustplane.rollout.planning.steps import RolloutPlan, RolloutReason, RolloutState

CONTROL_PLANE_GROUP: Final = ""  # the name of its group


def plan_replacement(cluster: RolloutInput) -> RolloutPlan:
    """Return the group to replace now."""
    if not cluster.is_promoted:
        return RolloutPlan(state=RolloutState.UPDATING, reason=RolloutReason.BOOT_SET)
    for group, nodes in _groups(cluster):
        blocker = _blocker(cluster, nodes)
        if blocker is not None:
            return RolloutPlan(
                state=blocker.state,
                reason=blocker.reason,
                machines=blocker.machines,
                replace_group=group if any(_is_due(cluster, node) for node in nodes) else None,
            )
    alone = [node for node in cluster.nodes if _is_alone(node) and _is_old(cluster, node)]
    if alone:
        return RolloutPlan(state=RolloutState.WAITING, reason=RolloutReason.ALONE, machines=machine_names(alone))
    summary = summarise(cluster)
    return RolloutPlan(state=summary.state, reason=summary.reason, machines=summary.machines)


def _groups(cluster: RolloutInput) -> Iterator[tuple[str, Sequence[RolloutNode]]]:
    """Yield the control plane, then the pools by name."""
    pooled = [node for node in cluster.nodes if not _is_alone(node)]
    nodes = sorted(pooled, key=lambda node: (not node.is_control_plane, node.group, node.name))
    for (control_plane, group), members in groupby(nodes, key=lambda node: (node.is_control_plane, node.group)):
        yield CONTROL_PLANE_GROUP if control_plane else group, list(members)


def _blocker(cluster: RolloutInput, nodes: Sequence[RolloutNode]) -> RolloutSummary | None:
    """Return why the next group must wait for this one; None if it may start."""
    unjoined = [node for node in nodes if not node.has_joined]
    stuck = [node for node in unjoined if node.is_stuck]
    unproven = [
        node for node in nodes if node.is_writable and cluster.has_in_force(node) and not cluster.is_settled(node)
    ]
    reasons = (
        (RolloutState.UPDATING, RolloutReason.ROLLING, [node for node in nodes if _is_old(cluster, node)]),
        (RolloutState.WAITING, RolloutReason.STUCK, stuck),
        (RolloutState.UPDATING, RolloutReason.JOINING, unjoined),
        (RolloutState.UPDATING, RolloutReason.PROVING, unproven),
    )
    return next(
        (RolloutSummary(state, reason, machine_names(concerned)) for state, reason, concerned in reasons if concerned),
        None,
    )


def _is_alone(node: RolloutNode) -> bool:
    """Return whether a machine belongs to no group; no controller replaces it."""
    return not node.is_control_plane and not node.group


def _is_old(cluster: RolloutInput, node: RolloutNode) -> bool:
    return node.current is not None and node.current != cluster.in_force


def _is_due(cluster: RolloutInput, node: RolloutNode) -> bool:
    return _is_old(cluster, node) and not node.is_being_replaced and not node.is_busy
