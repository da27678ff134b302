"""TanzuKubernetesCluster v1alpha3: one workload cluster, as requested by its owner.

Source: docs of vSphere 8's v1alpha3 API; run.tanzu.vmware.com/v1alpha2 types for the shared parts.
"""

from datetime import datetime

import msgspec

from trustplane.api.configuration import ProxyConfiguration, TrustConfiguration, TrustedCA
from trustplane.api.meta import Condition, Object, Struct

VERSION = "v1alpha3"
KIND = "TanzuKubernetesCluster"


class TKRReference(Struct):
    """Name of a TanzuKubernetesRelease, or a prefix of the name."""

    name: str = ""


class TKR(Struct):
    """The release of a control plane or node pool."""

    reference: TKRReference | None = None


class Volume(Struct):
    """A separate disk for one directory of a node."""

    name: str = ""
    mount_path: str = ""
    capacity: dict[str, int | str] = msgspec.field(default_factory=dict)  # resource (`storage`) -> quantity
    storage_class: str = ""


class Taint(Struct):
    """A taint of a pool's nodes (core/v1 Taint)."""

    key: str = ""
    value: str = ""
    effect: str = ""
    time_added: datetime | None = None


class Topology(Struct):
    """Fields shared by the control plane and node pools."""

    replicas: int | None = None
    vm_class: str = ""
    storage_class: str = ""
    tkr: TKR | None = None
    volumes: list[Volume] = msgspec.field(default_factory=list)
    node_drain_timeout: str = ""  # a Go duration; empty or 0s: no limit

    @property
    def release(self) -> str:
        """Name of the requested release; empty if none."""
        return self.tkr.reference.name if self.tkr and self.tkr.reference else ""


class NodePool(Topology):
    """A group of equal worker nodes."""

    name: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    taints: list[Taint] = msgspec.field(default_factory=list)
    failure_domain: str = ""


class ClusterTopology(Struct):
    """The nodes of a cluster."""

    control_plane: Topology = msgspec.field(default_factory=Topology)
    node_pools: list[NodePool] = msgspec.field(default_factory=list)


class CNI(Struct):
    """The network plug-in."""

    name: str = ""


class CIDRBlocks(Struct):
    """Address ranges."""

    cidr_blocks: list[str] = msgspec.field(default_factory=list)


class NetworkSettings(Struct):
    """Network of a cluster; if present, even empty, `trust` is the cluster's own list."""

    cni: CNI | None = None
    services: CIDRBlocks | None = None
    pods: CIDRBlocks | None = None
    service_domain: str = ""
    proxy: ProxyConfiguration | None = None
    trust: TrustConfiguration | None = None


class StorageSettings(Struct):
    """Storage classes offered to the cluster's pods."""

    classes: list[str] = msgspec.field(default_factory=list)
    default_class: str = ""


class Settings(Struct):
    """Optional settings of a cluster."""

    network: NetworkSettings | None = None
    storage: StorageSettings | None = None


class Distribution(Struct):
    """The release in the format of v1alpha1; deprecated but accepted."""

    full_version: str = ""
    version: str = ""


class TanzuKubernetesClusterSpec(Struct):
    """The requested state of a cluster."""

    topology: ClusterTopology = msgspec.field(default_factory=ClusterTopology)
    settings: Settings | None = None
    distribution: Distribution | None = None

    @property
    def network(self) -> NetworkSettings:
        """Network settings; empty if omitted."""
        return (self.settings and self.settings.network) or NetworkSettings()

    @property
    def own_trust(self) -> list[TrustedCA] | None:
        """The cluster's own list; None if omitted (the service's list applies), empty to trust none."""
        return self.network.trust.additional_trusted_cas if self.network.trust else None


class ClusterCondition(Condition):
    """A condition with the severity read by the original's clients: Error, Warning, Info, or empty when True."""

    severity: str = ""


class APIEndpoint(Struct):
    """Address of the cluster's API server."""

    host: str = ""
    port: int = 0


class AddonStatus(Struct):
    """A component installed in the cluster."""

    name: str = ""
    type: str = ""
    version: str = ""


class TanzuKubernetesClusterStatus(Struct):
    """The reported state of a cluster."""

    phase: str = ""  # creating, running, updating, failed, deleting, updateFailed
    version: str = ""
    total_worker_replicas: int = 0
    api_endpoints: list[APIEndpoint] = msgspec.field(default_factory=list)
    addons: list[AddonStatus] = msgspec.field(default_factory=list)
    observed_generation: int = 0
    conditions: list[ClusterCondition] = msgspec.field(default_factory=list)


class TanzuKubernetesCluster(Object):
    """One workload cluster."""

    spec: TanzuKubernetesClusterSpec = msgspec.field(default_factory=TanzuKubernetesClusterSpec)
    status: TanzuKubernetesClusterStatus = msgspec.field(default_factory=TanzuKubernetesClusterStatus)
