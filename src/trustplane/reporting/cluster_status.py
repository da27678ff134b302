"""Status of a TanzuKubernetesCluster, from Cluster API's objects and the decision about its trust.

Types and reasons of conditions, and the order in which they explain Ready, are VMware's (`conditions_consts.go` of
run.tanzu.vmware.com/v1alpha2). The status omits conditions without information.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from trustplane.api import conditions
from trustplane.api.cluster import KIND, VERSION, ClusterCondition, TanzuKubernetesCluster
from trustplane.api.clustertrust import ClusterTrust
from trustplane.api.condition_merge import merge, to_json
from trustplane.api.configuration import GROUP
from trustplane.api.meta import Json, condition
from trustplane.api.release import TanzuKubernetesRelease
from trustplane.certificates.finding import Finding
from trustplane.clusterapi import readiness
from trustplane.clusterapi.readiness import ERROR, WARNING, CapiObjects, false_condition, true_condition
from trustplane.reporting import trust_status
from trustplane.trust.propagation import PropagationDecision

CLUSTER_CREATING, CLUSTER_RUNNING, CLUSTER_UPDATING = "creating", "running", "updating"
CLUSTER_FAILED, CLUSTER_UPDATE_FAILED, CLUSTER_DELETING = "failed", "updateFailed", "deleting"


def cluster_status(
    tkc: TanzuKubernetesCluster,
    *,
    observed: CapiObjects,
    release: TanzuKubernetesRelease | Finding,
    updates: Sequence[str],
    decision: PropagationDecision | None,
    trust: ClusterTrust | None,
    now: datetime,
    error: str = "",
) -> Json:
    """Return the cluster with its status, for a server-side apply of subresource `status`.

    Args:
        tkc: The cluster with its current status.
        observed: Its objects in Cluster API.
        release: The release in its spec, or why none matches.
        updates: Releases to which it can be updated, by version.
        decision: About its trust; None without a decision, such as during deletion.
        trust: The ClusterTrust of the cluster.
        now: The time.
        error: Why Cluster API rejected the Cluster; empty if it did not.
    """
    parts = [*readiness.readiness_conditions(tkc, observed), _compatible(release), _updates(updates)]
    parts += trust_status.trust_conditions(tkc, decision, trust) if decision else []
    blocked = _blocked(release, decision, error)
    ready = _ready(tkc, parts, blocked, readiness.topology_error(observed.cluster))
    generation = tkc.metadata.generation
    current = [msgspec.structs.replace(part, observed_generation=generation) for part in (ready, *parts)]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": tkc.metadata.name, "namespace": tkc.metadata.namespace},
        "status": {
            "phase": _phase(tkc, observed, parts, blocked=bool(blocked)),
            "observedGeneration": generation,
            "conditions": to_json([*merge(tkc.status.conditions, current, now), *_kept(tkc, parts)]),
            **_facts(observed),
        },
    }


def _kept(tkc: TanzuKubernetesCluster, parts: Sequence[ClusterCondition]) -> list[ClusterCondition]:
    """Return the last conditions about trust if no decision replaces them; they keep their generation."""
    types = {conditions.TRUST_CURRENT, conditions.TRUST_VALID} - {part.type for part in parts}
    return [part for part in tkc.status.conditions if part.type in types]


def _compatible(release: TanzuKubernetesRelease | Finding) -> ClusterCondition:
    if isinstance(release, Finding):
        return false_condition(conditions.RELEASE_COMPATIBLE, conditions.RELEASE_UNKNOWN, str(release), severity=ERROR)
    return true_condition(conditions.RELEASE_COMPATIBLE, conditions.RELEASE_FOUND, release.metadata.name)


def _updates(updates: Sequence[str]) -> ClusterCondition:
    """Return UpdatesAvailable; kubectl prints the message as a column, in VMware's format."""
    if updates:
        return true_condition(conditions.UPDATES_AVAILABLE, conditions.NEWER_RELEASES, f"[{' '.join(updates)}]")
    return false_condition(conditions.UPDATES_AVAILABLE, conditions.NO_UPDATES, "")


def _blocked(release: TanzuKubernetesRelease | Finding, decision: PropagationDecision | None, error: str) -> str:
    """Return why the cluster cannot reach its spec; empty if it can."""
    if isinstance(release, Finding):
        return str(release)
    if decision and decision.trust is None:
        return trust_status.join_findings(decision.findings)
    return error


def _ready(
    tkc: TanzuKubernetesCluster, parts: Sequence[ClusterCondition], blocked: str, failure: str
) -> ClusterCondition:
    if tkc.metadata.deletion_timestamp:
        return false_condition(conditions.READY, conditions.DELETING, "The cluster is being deleted")
    if blocked:
        return false_condition(conditions.READY, conditions.PROVISIONING_FAILED, blocked, severity=ERROR)
    if failure:  # may be temporary: Cluster API tries again
        return false_condition(conditions.READY, conditions.PROVISIONING_FAILED, failure, severity=WARNING)
    first = _first_unready(parts)
    if first is None:
        return true_condition(conditions.READY)
    return false_condition(conditions.READY, first.reason, first.message, severity=first.severity)


def _first_unready(parts: Sequence[ClusterCondition]) -> ClusterCondition | None:
    ranked = (condition(list(parts), type_) for type_ in conditions.READY_PRIORITY)
    return next(
        (part for part in ranked if isinstance(part, ClusterCondition) and part.status != conditions.TRUE), None
    )


def _phase(
    tkc: TanzuKubernetesCluster, observed: CapiObjects, parts: Sequence[ClusterCondition], *, blocked: bool
) -> str:
    if tkc.metadata.deletion_timestamp:
        return CLUSTER_DELETING
    # A cluster is being created until it is ready for the first time; later changes are updates.
    ready = _first_unready(parts) is None
    created = ready or tkc.status.phase in (CLUSTER_RUNNING, CLUSTER_UPDATING, CLUSTER_UPDATE_FAILED)
    if blocked:
        return CLUSTER_UPDATE_FAILED if created else CLUSTER_FAILED
    if not created:
        return CLUSTER_CREATING
    return CLUSTER_RUNNING if readiness.is_rolled_out(observed) else CLUSTER_UPDATING


def _facts(observed: CapiObjects) -> Json:
    """Return the fields that Cluster API reports; omit those that it does not report yet."""
    capi, control_plane = observed.cluster, observed.control_plane
    facts: Json = {}
    if capi and capi.spec.control_plane_endpoint.host:
        endpoint = capi.spec.control_plane_endpoint
        facts["apiEndpoints"] = [{"host": endpoint.host, "port": endpoint.port}]
    if capi and capi.status.workers:
        facts["totalWorkerReplicas"] = capi.status.workers.replicas
    if control_plane and control_plane.status.version:
        facts["version"] = control_plane.status.version
    return facts
