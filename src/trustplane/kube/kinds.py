"""Every kind that Trustplane reads or writes, once.

Kinds of Trustplane, of Cluster API and of the TKG Service decode to typed objects. Most built-in kinds are plain dicts:
Trustplane reads only a few of their fields.
"""

from trustplane.api import cluster, clusterapi, clustertrust, configuration, registry, release
from trustplane.api.core import Secret
from trustplane.api.meta import Json, Object
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

# Built-in kinds as plain dicts.
NAMESPACES: Resource[Json] = Resource("", "v1", "Namespace", "namespaces", dict, namespaced=False)
NODES: Resource[Json] = Resource("", "v1", "Node", "nodes", dict, namespaced=False)
PODS: Resource[Json] = Resource("", "v1", "Pod", "pods", dict)
PLAIN_SECRETS: Resource[Json] = Resource("", "v1", "Secret", "secrets", dict)
CONFIG_MAPS: Resource[Json] = Resource("", "v1", "ConfigMap", "configmaps", dict)
SERVICE_ACCOUNTS: Resource[Json] = Resource("", "v1", "ServiceAccount", "serviceaccounts", dict)
DEPLOYMENTS: Resource[Json] = Resource("apps", "v1", "Deployment", "deployments", dict)
EVENTS: Resource[Json] = Resource("events.k8s.io", "v1", "Event", "events", dict)
LEASES: Resource[Json] = Resource("coordination.k8s.io", "v1", "Lease", "leases", dict)
CUSTOM_RESOURCE_DEFINITIONS: Resource[Json] = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", dict, namespaced=False
)
