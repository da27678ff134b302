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
        "A private registry that nodes are to trust. Every node of the selected clusters proves it, by a pull of its "
        "kubelet, after each change of its trust and then regularly.",
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
            column("Host", ".spec.host", "Where it is."),
            condition_column("Reachable", "Reachable", "Whether it answers."),
            condition_column("Trusted", "Trusted", "Whether every node trusts it."),
            column("Clusters", ".status.trustingClusters", "Clusters that trust it, and all that should."),
            column("Age", ".metadata.creationTimestamp", "Time since it was made.", "date"),
        ],
    )


def _spec() -> Json:
    host = string(
        "The registry as images name it: host or host:port.",
        minLength=1,
        rules=[
            rule(
                f"self.matches({literal(HOST_PATTERN)})",
                "is no host of a registry. Nodes dial it over HTTPS. Write host or host:port, without https:// or path",
            )
        ],
    )
    reference = obj(
        "Secret of type kubernetes.io/dockerconfigjson in namespace trustplane-system of the management cluster. For "
        "the time of a proof it is copied into namespace trustplane-system of those clusters that namespaceSelector "
        "selects, whose administrators can then read it.",
        {
            "namespace": string(
                "To be left out: trustplane-system.",
                max_length=63,
                rules=[
                    rule(
                        f"self == '' || self == {literal(_NAMESPACE)}",
                        f"is another namespace. Whoever may make a Registry is not to read the Secrets of others. "
                        f"Put the Secret into {_NAMESPACE} and leave the namespace out",
                    )
                ],
            ),
            "name": string("Its name.", minLength=1),
        },
        required=("name",),
    )
    image = string(
        "An image of it to pull for real. Left out, one that does not exist is asked for, which proves TLS as well.",
        max_length=1024,
    )
    return obj(
        "Which registry, how it is tried, and by which clusters.",
        {
            "host": host,
            "probeImage": image,
            "pullSecretRef": reference,
            "namespaceSelector": _selector(
                "Labels of the Namespaces whose clusters get a copy of the pull secret; empty: every one. Select by "
                "name with label kubernetes.io/metadata.name."
            ),
            "clusterSelector": _selector("Labels of the Clusters that are to trust it; left out, or empty: every one."),
        },
        required=("host",),
        rules=[
            rule(
                "!has(self.probeImage) || self.probeImage == '' || self.probeImage.startsWith(self.host + '/')",
                "has a probeImage of another registry. It would prove nothing of this one. Begin it with host and /",
            ),
            rule(
                "!has(self.pullSecretRef) || has(self.namespaceSelector)",
                "has a pullSecretRef and no namespaceSelector. The administrators of a cluster can read its copy. "
                "Select the namespaces whose clusters may have it; {} selects all",
            ),
        ],
    )


def _selector(description: str) -> Json:
    requirement = obj(
        "A requirement.",
        {
            "key": string("Key of the label.", max_length=317),
            "operator": string("How it is compared.", enum=["In", "NotIn", "Exists", "DoesNotExist"]),
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
            "subject": string("Whose it is.", max_length=MAX_SUBJECT),
            "issuer": string("Who signed it.", max_length=MAX_SUBJECT),
            "fingerprint": string("SHA-256 fingerprint.", max_length=64),
            "notAfter": time("When it expires."),
            "data": string("The certificate itself: base64 of its DER.", max_length=MAX_CERTIFICATE),
        },
    )
    failure = obj(
        "Pods of one cluster that wait for images of it in vain.",
        {
            "cluster": string("The cluster: namespace/name.", max_length=317),
            "cause": string("A code of `trustplane explain`."),
            "pods": integer("How many pods."),
            "since": time("When the first of them was seen."),
            "lastSeen": time("When they were last seen to fail, to the hour."),
            "example": string("One of the pods: namespace/name.", max_length=317),
        },
    )
    anchor = obj(
        "The entry of the service's list by which nodes trust it; left out where there is none.",
        {
            "name": string("Its name."),
            "fingerprint": string("SHA-256 fingerprint.", max_length=64),
            "notAfter": time("When it expires."),
        },
    )

    def count(what: str) -> Json:
        counts = {"trusting": integer(f"{what} that trust it."), "total": integer(f"{what} that should.")}
        return obj(f"{what}, counted.", counts)

    return obj(
        "What Trustplane reports.",
        {
            "chain": array("What it served last: its own certificate first.", certificate, max_items=MAX_CHAIN),
            "anchor": anchor,
            "clusters": count("Clusters"),
            "nodes": count("Nodes"),
            "trustingClusters": string("Clusters that trust it, and all that should: 2/3."),
            "lastDialled": time("When the chain was asked for."),
            "failures": array(
                "Pods that wait for images of it in vain, by cluster and cause, most pods first.",
                failure,
                max_items=MAX_FAILURES,
            ),
            "conditions": conditions("Reachable, Trusted, AtRisk and, with a pullSecretRef, PullSecret."),
        },
    )
