"""Plan the replacement of machines: the boot set first, then the control plane, then the pools one by one. Pure.

Progress depends on the sets that machines have. A machine with an unknown set never starts a replacement: if the set
of its successor were also unknown, machines would be replaced forever.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from trustplane.rollout.planning.observed import Node, Observed
from trustplane.rollout.planning.outlook import Outlook, names, outlook
from trustplane.rollout.planning.steps import Plan, Reason, State

CONTROL_PLANE: Final = ""  # the name of its group


def replace(cluster: Observed) -> Plan:
    """Return the group to replace now."""
    if not cluster.is_boot_set:
        return Plan(state=State.UPDATING, reason=Reason.BOOT_SET)
    for group, nodes in _groups(cluster):
        blocker = _blocker(cluster, nodes)
        if blocker is not None:
            return Plan(
                state=blocker.state,
                reason=blocker.reason,
                machines=blocker.machines,
                roll=group if any(_is_due(cluster, node) for node in nodes) else None,
            )
    alone = [node for node in cluster.nodes if _is_alone(node) and _is_old(cluster, node)]
    if alone:
        return Plan(state=State.WAITING, reason=Reason.ALONE, machines=names(alone))
    summary = outlook(cluster)
    return Plan(state=summary.state, reason=summary.reason, machines=summary.machines)


def _groups(cluster: Observed) -> Iterator[tuple[str, Sequence[Node]]]:
    """Yield the control plane, then the pools by name."""
    pooled = [node for node in cluster.nodes if not _is_alone(node)]
    nodes = sorted(pooled, key=lambda node: (not node.control_plane, node.group, node.name))
    for (control_plane, group), members in groupby(nodes, key=lambda node: (node.control_plane, node.group)):
        yield CONTROL_PLANE if control_plane else group, list(members)


def _blocker(cluster: Observed, nodes: Sequence[Node]) -> Outlook | None:
    """Return why the next group must wait for this one; None if it may start."""
    unjoined = [node for node in nodes if not node.joined]
    stuck = [node for node in unjoined if node.stuck]
    unproven = [node for node in nodes if node.takes_part and cluster.has_wanted(node) and not cluster.is_settled(node)]
    reasons = (
        (State.UPDATING, Reason.ROLLING, [node for node in nodes if _is_old(cluster, node)]),
        (State.WAITING, Reason.STUCK, stuck),
        (State.UPDATING, Reason.JOINING, unjoined),
        (State.UPDATING, Reason.PROVING, unproven),
    )
    return next((Outlook(state, reason, names(concerned)) for state, reason, concerned in reasons if concerned), None)


def _is_alone(node: Node) -> bool:
    """Return whether a machine belongs to no group; no controller replaces it."""
    return not node.control_plane and not node.group


def _is_old(cluster: Observed, node: Node) -> bool:
    return node.holds is not None and node.holds != cluster.wanted


def _is_due(cluster: Observed, node: Node) -> bool:
    return _is_old(cluster, node) and not node.leaving and not node.busy
