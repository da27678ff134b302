"""CRD of Registry."""

from typing import Final

from trustplane.api.clustertrust import MAX_FAILURES
from trustplane.api.crds.schema import (
    array,
    column,
    condition_column,
    conditions,
    definition,
    integer,
    literal,
    mapping,
    obj,
    root,
    rule,
    string,
    time,
)
from trustplane.api.limits import HOST_PATTERN
from trustplane.api.meta import Json
from trustplane.api.registry import GROUP, KIND, MAX_CERTIFICATE, MAX_CHAIN, MAX_SUBJECT, VERSION

_NAMESPACE: Final = "trustplane-system"  # where `deploy/` installs the manager


def crd() -> Json:
    """Return the CRD."""
    schema = root(
        "A private registry that nodes must trust. Every node of the selected clusters proves its trust by a pull of "
        "its kubelet, after each change of trust and then regularly.",
        _spec(),
        _status(),
    )
    return definition(
        group=GROUP,
        kind=KIND,
        plural="registries",
        scope="Cluster",
        versions=(VERSION,),
        schema=schema,
        columns=[
            column("Host", ".spec.host", "Host of the registry."),
            condition_column("Reachable", "Reachable", "Whether the registry answers."),
            condition_column("Trusted", "Trusted", "Whether every node trusts the registry."),
            column("Clusters", ".status.trustingClusters", "Trusting clusters of the selected clusters."),
            column("Age", ".metadata.creationTimestamp", "Time since creation.", "date"),
        ],
    )


def _spec() -> Json:
    host = string(
        "Registry host, as in image references: host or host:port.",
        minLength=1,
        rules=[
            rule(
                f"self.matches({literal(HOST_PATTERN)})",
                "is not a registry host. Nodes connect to it over HTTPS. Write host or host:port, without https:// or "
                "path",
            )
        ],
    )
    reference = obj(
        "Secret of type kubernetes.io/dockerconfigjson in namespace trustplane-system of the management cluster. "
        "During a proof, Trustplane copies it into namespace trustplane-system of the clusters selected by "
        "namespaceSelector, whose administrators can then read it.",
        {
            "namespace": string(
                "Omit this field. The only allowed value is trustplane-system.",
                max_length=63,
                rules=[
                    rule(
                        f"self == '' || self == {literal(_NAMESPACE)}",
                        f"is another namespace. A right to create Registries must not give access to others' Secrets. "
                        f"Put the Secret into {_NAMESPACE} and omit the namespace",
                    )
                ],
            ),
            "name": string("Name of the Secret.", minLength=1),
        },
        required=("name",),
    )
    image = string(
        "An existing image to pull. If omitted, nodes request an image that does not exist, which also proves trust.",
        max_length=1024,
    )
    return obj(
        "The registry, how nodes prove their trust in it, and the clusters that must.",
        {
            "host": host,
            "probeImage": image,
            "pullSecretRef": reference,
            "namespaceSelector": _selector(
                "Labels of the Namespaces whose clusters get a copy of the pull secret; empty: all. To select by name, "
                "use label kubernetes.io/metadata.name."
            ),
            "clusterSelector": _selector("Labels of the Clusters that must trust the registry; omitted or empty: all."),
        },
        required=("host",),
        rules=[
            rule(
                "!has(self.probeImage) || self.probeImage == '' || self.probeImage.startsWith(self.host + '/')",
                "has a probeImage of another registry. It would prove nothing about this one. Begin it with host and /",
            ),
            rule(
                "!has(self.pullSecretRef) || has(self.namespaceSelector)",
                "has a pullSecretRef without a namespaceSelector. A cluster's administrators can read its copy. "
                "Select the namespaces whose clusters may get the secret; {} selects all",
            ),
        ],
    )


def _selector(description: str) -> Json:
    requirement = obj(
        "A requirement.",
        {
            "key": string("Key of the label.", max_length=317),
            "operator": string("Comparison operator.", enum=["In", "NotIn", "Exists", "DoesNotExist"]),
            "values": array("Values of In and NotIn.", string("A value.", max_length=63), max_items=100),
        },
        required=("key", "operator"),
    )
    return obj(
        description,
        {
            "matchLabels": mapping("Labels and their values.", string("A value.", max_length=63)),
            "matchExpressions": array("Requirements.", requirement, max_items=32),
        },
    )


def _status() -> Json:
    certificate = obj(
        "A certificate.",
        {
            "subject": string("Subject of the certificate.", max_length=MAX_SUBJECT),
            "issuer": string("Issuer of the certificate.", max_length=MAX_SUBJECT),
            "fingerprint": string("SHA-256 fingerprint.", max_length=64),
            "notAfter": time("When the certificate expires."),
            "data": string("The certificate: base64 of its DER.", max_length=MAX_CERTIFICATE),
        },
    )
    failure = obj(
        "Pods of one cluster with failing pulls from the registry.",
        {
            "cluster": string("The cluster: namespace/name.", max_length=317),
            "cause": string("A code of `trustplane explain`."),
            "pods": integer("Number of pods."),
            "since": time("When the first failure was observed."),
            "lastSeen": time("When a failure was last observed, to the hour."),
            "example": string("One of the pods: namespace/name.", max_length=317),
        },
    )
    anchor = obj(
        "The entry of the service's list that anchors the registry's certificate; omitted if there is none.",
        {
            "name": string("Name of the entry."),
            "fingerprint": string("SHA-256 fingerprint.", max_length=64),
            "notAfter": time("When the anchor expires."),
        },
    )

    def count(what: str) -> Json:
        counts = {"trusting": integer(f"{what} proven to trust it."), "total": integer(f"{what} selected.")}
        return obj(f"Number of {what.lower()}.", counts)

    return obj(
        "Observed state of the registry.",
        {
            "chain": array("Certificates it last served, server certificate first.", certificate, max_items=MAX_CHAIN),
            "anchor": anchor,
            "clusters": count("Clusters"),
            "nodes": count("Nodes"),
            "trustingClusters": string("Trusting clusters of the selected clusters, such as 2/3."),
            "lastDialled": time("When the manager last requested the chain."),
            "failures": array(
                "Pods with failing pulls from the registry, by cluster and cause, most pods first.",
                failure,
                max_items=MAX_FAILURES,
            ),
            "conditions": conditions("Reachable, Trusted, AtRisk and, with a pullSecretRef, PullSecret."),
        },
    )
