"""The status of a TanzuKubernetesCluster, out of Cluster API's objects and the decision about its trust.

Types and reasons of conditions, and the order in which they explain Ready, are the original's
(`conditions_consts.go` of run.tanzu.vmware.com/v1alpha2). Conditions about which nothing is known are left out.
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
from trustplane.trust.propagation import Decision

CREATING, RUNNING, UPDATING = "creating", "running", "updating"
FAILED, UPDATE_FAILED, DELETING = "failed", "updateFailed", "deleting"


def cluster_status(
    tkc: TanzuKubernetesCluster,
    *,
    observed: CapiObjects,
    release: TanzuKubernetesRelease | Finding,
    updates: Sequence[str],
    decision: Decision | None,
    trust: ClusterTrust | None,
    now: datetime,
    error: str = "",
) -> Json:
    """Return the cluster with its status, for a server-side apply of subresource `status`.

    Args:
        tkc: The cluster with its present status.
        observed: What there is of it in Cluster API.
        release: The release that it asks for, or why there is none.
        updates: Versions of the releases that it can be updated to.
        decision: About its trust; None where nothing was decided, as while it is deleted.
        trust: What is reported of the trust of its nodes.
        now: The time.
        error: Why Cluster API refused the Cluster; empty where it did not.
    """
    parts = [*readiness.readiness_conditions(tkc, observed), _compatible(release), _updates(updates)]
    parts += trust_status.conditions_of(tkc, decision, trust) if decision else []
    blocked = _blocked(release, decision, error)
    ready = _ready(tkc, parts, blocked, readiness.topology_error(observed.cluster))
    reached = [msgspec.structs.replace(one, observed_generation=tkc.metadata.generation) for one in (ready, *parts)]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": tkc.metadata.name, "namespace": tkc.metadata.namespace},
        "status": {
            "phase": _phase(tkc, observed, parts, blocked=bool(blocked)),
            "observedGeneration": tkc.metadata.generation,
            "conditions": to_json([*merge(tkc.status.conditions, reached, now), *_kept(tkc, parts)]),
            **_facts(observed),
        },
    }


def _kept(tkc: TanzuKubernetesCluster, parts: Sequence[ClusterCondition]) -> list[ClusterCondition]:
    """While nothing is decided about trust, what was last reported of it holds, for the generation that it names."""
    types = {conditions.TRUST_CURRENT, conditions.TRUST_VALID} - {one.type for one in parts}
    return [one for one in tkc.status.conditions if one.type in types]


def _compatible(release: TanzuKubernetesRelease | Finding) -> ClusterCondition:
    if isinstance(release, Finding):
        return false_condition(conditions.RELEASE_COMPATIBLE, conditions.RELEASE_UNKNOWN, str(release), severity=ERROR)
    return true_condition(conditions.RELEASE_COMPATIBLE, conditions.RELEASE_FOUND, release.metadata.name)


def _updates(updates: Sequence[str]) -> ClusterCondition:
    """The message is a printed column: the original's brackets and spaces, and nothing where there is nothing."""
    if updates:
        return true_condition(conditions.UPDATES_AVAILABLE, conditions.NEWER_RELEASES, f"[{' '.join(updates)}]")
    return false_condition(conditions.UPDATES_AVAILABLE, conditions.NO_UPDATES, "")


def _blocked(release: TanzuKubernetesRelease | Finding, decision: Decision | None, error: str) -> str:
    """Say why the cluster cannot be brought to what its spec asks for; empty where it can."""
    if isinstance(release, Finding):
        return str(release)
    if decision and decision.trust is None:
        return trust_status.summary(decision.findings)
    return error


def _ready(
    tkc: TanzuKubernetesCluster, parts: Sequence[ClusterCondition], blocked: str, failure: str
) -> ClusterCondition:
    if tkc.metadata.deletion_timestamp:
        return false_condition(conditions.READY, conditions.DELETING, "The cluster is being deleted")
    if blocked:
        return false_condition(conditions.READY, conditions.PROVISIONING_FAILED, blocked, severity=ERROR)
    if failure:  # it may pass: Cluster API tries again
        return false_condition(conditions.READY, conditions.PROVISIONING_FAILED, failure, severity=WARNING)
    first = _first_unready(parts)
    if first is None:
        return true_condition(conditions.READY)
    return false_condition(conditions.READY, first.reason, first.message, severity=first.severity)


def _first_unready(parts: Sequence[ClusterCondition]) -> ClusterCondition | None:
    found = (condition(list(parts), type_) for type_ in conditions.READY_PRIORITY)
    return next((one for one in found if isinstance(one, ClusterCondition) and one.status != conditions.TRUE), None)


def _phase(
    tkc: TanzuKubernetesCluster, observed: CapiObjects, parts: Sequence[ClusterCondition], *, blocked: bool
) -> str:
    if tkc.metadata.deletion_timestamp:
        return DELETING
    # A cluster is being created until it was whole once; what happens to it later is an update.
    ready = _first_unready(parts) is None
    created = ready or tkc.status.phase in (RUNNING, UPDATING, UPDATE_FAILED)
    if blocked:
        return UPDATE_FAILED if created else FAILED
    if not created:
        return CREATING
    return RUNNING if readiness.is_rolled_out(observed) else UPDATING


def _facts(observed: CapiObjects) -> Json:
    """Return what Cluster API knows; a field about which it knows nothing yet is left out."""
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
