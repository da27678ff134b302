"""The parts of Cluster API's v1beta2 objects used by Trustplane.

Source: sigs.k8s.io/cluster-api/api v1.14.2, core/v1beta2, controlplane/kubeadm/v1beta2.
"""

from datetime import datetime
from typing import Any

import msgspec

from trustplane.api.meta import Condition, LabelSelector, Object, Struct

GROUP = "cluster.x-k8s.io"
VERSION = "v1beta2"

AVAILABLE = "Available"
CONTROL_PLANE_AVAILABLE = "ControlPlaneAvailable"
CONTROL_PLANE_INITIALIZED = "ControlPlaneInitialized"
INFRASTRUCTURE_READY = "InfrastructureReady"
TOPOLOGY_RECONCILED = "TopologyReconciled"
RECONCILE_FAILED = "ReconcileFailed"  # a reason of TOPOLOGY_RECONCILED
WORKERS_AVAILABLE = "WorkersAvailable"
CONTROL_PLANE_MACHINES_READY = "ControlPlaneMachinesReady"
CONTROL_PLANE_MACHINES_UP_TO_DATE = "ControlPlaneMachinesUpToDate"
WORKER_MACHINES_READY = "WorkerMachinesReady"
WORKER_MACHINES_UP_TO_DATE = "WorkerMachinesUpToDate"
ROLLING_OUT = "RollingOut"  # of a control plane or a pool
PAUSED = "Paused"  # of any object except the Cluster
OWNER_REMEDIATED = "OwnerRemediated"  # of a Machine; False: the Machine should be removed


def kubeconfig_secret(cluster: str) -> str:
    """Return the name of Cluster API's Secret with a cluster's kubeconfig, under the key `value`."""
    return f"{cluster}-kubeconfig"


class Endpoint(Struct):
    """Address of a cluster's API server."""

    host: str = ""
    port: int = 0


class Variable(Struct):
    """A variable of a topology; its ClusterClass defines the type of the value."""

    name: str = ""
    value: Any = None


class Overrides(Struct):
    """Variables whose values differ for one group of machines."""

    overrides: list[Variable] = msgspec.field(default_factory=list)


class Group(Struct):
    """The control plane of a topology, or a pool of it."""

    name: str = ""
    variables: Overrides = msgspec.field(default_factory=Overrides)


class Workers(Struct):
    """The pools of a topology."""

    machine_deployments: list[Group] = msgspec.field(default_factory=list)
    machine_pools: list[Group] = msgspec.field(default_factory=list)


class Topology(Struct):
    """The managed topology of a Cluster."""

    version: str = ""
    variables: list[Variable] = msgspec.field(default_factory=list)
    control_plane: Group = msgspec.field(default_factory=Group)
    workers: Workers = msgspec.field(default_factory=Workers)


class Reference(Struct):
    """A reference to an object in the same namespace, such as a machine's bootstrap configuration."""

    kind: str = ""
    name: str = ""


class ClusterSpec(Struct):
    """The requested state of a Cluster."""

    paused: bool = False
    control_plane_endpoint: Endpoint = msgspec.field(default_factory=Endpoint)
    infrastructure_ref: Reference = msgspec.field(default_factory=Reference)
    topology: Topology = msgspec.field(default_factory=Topology)


class Initialization(Struct):
    """The completed one-time steps of a cluster's creation."""

    infrastructure_provisioned: bool = False
    control_plane_initialized: bool = False


class Replicas(Struct):
    """Counts of machines of a control plane, a pool, or all workers."""

    desired_replicas: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    up_to_date_replicas: int = 0


class ClusterStatus(Struct):
    """The reported state of a Cluster."""

    phase: str = ""
    observed_generation: int = 0
    conditions: list[Condition] = msgspec.field(default_factory=list)
    initialization: Initialization = msgspec.field(default_factory=Initialization)
    control_plane: Replicas | None = None
    workers: Replicas | None = None


class Cluster(Object):
    """cluster.x-k8s.io/v1beta2 Cluster."""

    spec: ClusterSpec = msgspec.field(default_factory=ClusterSpec)
    status: ClusterStatus = msgspec.field(default_factory=ClusterStatus)

    def variable(self, name: str) -> Any:
        """Return the value of a topology variable; None if it is not set."""
        return next((variable.value for variable in self.spec.topology.variables if variable.name == name), None)


class Bootstrap(Struct):
    """The bootstrap configuration of a machine, and the Secret with its data."""

    config_ref: Reference = msgspec.field(default_factory=Reference)
    data_secret_name: str = ""


class MachineSpec(Struct):
    """The requested state of a Machine."""

    cluster_name: str = ""
    version: str = ""
    provider_id: str = msgspec.field(default="", name="providerID")
    bootstrap: Bootstrap = msgspec.field(default_factory=Bootstrap)


class NodeReference(Struct):
    """The Node of a machine."""

    name: str = ""


class MachineAddress(Struct):
    """An address of a machine; `type` is Hostname, InternalIP, ExternalIP, InternalDNS or ExternalDNS."""

    type: str = ""
    address: str = ""


class MachineStatus(Struct):
    """The reported state of a Machine."""

    phase: str = ""
    conditions: list[Condition] = msgspec.field(default_factory=list)
    node_ref: NodeReference = msgspec.field(default_factory=NodeReference)
    addresses: list[MachineAddress] = msgspec.field(default_factory=list)


class Machine(Object):
    """cluster.x-k8s.io/v1beta2 Machine."""

    spec: MachineSpec = msgspec.field(default_factory=MachineSpec)
    status: MachineStatus = msgspec.field(default_factory=MachineStatus)


class Rollout(Struct):
    """When to replace machines without a change of their specification."""

    after: datetime | None = None


class MachineDeploymentSpec(Struct):
    """The requested state of a MachineDeployment."""

    cluster_name: str = ""
    replicas: int = 0
    rollout: Rollout = msgspec.field(default_factory=Rollout)


class MachineDeploymentStatus(Replicas):
    """The reported state of a MachineDeployment."""

    phase: str = ""
    observed_generation: int = 0
    conditions: list[Condition] = msgspec.field(default_factory=list)


class MachineDeployment(Object):
    """cluster.x-k8s.io/v1beta2 MachineDeployment."""

    spec: MachineDeploymentSpec = msgspec.field(default_factory=MachineDeploymentSpec)
    status: MachineDeploymentStatus = msgspec.field(default_factory=MachineDeploymentStatus)


class SecretKey(Struct):
    """A key of a Secret of the same namespace."""

    name: str = ""


class FileSource(Struct):
    """The source of a file's content."""

    secret: SecretKey = msgspec.field(default_factory=SecretKey)


class File(Struct):
    """A file of a machine. Inline content is not decoded: memory would hold the scripts once per cluster."""

    path: str = ""
    content_from: FileSource = msgspec.field(default_factory=FileSource)


class KubeadmConfigSpec(Struct):
    """What a machine's bootstrap data is made from."""

    files: list[File] = msgspec.field(default_factory=list)


class KubeadmControlPlaneSpec(Struct):
    """The requested state of a KubeadmControlPlane."""

    replicas: int = 0
    version: str = ""
    rollout: Rollout = msgspec.field(default_factory=Rollout)
    kubeadm_config_spec: KubeadmConfigSpec = msgspec.field(default_factory=KubeadmConfigSpec)


class KubeadmControlPlaneStatus(Replicas):
    """The reported state of a KubeadmControlPlane; `version` is the lowest of its machines."""

    version: str = ""
    observed_generation: int = 0
    conditions: list[Condition] = msgspec.field(default_factory=list)


class KubeadmControlPlane(Object):
    """controlplane.cluster.x-k8s.io/v1beta2 KubeadmControlPlane."""

    spec: KubeadmControlPlaneSpec = msgspec.field(default_factory=KubeadmControlPlaneSpec)
    status: KubeadmControlPlaneStatus = msgspec.field(default_factory=KubeadmControlPlaneStatus)


class Remediation(Struct):
    """What becomes of unhealthy machines; without a template their owner replaces them."""

    template_ref: Reference | None = None


class MachineHealthCheckSpec(Struct):
    """Which machines are looked after."""

    cluster_name: str = ""
    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    remediation: Remediation = msgspec.field(default_factory=Remediation)


class MachineHealthCheck(Object):
    """cluster.x-k8s.io/v1beta2 MachineHealthCheck."""

    spec: MachineHealthCheckSpec = msgspec.field(default_factory=MachineHealthCheckSpec)
