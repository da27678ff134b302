"""The kinds that an update reads and writes, untyped: a field or two of each."""

from trustplane.api import clusterapi, registry
from trustplane.api.meta import Json
from trustplane.kube.resource import Resource

CLUSTERS: Resource[Json] = Resource(clusterapi.GROUP, clusterapi.VERSION, "Cluster", "clusters", dict)
MACHINES: Resource[Json] = Resource(clusterapi.GROUP, clusterapi.VERSION, "Machine", "machines", dict)
CONTROL_PLANES: Resource[Json] = Resource(
    f"controlplane.{clusterapi.GROUP}", clusterapi.VERSION, "KubeadmControlPlane", "kubeadmcontrolplanes", dict
)
KUBEADM_CONFIGS: Resource[Json] = Resource(
    f"bootstrap.{clusterapi.GROUP}", clusterapi.VERSION, "KubeadmConfig", "kubeadmconfigs", dict
)
REGISTRIES = Resource(
    registry.GROUP, registry.VERSION, registry.KIND, "registries", registry.Registry, namespaced=False
)
