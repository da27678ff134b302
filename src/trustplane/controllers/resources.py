"""The kinds that the controllers and the command line read and write."""

from trustplane.api import cluster, clusterapi, clustertrust, configuration, registry, release
from trustplane.api.core import Secret
from trustplane.api.meta import Object
from trustplane.api.pod import Pod
from trustplane.kube.resource import Resource

CONFIGURATIONS = Resource(
    configuration.GROUP,
    configuration.VERSIONS[-1],
    "TkgServiceConfiguration",
    "tkgserviceconfigurations",
    configuration.TkgServiceConfiguration,
    namespaced=False,
)
TANZU_CLUSTERS = Resource(
    configuration.GROUP, cluster.VERSION, cluster.KIND, "tanzukubernetesclusters", cluster.TanzuKubernetesCluster
)
RELEASES = Resource(
    configuration.GROUP,
    release.VERSION,
    release.KIND,
    "tanzukubernetesreleases",
    release.TanzuKubernetesRelease,
    namespaced=False,
)

REGISTRIES = Resource(
    registry.GROUP, registry.VERSION, registry.KIND, "registries", registry.Registry, namespaced=False
)
CLUSTER_TRUSTS = Resource(
    clustertrust.GROUP, clustertrust.VERSION, clustertrust.KIND, "clustertrusts", clustertrust.ClusterTrust
)

SECRETS = Resource("", "v1", "Secret", "secrets", Secret)

CLUSTERS = Resource(clusterapi.GROUP, clusterapi.VERSION, "Cluster", "clusters", clusterapi.Cluster)
MACHINES = Resource(clusterapi.GROUP, clusterapi.VERSION, "Machine", "machines", clusterapi.Machine)
MACHINE_DEPLOYMENTS = Resource(
    clusterapi.GROUP, clusterapi.VERSION, "MachineDeployment", "machinedeployments", clusterapi.MachineDeployment
)
MACHINE_HEALTH_CHECKS = Resource(
    clusterapi.GROUP, clusterapi.VERSION, "MachineHealthCheck", "machinehealthchecks", clusterapi.MachineHealthCheck
)
CONTROL_PLANES = Resource(
    f"controlplane.{clusterapi.GROUP}",
    clusterapi.VERSION,
    "KubeadmControlPlane",
    "kubeadmcontrolplanes",
    clusterapi.KubeadmControlPlane,
)

# Of workload clusters, with the few fields that count.
WORKLOAD_PODS = Resource("", "v1", "Pod", "pods", Pod)
WORKLOAD_NODES = Resource("", "v1", "Node", "nodes", Object, namespaced=False)

# Who wrote a field, in managedFields.
FIELD_MANAGER = "trustplane"
