"""Condition `TrustUpToDate`: whether a machine, or every node of a cluster, has the set in force. Pure.

The condition of a machine depends on that machine and the cluster as a whole, but not on writes to other machines:
otherwise each write would change the conditions of all Machines.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from trustplane.api.conditions import FALSE, TRUE, UNKNOWN
from trustplane.rollout.planning.observed import Canary, RolloutInput, RolloutNode
from trustplane.rollout.planning.steps import RolloutPlan, RolloutReason

WAITING_FOR_TURN: Final = "Waiting"
_DETAILS: Final = "For details, see condition Current of the ClusterTrust of this name"

_MESSAGES: Final[Mapping[RolloutReason, str]] = {
    RolloutReason.UP_TO_DATE: "The node has the trust set in force",
    RolloutReason.UNKNOWN: "The trust set of the node is unknown",
    RolloutReason.JOINING: "The machine has not joined the cluster yet",
    RolloutReason.STUCK: "The machine did not join the cluster. Check its bootstrap log, or delete the Machine",
    RolloutReason.DRIFTED: "Files of the trust set were changed, or the node's runtime has not loaded them",
    RolloutReason.PAUSED: "The cluster is paused: no write starts",
    RolloutReason.BUSY: "Another tool is updating the machine; Trustplane waits for it",
    RolloutReason.UNREACHABLE: "The node is unreachable, and takes the trust set when it answers again",
    RolloutReason.FAILING: "Writing the trust set failed; Trustplane retries it: {}",
    RolloutReason.CANARY: "The node takes the trust set first",
    RolloutReason.WRITING: "The trust set is being written",
    RolloutReason.REFUSED: "Stopped: with the trust set, a node of the cluster refuses a registry",
    RolloutReason.ROLLING: "Cluster API will replace the machine; its successor boots with the trust set",
}


class ConditionValue(NamedTuple):
    """Status, reason and message of a metav1.Condition."""

    status: str
    reason: str
    message: str


def machine_condition(cluster: RolloutInput, node: RolloutNode) -> ConditionValue:
    """Return the condition of a machine.

    Args:
        cluster: Its cluster. A failed node counts as failing or unreachable until it is written: otherwise each
            attempt would change the condition.
        node: The machine, one of the cluster's nodes.
    """
    reason = _unknown_reason(node) or _known_reason(cluster, node)
    if reason is None:
        return ConditionValue(FALSE, WAITING_FOR_TURN, "The node waits for its turn to take the trust set")
    status = TRUE if reason is RolloutReason.UP_TO_DATE else UNKNOWN if _unknown_reason(node) else FALSE
    return ConditionValue(status, reason.value, _MESSAGES[reason].format(node.update_error))


def _unknown_reason(node: RolloutNode) -> RolloutReason | None:
    if not node.has_joined:
        return RolloutReason.STUCK if node.is_stuck else RolloutReason.JOINING
    return RolloutReason.UNKNOWN if node.current is None else None


def _known_reason(cluster: RolloutInput, node: RolloutNode) -> RolloutReason | None:
    """Return the first reason that applies; None if the node waits for its turn."""
    has_wanted = node.current == cluster.in_force
    reasons = (
        (RolloutReason.DRIFTED, has_wanted and node.has_drifted),
        (RolloutReason.UP_TO_DATE, has_wanted),
        (RolloutReason.PAUSED, cluster.is_paused),
        (RolloutReason.BUSY, node.is_busy),
        (RolloutReason.UNREACHABLE, not node.is_reachable),
        (RolloutReason.FAILING, bool(node.update_error)),
        (
            RolloutReason.CANARY,
            node.is_writing and cluster.canary == Canary(node.name, cluster.in_force) and not cluster.is_proven,
        ),
        (RolloutReason.WRITING, node.is_writing),
        (RolloutReason.REFUSED, bool(cluster.refusing_nodes)),
        (RolloutReason.ROLLING, cluster.replaces_machines),
    )
    return next((reason for reason, applies in reasons if applies), None)


def cluster_condition(cluster: RolloutInput, plan: RolloutPlan) -> ConditionValue:
    """Return the condition of a cluster, by its machines that have joined.

    Args:
        cluster: The cluster, as for `machine_condition`.
        plan: Its plan, for the reason.
    """
    conditions = [machine_condition(cluster, node) for node in cluster.nodes if node.has_joined]
    if all(condition.status == TRUE for condition in conditions):
        if conditions:
            return ConditionValue(TRUE, RolloutReason.UP_TO_DATE.value, "Every node has the trust set")
        return ConditionValue(TRUE, RolloutReason.NO_NODES.value, "The cluster has no nodes yet")
    if not any(condition.status == FALSE for condition in conditions):
        return ConditionValue(
            UNKNOWN, RolloutReason.UNKNOWN.value, f"The trust set of some nodes is unknown. {_DETAILS}"
        )
    return ConditionValue(FALSE, plan.reason.value, f"Not every node has the trust set. {_DETAILS}")
