"""Condition `TrustUpToDate`: whether a machine, or every node of a cluster, has the set that is wanted. Pure.

What is said of a machine depends on that machine and on the cluster as a whole, never on which others have their turn:
else each write on a node would be told on every other Machine.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from trustplane.api.conditions import FALSE, TRUE, UNKNOWN
from trustplane.trust.rollout.observed import Canary, Node, Observed
from trustplane.trust.rollout.steps import Plan, Reason

WAITING: Final = "Waiting"
_NODES: Final = "Condition Current of the ClusterTrust of this name says more"

_WORDS: Final[Mapping[Reason, str]] = {
    Reason.UP_TO_DATE: "The node has the trust set that its cluster is to have",
    Reason.UNKNOWN: "It is not known which trust set the node has",
    Reason.JOINING: "The machine has not joined the cluster yet",
    Reason.STUCK: "The machine did not join the cluster. Look at its bootstrap log, or delete it",
    Reason.DRIFTED: "Files of the trust set were changed, or the node's runtime has not loaded them",
    Reason.PAUSED: "The cluster is paused: nothing is begun",
    Reason.BUSY: "The machine is updated by somebody else, and is left alone",
    Reason.UNREACHABLE: "The node cannot be reached, and takes the trust set when it is back",
    Reason.FAILING: "Writing the trust set failed, and is tried again: {}",
    Reason.CANARY: "The node takes the trust set first",
    Reason.WRITING: "The trust set is being written",
    Reason.REFUSED: "Stopped: with the trust set, a node of the cluster refuses a registry",
    Reason.ROLLING: "Cluster API is to replace the machine, whose successor boots with the trust set",
}


class Said(NamedTuple):
    """What a condition says: status, reason and message of metav1.Condition."""

    status: str
    reason: str
    message: str


def of_machine(seen: Observed, node: Node) -> Said:
    """Return what is said of a machine.

    Args:
        seen: Its cluster. Nodes that failed count as failing, or out of reach, until they are written: else each
            attempt would be told.
        node: The machine, one of them.
    """
    reason = _unknown(node) or _of_node(seen, node)
    if reason is None:
        return Said(FALSE, WAITING, "The node waits for its turn to take the trust set")
    status = TRUE if reason is Reason.UP_TO_DATE else UNKNOWN if _unknown(node) else FALSE
    return Said(status, reason.value, _WORDS[reason].format(node.failing))


def _unknown(node: Node) -> Reason | None:
    if not node.joined:
        return Reason.STUCK if node.stuck else Reason.JOINING
    return Reason.UNKNOWN if node.holds is None else None


def _of_node(seen: Observed, node: Node) -> Reason | None:
    """Return the first reason that applies; None: it waits for its turn."""
    has_wanted = node.holds == seen.wanted
    reasons = (
        (Reason.DRIFTED, has_wanted and node.drifted),
        (Reason.UP_TO_DATE, has_wanted),
        (Reason.PAUSED, seen.paused),
        (Reason.BUSY, node.busy),
        (Reason.UNREACHABLE, not node.reachable),
        (Reason.FAILING, bool(node.failing)),
        (Reason.CANARY, node.writing and seen.canary == Canary(node.name, seen.wanted) and not seen.is_proven),
        (Reason.WRITING, node.writing),
        (Reason.REFUSED, bool(seen.refusers)),
        (Reason.ROLLING, seen.replaces),
    )
    return next((reason for reason, holds in reasons if holds), None)


def of_cluster(seen: Observed, found: Plan) -> Said:
    """Return what is said of a cluster: of those of its machines that have joined.

    Args:
        seen: The cluster, as for `of_machine`.
        found: Its plan, which says what is waited for.
    """
    said = [of_machine(seen, one) for one in seen.nodes if one.joined]
    if all(one.status == TRUE for one in said):
        reason = Reason.UP_TO_DATE if said else Reason.NO_NODES
        return Said(TRUE, reason.value, "Every node has the trust set" if said else "There are no nodes yet")
    if not any(one.status == FALSE for one in said):
        return Said(UNKNOWN, Reason.UNKNOWN.value, f"It is not known which trust set some nodes have. {_NODES}")
    return Said(FALSE, found.reason.value, f"Not every node has the trust set. {_NODES}")
