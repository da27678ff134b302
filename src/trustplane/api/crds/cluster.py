"""CRD of TanzuKubernetesCluster."""

from trustplane.api.cluster import KIND, VERSION
from trustplane.api.crds import network
from trustplane.api.crds.schema import (
    array,
    column,
    condition_column,
    conditions,
    definition,
    duration,
    integer,
    mapping,
    obj,
    observed_generation,
    root,
    rule,
    string,
    time,
)
from trustplane.api.meta import Json

_MAX_POOLS = 100
_MAX_WORKERS = 150  # per pool
_POOL_NAME = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def crd() -> Json:
    """Return the CRD."""
    schema = root(
        "A Kubernetes cluster of the service.",
        _spec(),
        _status(),
        rules=[
            rule(
                "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                "has a name that is invalid for nodes. Names of nodes and labels begin with it. "
                "Use at most 63 lower case letters, digits and '-', beginning with a letter",
            )
        ],
    )
    return definition(
        kind=KIND,
        plural="tanzukubernetesclusters",
        scope="Namespaced",
        versions=(VERSION,),
        schema=schema,
        columns=[
            column(
                "Control Plane", ".spec.topology.controlPlane.replicas", "Requested control plane nodes.", "integer"
            ),
            column("Worker", ".status.totalWorkerReplicas", "Existing worker nodes.", "integer"),
            column("TKR Name", ".spec.topology.controlPlane.tkr.reference.name", "Requested release."),
            column("Age", ".metadata.creationTimestamp", "Time since creation.", "date"),
            condition_column("Ready", "Ready", "Whether the cluster matches its specification."),
            condition_column("TKR Compatible", "TanzuKubernetesReleaseCompatible", "Whether the release is available."),
            condition_column(
                "Updates Available", "UpdatesAvailable", "Releases available for an update.", field="message"
            ),
        ],
        short="tkc",
    )


def _spec() -> Json:
    return obj(
        "Desired state of the cluster.",
        {
            "topology": obj(
                "The nodes of the cluster.",
                {"controlPlane": _control_plane(), "nodePools": _node_pools()},
                required=("controlPlane", "nodePools"),
            ),
            "settings": _settings(),
            "distribution": obj(
                "The release in the format of v1alpha1. Deprecated: use topology.controlPlane.tkr.reference.name.",
                {
                    "fullVersion": string("Full version of the release."),
                    "version": string("Version of the release, or a prefix such as v1.36."),
                },
            ),
        },
        required=("topology",),
    )


def _control_plane() -> Json:
    replicas = integer(
        "Number of control plane nodes, 1 or 3; cannot change from 3 to 1.",
        default=1,
        rules=[
            rule(
                "self == 1 || self == 3",
                "is neither 1 nor 3. The nodes' etcd needs an odd number to keep a majority if one fails. Set 1 or 3",
            ),
            rule(
                "self >= oldSelf",
                "is less than before. etcd would lose its members' votes, so a control plane is never scaled down. "
                "Keep 3, or create a new cluster",
            ),
        ],
    )
    return obj("The control plane nodes.", {"replicas": replicas, **_nodes()}, required=("vmClass", "storageClass"))


def _node_pools() -> Json:
    pool = obj(
        "A group of equal worker nodes.",
        {
            "name": string(
                "Name of the pool.",
                max_length=63,
                minLength=1,
                rules=[
                    rule(
                        f"self.matches('{_POOL_NAME}')",
                        "is not a valid name for a node pool. Names of its nodes begin with it. "
                        "Use lower case letters, digits and '-', beginning and ending with a letter or digit",
                    )
                ],
            ),
            "replicas": integer(
                "Number of nodes. If omitted, Trustplane leaves the number to others, such as an autoscaler.",
                minimum=0,
                maximum=_MAX_WORKERS,
            ),
            **_nodes(),
            "labels": mapping("Labels of the nodes.", string("Value of the label.", max_length=63)),
            "taints": array("Taints of the nodes.", _taint(), max_items=64),
            "failureDomain": string("Failure domain of the nodes, such as a zone."),
        },
        required=("name", "vmClass", "storageClass"),
    )
    return array("Groups of worker nodes.", pool, max_items=_MAX_POOLS, key="name")


def _taint() -> Json:
    return obj(
        "A taint.",
        {
            "key": string("Key of the taint.", max_length=317, minLength=1),
            "value": string("Value of the taint.", max_length=63),
            "effect": string(
                "Effect on pods that do not tolerate the taint.", enum=["NoSchedule", "PreferNoSchedule", "NoExecute"]
            ),
            "timeAdded": time("Accepted, but not used."),
        },
        required=("key", "effect"),
    )


def _nodes() -> Json:
    """Return the fields shared by the control plane and node pools."""
    reference = obj(
        "The release.",
        {"name": string("Name of a TanzuKubernetesRelease, or a prefix such as v1.36.", minLength=1)},
        required=("name",),
    )
    return {
        "vmClass": string("Size of the nodes.", minLength=1),
        "storageClass": string("Storage class of the nodes' disks.", minLength=1),
        "tkr": obj("The release of the nodes.", {"reference": reference}),
        "nodeDrainTimeout": duration(
            "Maximum time for draining a node before its removal; 0s: no limit. "
            "If omitted: defaultNodeDrainTimeout of the service."
        ),
        "volumes": array("Separate disks for directories of a node.", _volume(), max_items=32, key="name"),
    }


def _volume() -> Json:
    quantity = {"x-kubernetes-int-or-string": True, "description": "A quantity, such as 50Gi."}
    return obj(
        "A disk.",
        {
            "name": string("Name of the disk.", max_length=63, minLength=1),
            "mountPath": string("Directory on this disk.", max_length=4096, minLength=1),
            "capacity": mapping("Size of the disk: `storage`.", quantity, max_properties=8),
            "storageClass": string("Storage class of the disk; if omitted, that of the nodes."),
        },
        required=("name", "mountPath", "capacity"),
    )


def _settings() -> Json:
    blocks = array(
        "Ranges in CIDR notation.",
        string("A range, such as 10.96.0.0/12.", max_length=64),
        max_items=2,
        rules=[
            rule(
                "self.all(block, isCIDR(block))",
                "has a range that is not in CIDR notation. Write address and prefix length: 10.96.0.0/12",
            )
        ],
    )
    net = obj(
        "Network of the cluster.",
        {
            "cni": obj(
                "Network plug-in; if omitted, that of the service.",
                {"name": string("Name of the plug-in.")},
                required=("name",),
            ),
            "services": obj("Addresses of Services; if omitted, 10.96.0.0/12.", {"cidrBlocks": blocks}),
            "pods": obj("Addresses of pods; if omitted, 192.168.0.0/16.", {"cidrBlocks": blocks}),
            "serviceDomain": string("DNS domain of Services; if omitted, cluster.local."),
            "proxy": network.proxy_schema("HTTP proxy of the nodes, replacing the service's."),
            "trust": network.trust_schema(
                "The cluster's own trust list, replacing the service's; an empty list trusts no additional CA. With "
                "annotation trustplane.dev/trust-merge: Append, the list is added to the service's. A change updates "
                "the cluster immediately."
            ),
        },
    )
    storage = obj(
        "Storage of the cluster's pods.",
        {
            "classes": array("Available storage classes.", string("Name of a storage class."), max_items=100),
            "defaultClass": string("Storage class of volumes without an explicit class."),
        },
    )
    return obj("Optional settings.", {"network": net, "storage": storage})


def _status() -> Json:
    endpoint = obj(
        "An address of the API server.",
        {"host": string("Name or address."), "port": integer("TCP port.")},
        required=("host", "port"),
    )
    addon = obj(
        "A component installed in the cluster.",
        {
            "name": string("Name of the component."),
            "type": string("Type of the component."),
            "version": string("Version of the component."),
        },
        required=("name",),
    )
    return obj(
        "Observed state of the cluster.",
        {
            "phase": string("creating, running, updating, failed, updateFailed or deleting."),
            "version": string("Running version of Kubernetes; during an update, the previous version."),
            "totalWorkerReplicas": integer("Existing worker nodes."),
            "apiEndpoints": array("Addresses of the API server.", endpoint, max_items=8),
            "addons": array("Components installed in the cluster.", addon, max_items=32),
            "observedGeneration": observed_generation(),
            "conditions": conditions(
                "Ready and its components; TrustCurrent: whether the nodes trust the set requested by the lists; "
                "TrustValid: whether the lists are usable."
            ),
        },
    )
