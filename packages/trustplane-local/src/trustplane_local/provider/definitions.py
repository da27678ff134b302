"""CustomResourceDefinitions of the provider's kinds.

Source: docs/book/src/developer/providers/contracts/{infra-cluster,infra-machine}.md of Cluster API, contract v1beta2.
"""

from collections.abc import Sequence

from trustplane.api.meta import Json
from trustplane_local.provider.objects import GROUP, VERSION
from trustplane_local.stack import FIRST_INDEX, LAST_INDEX

_IMMUTABLE = [{"rule": "self == oldSelf", "message": "cannot be changed once it is set"}]


def provider_crds() -> list[Json]:
    """Return the CustomResourceDefinitions of LocalCluster, LocalMachine and their templates."""
    return [
        _definition(
            "LocalCluster",
            "localclusters",
            _CLUSTER,
            short="lc",
            columns=[
                _column("Cluster", r".metadata.labels.cluster\.x-k8s\.io/cluster-name", "Cluster that owns this"),
                _column("Endpoint", ".spec.controlPlaneEndpoint.host", "Address of the load balancer"),
            ],
        ),
        _definition(
            "LocalMachine",
            "localmachines",
            _MACHINE,
            short="lm",
            columns=[
                _column("Cluster", r".metadata.labels.cluster\.x-k8s\.io/cluster-name", "Cluster of the machine"),
                _column("Address", '.status.addresses[?(@.type=="InternalIP")].address', "Address of the machine"),
                _column("Provider ID", ".spec.providerID", "ID of the machine and of its Node", priority=1),
            ],
        ),
        _definition("LocalClusterTemplate", "localclustertemplates", _template("LocalCluster")),
        _definition("LocalMachineTemplate", "localmachinetemplates", _template("LocalMachine")),
    ]


def _definition(kind: str, plural: str, schema: Json, *, short: str = "", columns: Sequence[Json] = ()) -> Json:
    has_status = "status" in schema["properties"]
    conditions = [
        _column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether it works"),
        _column("Reason", '.status.conditions[?(@.type=="Ready")].reason', "Why it works or not"),
    ]
    age = [_column("Age", ".metadata.creationTimestamp", "Time since it was made", type_="date")]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "labels": {
                "cluster.x-k8s.io/provider": "infrastructure-trustplane-local",
                "cluster.x-k8s.io/v1beta2": VERSION,
            },
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "categories": ["cluster-api"],
                **({"shortNames": [short]} if short else {}),
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}} if has_status else {},
                    "additionalPrinterColumns": [*columns, *(conditions if has_status else []), *age],
                }
            ],
        },
    }


def _column(name: str, path: str, description: str, *, type_: str = "string", priority: int = 0) -> Json:
    return {"name": name, "type": type_, "jsonPath": path, "description": description, "priority": priority}


def _object(description: str, **properties: Json) -> Json:
    return {"type": "object", "description": description, "properties": properties}


def _string(description: str, **limits: object) -> Json:
    return {"type": "string", "description": description, **limits}


_INDEX: Json = {
    "type": "integer",
    "format": "int32",
    "minimum": FIRST_INDEX,
    "maximum": LAST_INDEX,
    "description": "Index of the address in the stack's subnet, set by the provider before anything else is made.",
    "x-kubernetes-validations": _IMMUTABLE,
}

_CONDITIONS: Json = {
    "type": "array",
    "description": "What was observed. Ready is mirrored to InfrastructureReady of the owner; Paused says that the "
    "object is left alone.",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        **_object(
            "One observation.",
            type=_string("What is observed.", maxLength=316),
            status=_string("True, False or Unknown.", enum=["True", "False", "Unknown"]),
            reason=_string("Why, in one word for programs.", minLength=1, maxLength=1024),
            message=_string("Why, for people, and what to do next.", maxLength=32768),
            observedGeneration={
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "description": "Generation of the object that was observed.",
            },
            lastTransitionTime=_string("When the status last changed.", format="date-time"),
        ),
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    },
}

_INITIALIZATION = _object(
    "The one-time steps that Cluster API waits for.",
    provisioned={"type": "boolean", "description": "True once the infrastructure is there; it stays true."},
)

_CLUSTER = _object(
    "A LocalCluster is the infrastructure of one Cluster in the local stack: a load balancer (haproxy in a podman "
    "container) before its control plane.",
    spec=_object(
        "What is wanted. The provider fills it in.",
        index=_INDEX,
        controlPlaneEndpoint={
            **_object(
                "Where the cluster's API server is reached: the load balancer.",
                host=_string("Address in the stack's network.", minLength=1, maxLength=512),
                port={
                    "type": "integer",
                    "format": "int32",
                    "minimum": 1,
                    "maximum": 65535,
                    "description": "TCP port.",
                },
            ),
            "minProperties": 1,
            "x-kubernetes-validations": _IMMUTABLE,
        },
    ),
    status=_object("What was observed.", initialization=_INITIALIZATION, conditions=_CONDITIONS),
)

_MACHINE = _object(
    "A LocalMachine is one Machine in the local stack: a podman container that runs systemd, cloud-init, containerd, "
    "the kubelet and sshd.",
    spec=_object(
        "What is wanted. The provider fills it in.",
        index=_INDEX,
        providerID={
            **_string("ID of the machine, the same as the Node's.", minLength=1, maxLength=512),
            "x-kubernetes-validations": _IMMUTABLE,
        },
    ),
    status=_object(
        "What was observed.",
        initialization=_INITIALIZATION,
        conditions=_CONDITIONS,
        addresses={
            "type": "array",
            "description": "Addresses of the machine.",
            "items": {
                **_object(
                    "One address.",
                    type=_string(
                        "Kind of address.",
                        enum=["Hostname", "InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS"],
                    ),
                    address=_string("The address.", minLength=1, maxLength=256),
                ),
                "required": ["type", "address"],
            },
        },
    ),
)


def _template(kind: str) -> Json:
    strings = {"type": "object", "additionalProperties": {"type": "string"}}
    resource = _object(
        f"The {kind} that is made.",
        metadata=_object(
            "Labels and annotations of what is made.",
            labels={**strings, "description": "Labels."},
            annotations={**strings, "description": "Annotations."},
        ),
        spec=_object(f"Spec of the {kind}. There is nothing to choose: the provider fills it in."),
    )
    template = {**resource, "required": ["spec"]}
    spec = {**_object("What is made from the template.", template=template), "required": ["template"]}
    return {
        **_object(f"A {kind}Template says what each {kind} of a ClusterClass is like.", spec=spec),
        "required": ["spec"],
    }
