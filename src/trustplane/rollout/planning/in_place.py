"""Plan writes to running nodes: the canary first, the others once it has proven the set. Pure.

The control plane is written one node at a time. A node that answers but fails to be written remains the canary, and
blocks the rest of the control plane: the set may be the cause, and the next node would fail in the same way. A node
that does not answer, or that another tool updates, blocks no other node.
"""

from collections.abc import Sequence

from trustplane.rollout.planning import unreachable
from trustplane.rollout.planning.inputs import Canary, RolloutInput, RolloutNode
from trustplane.rollout.planning.outlook import RolloutSummary, machine_names, summarise
from trustplane.rollout.planning.steps import RolloutPlan, RolloutReason, RolloutState


def plan_writes(cluster: RolloutInput) -> RolloutPlan:
    """Return the nodes to write now, and the unreachable machines to replace."""
    return _plan_rest(cluster) if _is_open(cluster) else _plan_canary(cluster)


def _is_open(cluster: RolloutInput) -> bool:
    """Return whether the canary is settled, or no node needs a write."""
    canary = _recorded(cluster)
    is_decided = cluster.is_proven or (canary is not None and cluster.is_settled(canary))
    return is_decided or not any(node.is_writable and cluster.needs_write(node) for node in cluster.nodes)


def _recorded(cluster: RolloutInput) -> RolloutNode | None:
    if cluster.canary is None or cluster.canary.digest != cluster.in_force:
        return None
    return next((node for node in cluster.nodes if node.name == cluster.canary.machine), None)


def _plan_canary(cluster: RolloutInput) -> RolloutPlan:
    able = [node for node in cluster.nodes if node.is_writable and not cluster.stays_drifted(node)]
    recorded = _recorded(cluster)
    canary = recorded if recorded in able else min(able, key=lambda node: _preference(cluster, node))
    is_due = _is_due(cluster, canary) and not (canary.is_control_plane and _is_control_plane_written(cluster))
    summary = _canary_outlook(cluster, canary, is_limited=is_due and not cluster.free_writes)
    return RolloutPlan(
        state=summary.state,
        reason=summary.reason,
        machines=summary.machines,
        canary=_election(cluster, canary),
        write=(canary.name,) if is_due and cluster.free_writes else (),
    )


def _preference(cluster: RolloutInput, node: RolloutNode) -> tuple[bool, bool, bool, bool, str]:
    """Prefer a node that can prove the set, then one that already has it, then a worker, then one without errors."""
    return (
        not cluster.can_prove(node),
        cluster.needs_write(node),
        node.is_control_plane,
        bool(node.update_error),
        node.name,
    )


def _canary_outlook(cluster: RolloutInput, canary: RolloutNode, *, is_limited: bool) -> RolloutSummary:
    machines = (canary.name,)
    if not cluster.needs_write(canary):
        return RolloutSummary(RolloutState.UPDATING, RolloutReason.PROVING, machines)
    if is_limited:
        return RolloutSummary(RolloutState.WAITING, RolloutReason.LIMITED, machines)
    if canary.update_error:
        return RolloutSummary(RolloutState.WAITING, RolloutReason.FAILING, machines)
    return RolloutSummary(RolloutState.UPDATING, RolloutReason.CANARY, machines)


def _plan_rest(cluster: RolloutInput) -> RolloutPlan:
    workers = [node for node in cluster.nodes if not node.is_control_plane and _is_due(cluster, node)]
    control_plane = _next_of_control_plane(cluster)
    # Failed nodes come last: they must not use up the write limit.
    due = sorted(
        [*control_plane, *workers], key=lambda node: (bool(node.update_error), not node.is_control_plane, node.name)
    )
    chosen = due[: cluster.free_writes]
    alone = next((node for node in chosen if node.is_control_plane), None)
    summary = summarise(cluster, writes=chosen, limited=due[cluster.free_writes :])
    return RolloutPlan(
        state=summary.state,
        reason=summary.reason,
        machines=summary.machines,
        canary=_election(cluster, alone) if alone else None,
        write=machine_names(chosen),
        delete=unreachable.machine_to_delete(cluster),
        remediate=unreachable.machine_to_remediate(cluster),
    )


def _next_of_control_plane(cluster: RolloutInput) -> Sequence[RolloutNode]:
    """Return the control plane node to write now; none while another one is being written, is unproven or failed."""
    members = [
        node for node in cluster.nodes if node.is_control_plane and node.is_writable and not cluster.stays_drifted(node)
    ]
    if _is_control_plane_written(cluster):
        return ()
    if any(not cluster.needs_write(node) and not cluster.is_settled(node) for node in members):
        return ()
    recorded = _recorded(cluster)
    due = [node for node in members if cluster.needs_write(node)]
    chosen = min(due, key=lambda node: (node != recorded, not node.update_error, node.name), default=None)
    return (chosen,) if chosen is not None and _is_free(chosen) else ()


def _is_control_plane_written(cluster: RolloutInput) -> bool:
    """Return whether a control plane node is being written, perhaps with an earlier set."""
    return any(node.is_control_plane and node.uses_write_slot for node in cluster.nodes)


def _election(cluster: RolloutInput, node: RolloutNode) -> Canary | None:
    canary = Canary(node.name, cluster.in_force)
    return None if canary == cluster.canary else canary


def _is_due(cluster: RolloutInput, node: RolloutNode) -> bool:
    return node.is_writable and cluster.needs_write(node) and _is_free(node)


def _is_free(node: RolloutNode) -> bool:
    return not node.is_writing and not node.is_backing_off
