"""Progress of a requested update of a cluster, from the objects in the management cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.annotations import TRUST_DIGEST
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import ClusterTrust, ClusterTrustStatus
from trustplane.api.conditions import FALSE, TRUE, TRUST_CURRENT, TRUST_VALID
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import condition
from trustplane.reporting.cluster_trust import CURRENT_STOPPED as IS_STOPPED
from trustplane.reporting.cluster_trust import CURRENT_UPDATING as IS_UPDATING
from trustplane.reporting.cluster_trust import NO_NODES, NOTHING_TO_PROVE
from trustplane.trust.propagation import PropagationRecord

UPDATE_WAITING: Final = "Waiting"  # the manager has not handled the request yet
UPDATE_RUNNING: Final = "Updating"  # machines are being updated
UPDATE_CURRENT: Final = "Current"  # every machine has the desired set
UPDATE_REFUSED: Final = "Refused"  # a list has errors, and no set can be taken
UPDATE_PROVING: Final = "Proving"  # every machine has the set; proofs are pending
UPDATE_PROVEN: Final = "Proven"  # every node is proven
UPDATE_NOT_PROVEN: Final = "NotProven"  # a node with the set does not trust a registry, or its proof is unclear
UPDATE_STOPPED: Final = "Stopped"  # the canary does not trust a registry; the other nodes keep the previous set
COMPLETED_STATES: Final = frozenset({UPDATE_CURRENT, UPDATE_PROVEN})


@dataclass(frozen=True, kw_only=True)
class UpdateProgress:
    """The state of an update at one time."""

    key: Key
    state: str
    machines: int = 0
    up_to_date: int = 0
    proven: str = ""  # proven nodes of all nodes, such as `2/6`; empty without a report
    message: str = ""

    @property
    def line(self) -> str:
        """One line of output."""
        return ": ".join(part for part in (str(self.key), self.state, self._counts or self.message) if part)

    @property
    def _counts(self) -> str:
        if self.state not in (UPDATE_RUNNING, UPDATE_PROVING):
            return ""
        if self.proven:
            return f"{self.proven} nodes proven"
        return f"{self.up_to_date} of {self.machines} machines up to date" if self.state == UPDATE_RUNNING else ""


def add_proof_progress(
    now: UpdateProgress, annotations: Mapping[str, str], trust: ClusterTrust | None
) -> UpdateProgress:
    """Return the progress including proofs.

    Args:
        now: The progress without proofs.
        annotations: Of its Cluster, with the digest of the set in force.
        trust: The report on its nodes; ignored if it is about another set.
    """
    if now.state not in (UPDATE_CURRENT, UPDATE_RUNNING):
        return now
    status = trust.status if trust else ClusterTrustStatus()
    reported, digest = condition(status.conditions, clustertrust.PROVEN), annotations.get(TRUST_DIGEST, "")
    if reported is None or status.in_force is None or status.in_force.digest != digest:
        return replace(now, state=UPDATE_PROVING, message="") if now.state == UPDATE_CURRENT else now
    now = replace(now, proven=status.proven_nodes)
    if reported.status == FALSE and reported.reason == clustertrust.NOT_TRUSTED:
        return replace(
            now, state=UPDATE_STOPPED if _is_stopped(status) else UPDATE_NOT_PROVEN, message=reported.message
        )
    if now.state == UPDATE_RUNNING:
        return now
    if reported.reason in (NOTHING_TO_PROVE, NO_NODES):
        return replace(now, message=f"{now.message}. {reported.message}")
    undecided = (
        UPDATE_NOT_PROVEN if reported.reason in (clustertrust.UNCLEAR, clustertrust.ACCEPTED) else UPDATE_PROVING
    )
    return replace(now, state=UPDATE_PROVEN if reported.status == TRUE else undecided, message=reported.message)


def _is_stopped(status: ClusterTrustStatus) -> bool:
    current = condition(status.conditions, clustertrust.CURRENT)
    return current is not None and current.reason == IS_STOPPED


def update_progress(
    tkc: TanzuKubernetesCluster, cluster: Cluster | None, trust: ClusterTrust | None, requested_at: datetime
) -> UpdateProgress:
    """Return the progress of the update requested at that time.

    Args:
        tkc: The cluster.
        cluster: Its Cluster, with the record of the set in force.
        trust: The report on its nodes; ignored if it is about another set.
        requested_at: When the update was requested.
    """
    frozen = PropagationRecord.from_annotations(cluster.metadata.annotations) if cluster else None
    if frozen is None or frozen.handled_at is None or frozen.handled_at < requested_at:
        return _unanswered(tkc)
    counted = _count(tkc, frozen, trust)
    reported = condition([*tkc.status.conditions], TRUST_CURRENT)
    is_current = reported is not None and reported.status == TRUE and counted.state == UPDATE_CURRENT
    return counted if is_current or counted.state != UPDATE_CURRENT else replace(counted, state=UPDATE_RUNNING)


def undo_progress(
    tkc: TanzuKubernetesCluster, cluster: Cluster | None, trust: ClusterTrust | None, digest: str
) -> UpdateProgress:
    """Return the progress of an undo to the set with this digest; for the other arguments see `progress`."""
    frozen = PropagationRecord.from_annotations(cluster.metadata.annotations) if cluster else None
    return _count(tkc, frozen, trust) if frozen is not None and frozen.digest == digest else _unanswered(tkc)


def _unanswered(tkc: TanzuKubernetesCluster) -> UpdateProgress:
    valid = condition([*tkc.status.conditions], TRUST_VALID)
    if valid and valid.status != TRUE:
        return UpdateProgress(key=key_of(tkc), state=UPDATE_REFUSED, message=valid.message)
    return UpdateProgress(
        key=key_of(tkc), state=UPDATE_WAITING, message="for `trustplane manager` to handle the request"
    )


def _count(tkc: TanzuKubernetesCluster, frozen: PropagationRecord, trust: ClusterTrust | None) -> UpdateProgress:
    """Return the progress by the number of nodes with the set in force."""
    status = trust.status if trust else ClusterTrustStatus()
    if status.in_force is None or status.in_force.digest != frozen.digest:
        return UpdateProgress(key=key_of(tkc), state=UPDATE_RUNNING)
    current, counts = condition(status.conditions, clustertrust.CURRENT), status.summary
    lacking = min(counts.total, counts.pending + counts.failed + counts.unreachable + counts.outdated)
    # If the desired set differs from the set in force, the condition is about that difference.
    is_complete = current is not None and (
        current.status == TRUE or (not lacking and current.reason not in (IS_UPDATING, IS_STOPPED))
    )
    return UpdateProgress(
        key=key_of(tkc),
        state=UPDATE_CURRENT if is_complete else UPDATE_RUNNING,
        machines=counts.total,
        up_to_date=counts.total - lacking,
        message=current.message if current else "",
    )
