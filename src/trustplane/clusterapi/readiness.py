"""Derive the original's readiness conditions of a cluster from Cluster API's objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from trustplane.api import clusterapi, conditions
from trustplane.api.annotations import DEPLOYMENT_NAME_LABEL
from trustplane.api.cluster import ClusterCondition, NodePool, TanzuKubernetesCluster
from trustplane.api.meta import condition

ERROR, WARNING, INFO = "Error", "Warning", "Info"


@dataclass(frozen=True, kw_only=True)
class CapiObjects:
    """A cluster's objects in Cluster API."""

    cluster: clusterapi.Cluster | None
    control_plane: clusterapi.KubeadmControlPlane | None
    machine_deployments: Sequence[clusterapi.MachineDeployment]


def true_condition(type_: str, reason: str = "", message: str = "") -> ClusterCondition:
    """Return a condition with status True; its reason defaults to its type."""
    return ClusterCondition(type=type_, status=conditions.TRUE, reason=reason or type_, message=message)


def false_condition(type_: str, reason: str, message: str, *, severity: str = INFO) -> ClusterCondition:
    """Return a condition with status False."""
    return ClusterCondition(type=type_, status=conditions.FALSE, reason=reason, message=message, severity=severity)


def readiness_conditions(tkc: TanzuKubernetesCluster, observed: CapiObjects) -> list[ClusterCondition]:
    """Return the conditions ControlPlaneReady, NodePoolsReady and NodesHealthy."""
    return [_control_plane(observed.cluster), _node_pools(tkc, observed), _nodes(observed.cluster)]


def is_condition_true(capi: clusterapi.Cluster, type_: str) -> bool:
    """Return whether a condition of Cluster API is True."""
    current = condition(capi.status.conditions, type_)
    return current is not None and current.status == conditions.TRUE


def condition_message(capi: clusterapi.Cluster, type_: str) -> str:
    """Return the message of a condition of Cluster API; empty without the condition."""
    current = condition(capi.status.conditions, type_)
    return current.message if current else ""


def _control_plane(capi: clusterapi.Cluster | None) -> ClusterCondition:
    type_ = conditions.CONTROL_PLANE_READY
    if capi is None:
        return false_condition(
            type_, conditions.WAITING_FOR_CLUSTER_INFRASTRUCTURE, "The cluster has not been created yet"
        )
    steps = (
        (
            clusterapi.INFRASTRUCTURE_READY,
            conditions.WAITING_FOR_CLUSTER_INFRASTRUCTURE,
            "Waiting for cluster infrastructure to be ready",
        ),
        (
            clusterapi.CONTROL_PLANE_INITIALIZED,
            conditions.WAITING_FOR_CONTROL_PLANE_INITIALIZED,
            "Waiting for the first control plane to be initialized",
        ),
        (
            clusterapi.CONTROL_PLANE_AVAILABLE,
            conditions.WAITING_FOR_CONTROL_PLANE,
            "Waiting for control planes to be ready",
        ),
    )
    for step, reason, waiting in steps:
        if not is_condition_true(capi, step):
            return false_condition(type_, reason, _joined(waiting, condition_message(capi, step)))
    shortage = _shortage(capi.status.control_plane)
    if shortage:
        return false_condition(
            type_, conditions.WAITING_FOR_CONTROL_PLANE, f"Waiting for control planes to be ready: {shortage}"
        )
    return true_condition(type_)


def _joined(waiting: str, detail: str) -> str:
    return f"{waiting}: {detail}" if detail else waiting


def _shortage(counts: clusterapi.Replicas | None) -> str:
    if counts is None or counts.available_replicas < counts.desired_replicas:
        available, desired = (counts.available_replicas, counts.desired_replicas) if counts else (0, 0)
        return f"{available} of {desired} available"
    return ""


def _node_pools(tkc: TanzuKubernetesCluster, observed: CapiObjects) -> ClusterCondition:
    """Return the condition of all pools; the worst problem determines its reason."""
    deployments = {pool.metadata.labels.get(DEPLOYMENT_NAME_LABEL): pool for pool in observed.machine_deployments}
    states = [_pool_problem(pool, deployments.get(pool.name)) for pool in tkc.spec.topology.node_pools]
    order = (conditions.NODE_POOLS_FAILED, conditions.NODE_POOLS_UPDATING, conditions.NODE_POOLS_UNKNOWN)
    problems = sorted((state for state in states if state), key=lambda state: order.index(state[0]))
    if not problems:
        return true_condition(conditions.NODE_POOLS_READY)
    reason, message = problems[0][0], "; ".join(message for _, message in problems)
    severity = ERROR if reason == conditions.NODE_POOLS_FAILED else INFO
    return false_condition(conditions.NODE_POOLS_READY, reason, message, severity=severity)


def _pool_problem(pool: NodePool, deployment: clusterapi.MachineDeployment | None) -> tuple[str, str] | None:
    if deployment is None:
        return conditions.NODE_POOLS_UNKNOWN, f"{pool.name}: not created yet"
    status, desired = deployment.status, deployment.spec.replicas
    if status.phase == "Failed":
        return conditions.NODE_POOLS_FAILED, f"{pool.name}: failed"
    if status.observed_generation < deployment.metadata.generation or status.up_to_date_replicas < desired:
        return conditions.NODE_POOLS_UPDATING, f"{pool.name}: {status.up_to_date_replicas} of {desired} up to date"
    if status.available_replicas < desired or status.replicas != desired:
        return conditions.NODE_POOLS_UPDATING, f"{pool.name}: {status.available_replicas} of {desired} available"
    return None


def _nodes(capi: clusterapi.Cluster | None) -> ClusterCondition:
    halves = (clusterapi.CONTROL_PLANE_MACHINES_READY, clusterapi.WORKER_MACHINES_READY)
    if capi is not None and all(is_condition_true(capi, half) for half in halves):
        return true_condition(conditions.NODES_HEALTHY)
    details = [condition_message(capi, half) for half in halves if not is_condition_true(capi, half)] if capi else []
    message = _joined("Waiting for nodes to be healthy", "; ".join(detail for detail in details if detail))
    return false_condition(conditions.NODES_HEALTHY, conditions.WAITING_FOR_NODES_HEALTHY, message)


def is_rolled_out(observed: CapiObjects) -> bool:
    """Return whether every machine matches the Cluster's current spec."""
    return not outstanding_change(observed)


def outstanding_change(observed: CapiObjects) -> str:
    """Return what keeps machines from matching the Cluster's current spec; empty if all of them match.

    In the chain from Cluster to control plane or pool to machine, each controller must have observed the current
    generation. Otherwise "up to date" may refer to an earlier spec.
    """
    capi, control_plane = observed.cluster, observed.control_plane
    if capi is None or control_plane is None:
        return "the cluster has not been created yet"
    if not is_reconciled(capi):
        return "Cluster API has not applied the cluster's current spec yet"
    pools = [_outstanding_change(f"pool {_pool_name(pool)}", pool) for pool in observed.machine_deployments]
    changes = (*pools, _outstanding_change("the control plane", control_plane))
    return next((change for change in changes if change), "")


def _pool_name(pool: clusterapi.MachineDeployment) -> str:
    return pool.metadata.labels.get(DEPLOYMENT_NAME_LABEL) or pool.metadata.name


def _outstanding_change(name: str, group: clusterapi.KubeadmControlPlane | clusterapi.MachineDeployment) -> str:
    status = group.status
    if status.observed_generation < group.metadata.generation:
        return f"Cluster API has not observed the latest generation of {name} yet"
    if not status.up_to_date_replicas == status.replicas == group.spec.replicas:
        return f"machines of {name} are not up to date"
    return ""


def is_reconciled(capi: clusterapi.Cluster) -> bool:
    """Return whether Cluster API has applied the Cluster's current spec."""
    reconciled = condition(capi.status.conditions, clusterapi.TOPOLOGY_RECONCILED)
    if reconciled is None or reconciled.status != conditions.TRUE:
        return False
    return reconciled.observed_generation >= capi.metadata.generation


def topology_error(capi: clusterapi.Cluster | None) -> str:
    """Return why Cluster API could not apply the Cluster's spec; empty if it did not fail."""
    reconciled = condition(capi.status.conditions, clusterapi.TOPOLOGY_RECONCILED) if capi else None
    if reconciled is None or reconciled.status != conditions.FALSE or reconciled.reason != clusterapi.RECONCILE_FAILED:
        return ""
    return f"Cluster API cannot create or update the cluster: {reconciled.message}"
