"""The kinds that the hooks read and write, untyped: a field or two of each."""

from trustplane.api import clusterapi, registry
from trustplane.api.meta import Json
from trustplane.kube.resource import Resource

CLUSTERS: Resource[Json] = Resource(clusterapi.GROUP, clusterapi.VERSION, "Cluster", "clusters", dict)
MACHINES: Resource[Json] = Resource(clusterapi.GROUP, clusterapi.VERSION, "Machine", "machines", dict)
REGISTRIES = Resource(
    registry.GROUP, registry.VERSION, registry.KIND, "registries", registry.Registry, namespaced=False
)
