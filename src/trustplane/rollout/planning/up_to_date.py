"""Condition `TrustUpToDate`: whether a machine, or every node of a cluster, has the set in force. Pure.

The condition of a machine depends on that machine and the cluster as a whole, but not on writes to other machines:
otherwise each write would change the conditions of all Machines.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from trustplane.api.conditions import FALSE, TRUE, UNKNOWN
from trustplane.rollout.planning.observed import Canary, Node, Observed
from trustplane.rollout.planning.steps import Plan, Reason

WAITING: Final = "Waiting"
_DETAILS: Final = "For details, see condition Current of the ClusterTrust of this name"

_MESSAGES: Final[Mapping[Reason, str]] = {
    Reason.UP_TO_DATE: "The node has the trust set in force",
    Reason.UNKNOWN: "The trust set of the node is unknown",
    Reason.JOINING: "The machine has not joined the cluster yet",
    Reason.STUCK: "The machine did not join the cluster. Check its bootstrap log, or delete the Machine",
    Reason.DRIFTED: "Files of the trust set were changed, or the node's runtime has not loaded them",
    Reason.PAUSED: "The cluster is paused: no write starts",
    Reason.BUSY: "Another tool is updating the machine; Trustplane waits for it",
    Reason.UNREACHABLE: "The node is unreachable, and takes the trust set when it answers again",
    Reason.FAILING: "Writing the trust set failed; Trustplane retries it: {}",
    Reason.CANARY: "The node takes the trust set first",
    Reason.WRITING: "The trust set is being written",
    Reason.REFUSED: "Stopped: with the trust set, a node of the cluster refuses a registry",
    Reason.ROLLING: "Cluster API will replace the machine; its successor boots with the trust set",
}


class Said(NamedTuple):
    """Status, reason and message of a metav1.Condition."""

    status: str
    reason: str
    message: str


def of_machine(cluster: Observed, node: Node) -> Said:
    """Return the condition of a machine.

    Args:
        cluster: Its cluster. A failed node counts as failing or unreachable until it is written: otherwise each
            attempt would change the condition.
        node: The machine, one of the cluster's nodes.
    """
    reason = _unknown_reason(node) or _known_reason(cluster, node)
    if reason is None:
        return Said(FALSE, WAITING, "The node waits for its turn to take the trust set")
    status = TRUE if reason is Reason.UP_TO_DATE else UNKNOWN if _unknown_reason(node) else FALSE
    return Said(status, reason.value, _MESSAGES[reason].format(node.failing))


def _unknown_reason(node: Node) -> Reason | None:
    if not node.joined:
        return Reason.STUCK if node.stuck else Reason.JOINING
    return Reason.UNKNOWN if node.holds is None else None


def _known_reason(cluster: Observed, node: Node) -> Reason | None:
    """Return the first reason that applies; None if the node waits for its turn."""
    has_wanted = node.holds == cluster.wanted
    reasons = (
        (Reason.DRIFTED, has_wanted and node.drifted),
        (Reason.UP_TO_DATE, has_wanted),
        (Reason.PAUSED, cluster.paused),
        (Reason.BUSY, node.busy),
        (Reason.UNREACHABLE, not node.reachable),
        (Reason.FAILING, bool(node.failing)),
        (Reason.CANARY, node.writing and cluster.canary == Canary(node.name, cluster.wanted) and not cluster.is_proven),
        (Reason.WRITING, node.writing),
        (Reason.REFUSED, bool(cluster.refusers)),
        (Reason.ROLLING, cluster.replaces),
    )
    return next((reason for reason, applies in reasons if applies), None)


def of_cluster(cluster: Observed, plan: Plan) -> Said:
    """Return the condition of a cluster, by its machines that have joined.

    Args:
        cluster: The cluster, as for `of_machine`.
        plan: Its plan, for the reason.
    """
    conditions = [of_machine(cluster, node) for node in cluster.nodes if node.joined]
    if all(condition.status == TRUE for condition in conditions):
        if conditions:
            return Said(TRUE, Reason.UP_TO_DATE.value, "Every node has the trust set")
        return Said(TRUE, Reason.NO_NODES.value, "The cluster has no nodes yet")
    if not any(condition.status == FALSE for condition in conditions):
        return Said(UNKNOWN, Reason.UNKNOWN.value, f"The trust set of some nodes is unknown. {_DETAILS}")
    return Said(FALSE, plan.reason.value, f"Not every node has the trust set. {_DETAILS}")
