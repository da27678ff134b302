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
_MAX_WORKERS = 150  # of one pool
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
                "has a name that nodes cannot carry. Names of nodes and labels begin with it. "
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
                "Control Plane", ".spec.topology.controlPlane.replicas", "Control plane nodes asked for.", "integer"
            ),
            column("Worker", ".status.totalWorkerReplicas", "Worker nodes that there are.", "integer"),
            column("TKR Name", ".spec.topology.controlPlane.tkr.reference.name", "Release asked for."),
            column("Age", ".metadata.creationTimestamp", "Time since it was made.", "date"),
            condition_column("Ready", "Ready", "Whether the cluster is as it was asked for."),
            condition_column("TKR Compatible", "TanzuKubernetesReleaseCompatible", "Whether the release can be run."),
            condition_column(
                "Updates Available", "UpdatesAvailable", "Releases that it can be updated to.", field="message"
            ),
        ],
        short="tkc",
    )


def _spec() -> Json:
    return obj(
        "What the cluster's owner wants.",
        {
            "topology": obj(
                "The nodes of the cluster.",
                {"controlPlane": _control_plane(), "nodePools": _node_pools()},
                required=("controlPlane", "nodePools"),
            ),
            "settings": _settings(),
            "distribution": obj(
                "The release in the words of v1alpha1. Deprecated: use topology.controlPlane.tkr.reference.name.",
                {
                    "fullVersion": string("Full version of the release."),
                    "version": string("Version of the release; may be cut short, such as v1.36."),
                },
            ),
        },
        required=("topology",),
    )


def _control_plane() -> Json:
    replicas = integer(
        "Number of control plane nodes, 1 or 3; from 3 there is no way back to 1.",
        default=1,
        rules=[
            rule(
                "self == 1 || self == 3",
                "is neither 1 nor 3. The nodes' etcd needs an odd number to keep a majority when one fails. Set 1 or 3",
            ),
            rule(
                "self >= oldSelf",
                "is less than before. etcd would lose its members' votes, so a control plane is never scaled down. "
                "Keep 3, or make a new cluster",
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
                        "is no name for a node pool. Names of its nodes begin with it. "
                        "Use lower case letters, digits and '-', beginning and ending with a letter or digit",
                    )
                ],
            ),
            "replicas": integer(
                "Number of nodes. Left out, the number is not touched: an autoscaler may own it.",
                minimum=0,
                maximum=_MAX_WORKERS,
            ),
            **_nodes(),
            "labels": mapping("Labels of the nodes.", string("Value of the label.", max_length=63)),
            "taints": array("Taints of the nodes.", _taint(), max_items=64),
            "failureDomain": string("Failure domain, such as a zone, in which the nodes are."),
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
                "What happens to pods that do not tolerate it.", enum=["NoSchedule", "PreferNoSchedule", "NoExecute"]
            ),
            "timeAdded": time("Accepted and not used."),
        },
        required=("key", "effect"),
    )


def _nodes() -> Json:
    """Fields that the control plane and a node pool have in common."""
    reference = obj(
        "The release.",
        {"name": string("Name of a TanzuKubernetesRelease; may be cut short, such as v1.36.", minLength=1)},
        required=("name",),
    )
    return {
        "vmClass": string("Size of the nodes.", minLength=1),
        "storageClass": string("Storage class of the nodes' disks.", minLength=1),
        "tkr": obj("The release that the nodes run.", {"reference": reference}),
        "nodeDrainTimeout": duration(
            "How long a node may take to be drained before it is removed; 0s: no limit. "
            "Left out: defaultNodeDrainTimeout of the service."
        ),
        "volumes": array("Disks of their own for folders of a node.", _volume(), max_items=32, key="name"),
    }


def _volume() -> Json:
    quantity = {"x-kubernetes-int-or-string": True, "description": "A quantity, such as 50Gi."}
    return obj(
        "A disk.",
        {
            "name": string("Name of the disk.", max_length=63, minLength=1),
            "mountPath": string("Folder that is on it.", max_length=4096, minLength=1),
            "capacity": mapping("Its size: `storage`.", quantity, max_properties=8),
            "storageClass": string("Its storage class; left out, that of the nodes."),
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
                "self.all(one, isCIDR(one))",
                "has a range that is not in CIDR notation. Write address and length of the prefix: 10.96.0.0/12",
            )
        ],
    )
    net = obj(
        "Network of the cluster.",
        {
            "cni": obj(
                "Network plug-in; left out, that of the service.", {"name": string("Its name.")}, required=("name",)
            ),
            "services": obj("Addresses of Services; left out, 10.96.0.0/12.", {"cidrBlocks": blocks}),
            "pods": obj("Addresses of pods; left out, 192.168.0.0/16.", {"cidrBlocks": blocks}),
            "serviceDomain": string("DNS domain of Services; left out, cluster.local."),
            "proxy": network.proxy("HTTP proxy of the nodes in place of the service's."),
            "trust": network.trust(
                "The cluster's own list, in place of the service's; an empty one trusts none. With annotation "
                "trustplane.dev/trust-merge: Append it is added to the service's. A change updates the cluster at once."
            ),
        },
    )
    storage = obj(
        "Storage of the cluster's pods.",
        {
            "classes": array("Storage classes on offer.", string("Name of a storage class."), max_items=100),
            "defaultClass": string("The storage class of volumes that name none."),
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
        "A part installed into the cluster.",
        {"name": string("Its name."), "type": string("Its kind."), "version": string("Its version.")},
        required=("name",),
    )
    return obj(
        "What Trustplane reports.",
        {
            "phase": string("creating, running, updating, failed, updateFailed or deleting."),
            "version": string("Version of Kubernetes that runs; during an update, the one when it began."),
            "totalWorkerReplicas": integer("Worker nodes that there are."),
            "apiEndpoints": array("Where the API server is reached.", endpoint, max_items=8),
            "addons": array("Parts installed into the cluster.", addon, max_items=32),
            "observedGeneration": observed_generation(),
            "conditions": conditions(
                "Ready and what it is made of; TrustCurrent: whether nodes have the trust that the lists ask for; "
                "TrustValid: whether the lists can be used."
            ),
        },
    )
