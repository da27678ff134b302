"""Which parts of a cluster are ready, as Cluster API's objects tell it, in the original's conditions."""

from collections.abc import Sequence
from dataclasses import dataclass

from trustplane.api import clusterapi, conditions
from trustplane.api.annotations import DEPLOYMENT_NAME_LABEL
from trustplane.api.cluster import ClusterCondition, NodePool, TanzuKubernetesCluster
from trustplane.api.meta import condition

ERROR, WARNING, INFO = "Error", "Warning", "Info"


@dataclass(frozen=True, kw_only=True)
class CapiObjects:
    """What there is of a cluster in Cluster API."""

    cluster: clusterapi.Cluster | None
    control_plane: clusterapi.KubeadmControlPlane | None
    machine_deployments: Sequence[clusterapi.MachineDeployment]


def true_condition(type_: str, reason: str = "", message: str = "") -> ClusterCondition:
    """Return a condition that holds; its reason is its type where no other is given."""
    return ClusterCondition(type=type_, status=conditions.TRUE, reason=reason or type_, message=message)


def false_condition(type_: str, reason: str, message: str, *, severity: str = INFO) -> ClusterCondition:
    """Return a condition that does not hold."""
    return ClusterCondition(type=type_, status=conditions.FALSE, reason=reason, message=message, severity=severity)


def readiness_conditions(tkc: TanzuKubernetesCluster, observed: CapiObjects) -> list[ClusterCondition]:
    """Return ControlPlaneReady, NodePoolsReady and NodesHealthy."""
    return [_control_plane(observed.cluster), _node_pools(tkc, observed), _nodes(observed.cluster)]


def is_condition_true(capi: clusterapi.Cluster, type_: str) -> bool:
    """Tell whether that condition of Cluster API is True."""
    found = condition(capi.status.conditions, type_)
    return found is not None and found.status == conditions.TRUE


def condition_message(capi: clusterapi.Cluster, type_: str) -> str:
    """Return the message of that condition of Cluster API."""
    found = condition(capi.status.conditions, type_)
    return found.message if found else ""


def _control_plane(capi: clusterapi.Cluster | None) -> ClusterCondition:
    type_ = conditions.CONTROL_PLANE_READY
    if capi is None:
        return false_condition(
            type_, conditions.WAITING_FOR_CLUSTER_INFRASTRUCTURE, "The cluster has not been made yet"
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
    for one, reason, waiting in steps:
        if not is_condition_true(capi, one):
            return false_condition(type_, reason, _joined(waiting, condition_message(capi, one)))
    missing = _missing(capi.status.control_plane)
    if missing:
        return false_condition(
            type_, conditions.WAITING_FOR_CONTROL_PLANE, f"Waiting for control planes to be ready: {missing}"
        )
    return true_condition(type_)


def _joined(waiting: str, detail: str) -> str:
    return f"{waiting}: {detail}" if detail else waiting


def _missing(counts: clusterapi.Replicas | None) -> str:
    if counts is None or counts.available_replicas < counts.desired_replicas:
        available, desired = (counts.available_replicas, counts.desired_replicas) if counts else (0, 0)
        return f"{available} of {desired} available"
    return ""


def _node_pools(tkc: TanzuKubernetesCluster, observed: CapiObjects) -> ClusterCondition:
    """The first pool that is not ready, the worst reason first, explains all."""
    made = {one.metadata.labels.get(DEPLOYMENT_NAME_LABEL): one for one in observed.machine_deployments}
    found = [_pool(pool, made.get(pool.name)) for pool in tkc.spec.topology.node_pools]
    order = (conditions.NODE_POOLS_FAILED, conditions.NODE_POOLS_UPDATING, conditions.NODE_POOLS_UNKNOWN)
    wrong = sorted((one for one in found if one), key=lambda one: order.index(one[0]))
    if not wrong:
        return true_condition(conditions.NODE_POOLS_READY)
    message = "; ".join(message for _, message in wrong)
    severity = ERROR if wrong[0][0] == conditions.NODE_POOLS_FAILED else INFO
    return false_condition(conditions.NODE_POOLS_READY, wrong[0][0], message, severity=severity)


def _pool(pool: NodePool, deployment: clusterapi.MachineDeployment | None) -> tuple[str, str] | None:
    if deployment is None:
        return conditions.NODE_POOLS_UNKNOWN, f"{pool.name}: not made yet"
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
    message = _joined("Waiting for nodes to be healthy", "; ".join(one for one in details if one))
    return false_condition(conditions.NODES_HEALTHY, conditions.WAITING_FOR_NODES_HEALTHY, message)


def is_rolled_out(observed: CapiObjects) -> bool:
    """Tell whether every machine is as the Cluster asks for now."""
    return not outstanding_change(observed)


def outstanding_change(observed: CapiObjects) -> str:
    """Say what is waited for until every machine is as the Cluster asks for now; empty where nothing is.

    Each link of the chain Cluster, control plane or pool, machine must have seen the present generation of the one
    before; else "up to date" may still be about yesterday.
    """
    capi, control_plane = observed.cluster, observed.control_plane
    if capi is None or control_plane is None:
        return "the cluster has not been made yet"
    if not is_reconciled(capi):
        return "Cluster API has not written what the cluster asks for yet"
    pools = [_outstanding(f"pool {_pool_name(one)}", one) for one in observed.machine_deployments]
    return next((one for one in (*pools, _outstanding("the control plane", control_plane)) if one), "")


def _pool_name(pool: clusterapi.MachineDeployment) -> str:
    return pool.metadata.labels.get(DEPLOYMENT_NAME_LABEL) or pool.metadata.name


def _outstanding(name: str, group: clusterapi.KubeadmControlPlane | clusterapi.MachineDeployment) -> str:
    status = group.status
    if status.observed_generation < group.metadata.generation:
        return f"Cluster API has not said yet that it has seen the change of {name}"
    if not status.up_to_date_replicas == status.replicas == group.spec.replicas:
        return f"machines of {name} are not up to date"
    return ""


def is_reconciled(capi: clusterapi.Cluster) -> bool:
    """Tell whether Cluster API has written everything that the Cluster asks for now."""
    found = condition(capi.status.conditions, clusterapi.TOPOLOGY_RECONCILED)
    return (
        found is not None and found.status == conditions.TRUE and found.observed_generation >= capi.metadata.generation
    )


def topology_error(capi: clusterapi.Cluster | None) -> str:
    """Say why Cluster API could not write what the Cluster asks for; empty where it could, or is about to."""
    found = condition(capi.status.conditions, clusterapi.TOPOLOGY_RECONCILED) if capi else None
    failed = found is not None and found.status == conditions.FALSE and found.reason == clusterapi.RECONCILE_FAILED
    return f"Cluster API cannot make the cluster: {found.message}" if found and failed else ""
