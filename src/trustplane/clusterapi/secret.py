"""The Secret that holds the trust set in force: immutable, its name says its content.

A changed set is a new Secret and so a changed reference, which is what makes Cluster API update nodes. A Secret is
collected when nothing can ask for it any more.
"""

import base64
from collections.abc import Iterable

from trustplane.api import annotations, cluster, clusterapi, configuration
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.clusterapi.owner import owner_reference
from trustplane.trust import scope
from trustplane.trust.entries import SHORT, TrustSet

_SUFFIX = ".pem"
_SCOPE = "registry-scope"  # has no suffix, so it is no entry's key


def name_of(cluster_name: str, digest: str) -> str:
    """Return the name of the Secret of the set with that digest."""
    return f"{cluster_name}-trust-{digest[:SHORT]}"


def selector(cluster_name: str) -> str:
    """Return the label selector of a cluster's trust Secrets."""
    return (
        f"{annotations.CLUSTER_NAME_LABEL}={cluster_name},{annotations.COMPONENT_LABEL}={annotations.TRUST_COMPONENT}"
    )


def desired_secret(tkc: cluster.TanzuKubernetesCluster, trust: TrustSet) -> Json:
    """Return the Secret of a set, to be created where it is absent.

    It is never applied over an existing one: equal sets may differ in the order of certificates, and the API server
    refuses any change of an immutable Secret.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name_of(tkc.metadata.name, trust.digest),
            "namespace": tkc.metadata.namespace,
            "labels": {
                annotations.CLUSTER_NAME_LABEL: tkc.metadata.name,  # Cluster API's managers cache Secrets by it
                annotations.COMPONENT_LABEL: annotations.TRUST_COMPONENT,
            },
            "ownerReferences": [owner_reference(tkc)],
        },
        "type": "Opaque",
        "immutable": True,
        "data": content(trust),
    }


def content(trust: TrustSet) -> dict[str, str]:
    """Return the data of a Secret that holds a set."""
    values = {key(name): pem for name, pem in trust.pems().items()}
    if trust.hosts:
        values[_SCOPE] = scope.text(trust.hosts)
    return {one: base64.b64encode(value.encode()).decode() for one, value in values.items()}


def key(name: str) -> str:
    """Return the key of an entry in the Secret."""
    return name + _SUFFIX


def read(secret: Secret) -> TrustSet | None:
    """Return the set that a Secret holds; None where somebody else made it and it holds no such set."""
    data = dict(secret.data)
    scoped = data.pop(_SCOPE, "")
    entries = [configuration.TrustedCA(name=one.removesuffix(_SUFFIX), data=each) for one, each in data.items()]
    try:
        annotations_ = {annotations.REGISTRY_SCOPE: base64.b64decode(scoped).decode()}
    except ValueError:
        return None
    reading = scope.read(entries, annotations_, where="data")
    return reading.trust if reading.ok else None


def references(
    capi: clusterapi.Cluster | None,
    configs: Iterable[clusterapi.KubeadmConfig],
    templates: Iterable[clusterapi.KubeadmConfigTemplate],
    control_planes: Iterable[clusterapi.KubeadmControlPlane],
) -> set[str]:
    """Return the names of the Secrets that the Cluster, or a machine that is being made, may still ask for."""
    specs = (
        *(one.spec for one in configs),
        *(one.spec.template.spec for one in templates),
        *(one.spec.kubeadm_config_spec for one in control_planes),
    )
    names = {file.content_from.secret.name for spec in specs for file in spec.files if file.content_from}
    values = (capi.variable("trust"), capi.control_plane_override("trust")) if capi else ()
    return names | {one["secretName"] for one in values if isinstance(one, dict) and one.get("secretName")}


def unused(secrets: Iterable[Secret], referenced: set[str]) -> list[Secret]:
    """Return the trust Secrets of ours that nothing refers to."""
    return [
        one
        for one in secrets
        if one.metadata.labels.get(annotations.COMPONENT_LABEL) == annotations.TRUST_COMPONENT
        and one.metadata.name not in referenced
    ]
