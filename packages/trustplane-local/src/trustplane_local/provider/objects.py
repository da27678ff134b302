"""The provider's kinds, and the kinds of Cluster API that it watches.

Source: docs/book/src/developer/providers/contracts/{infra-cluster,infra-machine}.md of Cluster API, contract v1beta2.
"""

import msgspec

from trustplane.api import clusterapi
from trustplane.api.clusterapi import Cluster, Endpoint, Machine, MachineAddress
from trustplane.api.keys import Key
from trustplane.api.meta import Condition, Metadata, Object, Struct
from trustplane.kube.resource import Resource

GROUP = "infrastructure.trustplane.dev"
VERSION = "v1alpha1"
FINALIZER = f"{GROUP}/provider"

CLUSTER_LABEL = "cluster.x-k8s.io/cluster-name"
CONTROL_PLANE_LABEL = "cluster.x-k8s.io/control-plane"
PAUSED_ANNOTATION = "cluster.x-k8s.io/paused"
MANAGED_BY_ANNOTATION = "cluster.x-k8s.io/managed-by"


class Initialization(Struct):
    """Completed one-time steps, as required by Cluster API's contract."""

    provisioned: bool = False


class AddressSpec(Struct):
    """The common spec of both kinds."""

    index: int = 0  # address index in the stack; 0 if not allocated yet


class ProviderStatus(Struct):
    """The common status of both kinds."""

    initialization: Initialization = msgspec.field(default_factory=Initialization)
    conditions: list[Condition] = msgspec.field(default_factory=list)


class LocalClusterSpec(AddressSpec):
    """The address of the cluster's load balancer."""

    control_plane_endpoint: Endpoint = msgspec.field(default_factory=Endpoint)


class LocalCluster(Object):
    """The infrastructure of a cluster: a load balancer for its control plane."""

    spec: LocalClusterSpec = msgspec.field(default_factory=LocalClusterSpec)
    status: ProviderStatus = msgspec.field(default_factory=ProviderStatus)


class LocalMachineSpec(AddressSpec):
    """The identity of the machine."""

    provider_id: str = msgspec.field(default="", name="providerID")


class LocalMachineStatus(ProviderStatus):
    """The state of the machine's container."""

    addresses: list[MachineAddress] = msgspec.field(default_factory=list)


class LocalMachine(Object):
    """The infrastructure of a machine: a podman container."""

    spec: LocalMachineSpec = msgspec.field(default_factory=LocalMachineSpec)
    status: LocalMachineStatus = msgspec.field(default_factory=LocalMachineStatus)


LOCAL_CLUSTERS = Resource(GROUP, VERSION, "LocalCluster", "localclusters", LocalCluster)
LOCAL_MACHINES = Resource(GROUP, VERSION, "LocalMachine", "localmachines", LocalMachine)
CLUSTERS = Resource(clusterapi.GROUP, clusterapi.VERSION, "Cluster", "clusters", Cluster)
MACHINES = Resource(clusterapi.GROUP, clusterapi.VERSION, "Machine", "machines", Machine)


def find_owner(metadata: Metadata, kind: str) -> Key | None:
    """Return the owner of an object, of a kind of Cluster API, or None if it has none yet."""
    group = f"{clusterapi.GROUP}/"
    references = (ref for ref in metadata.owner_references if ref.kind == kind and ref.api_version.startswith(group))
    reference = next(references, None)
    return Key(metadata.namespace, reference.name) if reference else None


def cluster_key(metadata: Metadata) -> Key:
    """Return the Cluster named by an object's label."""
    return Key(metadata.namespace, metadata.labels.get(CLUSTER_LABEL, ""))


def is_paused(metadata: Metadata, cluster: Cluster | None) -> bool:
    """Return whether an object's own annotation or its Cluster pauses its reconciliation."""
    return PAUSED_ANNOTATION in metadata.annotations or (cluster is not None and cluster.spec.paused)
