"""The provider's own kinds, and those of Cluster API that it follows.

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
    """Which of the one-time steps are done; part of Cluster API's contract."""

    provisioned: bool = False


class AddressSpec(Struct):
    """What both kinds have in their spec."""

    index: int = 0  # address index in the stack; 0: none yet


class ProviderStatus(Struct):
    """What both kinds report."""

    initialization: Initialization = msgspec.field(default_factory=Initialization)
    conditions: list[Condition] = msgspec.field(default_factory=list)


class LocalClusterSpec(AddressSpec):
    """Where the cluster's load balancer is."""

    control_plane_endpoint: Endpoint = msgspec.field(default_factory=Endpoint)


class LocalCluster(Object):
    """The infrastructure of one cluster: a load balancer before its control plane."""

    spec: LocalClusterSpec = msgspec.field(default_factory=LocalClusterSpec)
    status: ProviderStatus = msgspec.field(default_factory=ProviderStatus)


class LocalMachineSpec(AddressSpec):
    """Which container is the machine."""

    provider_id: str = msgspec.field(default="", name="providerID")


class LocalMachineStatus(ProviderStatus):
    """What is known about the container."""

    addresses: list[MachineAddress] = msgspec.field(default_factory=list)


class LocalMachine(Object):
    """One machine: a podman container."""

    spec: LocalMachineSpec = msgspec.field(default_factory=LocalMachineSpec)
    status: LocalMachineStatus = msgspec.field(default_factory=LocalMachineStatus)


LOCAL_CLUSTERS = Resource(GROUP, VERSION, "LocalCluster", "localclusters", LocalCluster)
LOCAL_MACHINES = Resource(GROUP, VERSION, "LocalMachine", "localmachines", LocalMachine)
CLUSTERS = Resource(clusterapi.GROUP, clusterapi.VERSION, "Cluster", "clusters", Cluster)
MACHINES = Resource(clusterapi.GROUP, clusterapi.VERSION, "Machine", "machines", Machine)


def find_owner(metadata: Metadata, kind: str) -> Key | None:
    """Return the object of that kind of Cluster API which owns this one, or None where none does yet."""
    group = f"{clusterapi.GROUP}/"
    references = [one for one in metadata.owner_references if one.kind == kind and one.api_version.startswith(group)]
    return Key(metadata.namespace, references[0].name) if references else None


def cluster_key(metadata: Metadata) -> Key:
    """Return the Cluster whose name an object's label has."""
    return Key(metadata.namespace, metadata.labels.get(CLUSTER_LABEL, ""))


def is_paused(metadata: Metadata, cluster: Cluster | None) -> bool:
    """Tell whether an object is to be left alone, by its own annotation or by its Cluster."""
    return PAUSED_ANNOTATION in metadata.annotations or (cluster is not None and cluster.spec.paused)
