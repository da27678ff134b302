"""How far a requested update of a cluster is, as the objects in the management cluster tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.annotations import TRUST_DIGEST, UPDATE_REQUESTED_AT
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import ClusterTrust, ClusterTrustStatus
from trustplane.api.conditions import FALSE, TRUE, TRUST_CURRENT, TRUST_VALID
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import condition
from trustplane.reporting.cluster_trust import NO_NODES, NOTHING_TO_PROVE
from trustplane.reporting.cluster_trust import STOPPED as IS_STOPPED
from trustplane.reporting.cluster_trust import UPDATING as IS_UPDATING
from trustplane.trust.policy import read_time
from trustplane.trust.propagation import Frozen

WAITING: Final = "Waiting"  # the manager has not answered the request
UPDATING: Final = "Updating"  # machines are being updated
CURRENT: Final = "Current"  # every machine has the trust that the lists ask for
REFUSED: Final = "Refused"  # a list has errors, so that there is nothing to take
PROVING: Final = "Proving"  # every machine has the trust; their kubelets are being asked
PROVEN: Final = "Proven"  # every node proved it
NOT_PROVEN: Final = "NotProven"  # a node with the trust does not trust a registry, or cannot be seen to
STOPPED: Final = "Stopped"  # the first node does not trust a registry with it; the others keep what they had
DONE: Final = frozenset({CURRENT, PROVEN})


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One look at an update."""

    key: Key
    state: str
    machines: int = 0
    up_to_date: int = 0
    proven: str = ""  # nodes that proved the set in force, of all: `2/6`; empty where nothing is reported of it
    message: str = ""

    @property
    def text(self) -> str:
        """One line for people."""
        return ": ".join(part for part in (str(self.key), self.state, self._counts or self.message) if part)

    @property
    def _counts(self) -> str:
        if self.state not in (UPDATING, PROVING):
            return ""
        if self.proven:
            return f"{self.proven} nodes have proven it"
        return f"{self.up_to_date} of {self.machines} machines up to date" if self.state == UPDATING else ""


def proved(now: Progress, annotations: Mapping[str, str], trust: ClusterTrust | None) -> Progress:
    """Tell how far a cluster is whose nodes are to prove what they took, too.

    Args:
        now: How far it is without that.
        annotations: Of its Cluster, which say what it has taken, and which machine takes that first.
        trust: What is reported of its nodes; a report about another set says nothing.
    """
    if now.state not in (CURRENT, UPDATING):
        return now
    status = trust.status if trust else ClusterTrustStatus()
    found, digest = condition(status.conditions, clustertrust.PROVEN), annotations.get(TRUST_DIGEST, "")
    if found is None or status.in_force is None or status.in_force.digest != digest:
        return replace(now, state=PROVING, message="") if now.state == CURRENT else now
    now = replace(now, proven=status.proven_nodes)
    if found.status == FALSE and found.reason == clustertrust.NOT_TRUSTED:
        return replace(now, state=STOPPED if _is_stopped(status) else NOT_PROVEN, message=found.message)
    if now.state == UPDATING:
        return now
    if found.reason in (NOTHING_TO_PROVE, NO_NODES):
        return replace(now, message=f"{now.message}. {found.message}")
    undecided = NOT_PROVEN if found.reason in (clustertrust.UNCLEAR, clustertrust.ACCEPTED) else PROVING
    return replace(now, state=PROVEN if found.status == TRUE else undecided, message=found.message)


def _is_stopped(status: ClusterTrustStatus) -> bool:
    current = condition(status.conditions, clustertrust.CURRENT)
    return current is not None and current.reason == IS_STOPPED


def progress(
    tkc: TanzuKubernetesCluster, cluster: Cluster | None, trust: ClusterTrust | None, requested_at: datetime
) -> Progress:
    """Tell how far the update of a cluster is that was requested at that time.

    Args:
        tkc: The cluster.
        cluster: Its Cluster, which says what it has taken.
        trust: What is reported of its nodes; a report about another set says nothing.
        requested_at: When the update was requested.
    """
    frozen = Frozen.read(cluster.metadata.annotations) if cluster else None
    if frozen is None or frozen.handled_at is None or frozen.handled_at < requested_at:
        return _unanswered(tkc)
    seen = _counted(tkc, frozen, trust)
    reported = condition([*tkc.status.conditions], TRUST_CURRENT)
    is_current = reported is not None and reported.status == TRUE and seen.state == CURRENT
    return seen if is_current or seen.state != CURRENT else replace(seen, state=UPDATING)


def undoing(tkc: TanzuKubernetesCluster, cluster: Cluster | None, trust: ClusterTrust | None, digest: str) -> Progress:
    """Tell how far a cluster is on its way back to an earlier set; the arguments are those of `progress`."""
    frozen = Frozen.read(cluster.metadata.annotations) if cluster else None
    return _counted(tkc, frozen, trust) if frozen is not None and frozen.digest == digest else _unanswered(tkc)


def _unanswered(tkc: TanzuKubernetesCluster) -> Progress:
    valid = condition([*tkc.status.conditions], TRUST_VALID)
    if valid and valid.status != TRUE:
        return Progress(key=key_of(tkc), state=REFUSED, message=valid.message)
    return Progress(key=key_of(tkc), state=WAITING, message="for `trustplane manager` to take up the request")


def _counted(tkc: TanzuKubernetesCluster, frozen: Frozen, trust: ClusterTrust | None) -> Progress:
    """Tell how many nodes have what the cluster has taken."""
    status = trust.status if trust else ClusterTrustStatus()
    if status.in_force is None or status.in_force.digest != frozen.digest:
        return Progress(key=key_of(tkc), state=UPDATING)
    current, counts = condition(status.conditions, clustertrust.CURRENT), status.summary
    lacking = min(counts.total, counts.pending + counts.failed + counts.unreachable + counts.outdated)
    # Where the lists ask for something else, the condition is about that.
    is_there = current is not None and (
        current.status == TRUE or (not lacking and current.reason not in (IS_UPDATING, IS_STOPPED))
    )
    return Progress(
        key=key_of(tkc),
        state=CURRENT if is_there else UPDATING,
        machines=counts.total,
        up_to_date=counts.total - lacking,
        message=current.message if current else "",
    )


def request_time(annotations: Mapping[str, str], now: datetime) -> datetime:
    """Return the time of a new request: now, yet later than the last one, whose maker's clock may have been ahead."""
    last = read_time(annotations.get(UPDATE_REQUESTED_AT, ""))
    return max(now, last + timedelta(microseconds=1)) if last else now
