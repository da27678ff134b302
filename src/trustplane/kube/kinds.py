"""Built-in kinds as untyped dicts: Trustplane reads only a few fields of each."""

from trustplane.api.meta import Json
from trustplane.kube.resource import Resource

NAMESPACES: Resource[Json] = Resource("", "v1", "Namespace", "namespaces", dict, namespaced=False)
NODES: Resource[Json] = Resource("", "v1", "Node", "nodes", dict, namespaced=False)
PODS: Resource[Json] = Resource("", "v1", "Pod", "pods", dict)
SECRETS: Resource[Json] = Resource("", "v1", "Secret", "secrets", dict)
CONFIG_MAPS: Resource[Json] = Resource("", "v1", "ConfigMap", "configmaps", dict)
SERVICE_ACCOUNTS: Resource[Json] = Resource("", "v1", "ServiceAccount", "serviceaccounts", dict)
DEPLOYMENTS: Resource[Json] = Resource("apps", "v1", "Deployment", "deployments", dict)
EVENTS: Resource[Json] = Resource("events.k8s.io", "v1", "Event", "events", dict)
LEASES: Resource[Json] = Resource("coordination.k8s.io", "v1", "Lease", "leases", dict)
CUSTOM_RESOURCE_DEFINITIONS: Resource[Json] = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", dict, namespaced=False
)
