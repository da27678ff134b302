"""The Secrets of a cluster's trust: each set that it has taken, and the one that its new machines boot with. Pure.

A set is an immutable Secret whose name says its content. The boot set is Secret `<cluster>-trust`, which a machine's
bootstrap configuration names whatever the set is. Both belong to the Cluster, so that they go, and move, with it.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, replace

from trustplane.api import annotations, clusterapi, configuration
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.trust import bundle, scope
from trustplane.trust.entries import SHORT, Reading, TrustSet

_SUFFIX = ".pem"
_SCOPE = "registry-scope"  # has no suffix, so it is no entry's key
_NOTE = "trustplane.dev/note"
_REVERTED = "Written by Trustplane: an edit is reverted and reported. Change the trust list instead"


def set_secret_name(cluster_name: str, digest: str) -> str:
    """Return the name of the Secret of the set with that digest."""
    return f"{boot_secret_name(cluster_name)}-{digest[:SHORT]}"


def boot_secret_name(cluster_name: str) -> str:
    """Return the name of the Secret of the boot set, which bootstrap configurations name."""
    return f"{cluster_name}-trust"


def set_secret(cluster: clusterapi.Cluster, trust: TrustSet) -> Json:
    """Return the Secret of a set, to be created where it is absent.

    It is never applied over an existing one: equal sets may differ in the order of certificates, and the API server
    refuses any change of an immutable Secret.
    """
    name = set_secret_name(cluster.metadata.name, trust.digest)
    return {**_secret(cluster, name, annotations.TRUST_COMPONENT, set_data(trust)), "immutable": True}


def boot_secret(cluster: clusterapi.Cluster, text: str) -> Json:
    """Return the Secret of the boot set, to be applied.

    Args:
        cluster: Whose machines boot with it.
        text: Of the set, see `trust.bundle`.
    """
    data = {bundle.KEY: base64.b64encode(text.encode()).decode()}
    body = _secret(cluster, boot_secret_name(cluster.metadata.name), annotations.BOOT_COMPONENT, data)
    body["metadata"]["annotations"] = {_NOTE: _REVERTED}
    return body


def _secret(cluster: clusterapi.Cluster, name: str, component: str, data: dict[str, str]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": cluster.metadata.namespace,
            "labels": {
                annotations.CLUSTER_LABEL: cluster.metadata.name,
                annotations.COMPONENT_LABEL: component,
            },
            "ownerReferences": [cluster_owner_reference(cluster)],
        },
        "type": "Opaque",
        "data": data,
    }


def cluster_owner_reference(cluster: clusterapi.Cluster) -> Json:
    """Return the entry of `metadata.ownerReferences` that points to a Cluster."""
    return {
        "apiVersion": f"{clusterapi.GROUP}/{clusterapi.VERSION}",
        "kind": "Cluster",
        "name": cluster.metadata.name,
        "uid": cluster.metadata.uid,
    }


def set_data(trust: TrustSet) -> dict[str, str]:
    """Return the data of a Secret that holds a set."""
    values = {entry_key(name): pem for name, pem in trust.pems().items()}
    if trust.hosts:
        values[_SCOPE] = scope.text(trust.hosts)
    return {one: base64.b64encode(value.encode()).decode() for one, value in values.items()}


def entry_key(name: str) -> str:
    """Return the key of an entry in the Secret."""
    return name + _SUFFIX


def parse_list_secret(secret: Secret) -> Reading:
    """Read the list that a Secret holds, with what is wrong with it: somebody else may have made it."""
    data = dict(secret.data)
    scoped = data.pop(_SCOPE, "")
    entries = [configuration.TrustedCA(name=one.removesuffix(_SUFFIX), data=each) for one, each in data.items()]
    try:
        annotations_ = {annotations.REGISTRY_SCOPE: base64.b64decode(scoped).decode()}
    except ValueError:
        return Reading(findings=(scope.BAD_SCOPE.at(_SCOPE),))
    return scope.read(entries, annotations_, where="data")


def parse_set_secret(secret: Secret) -> TrustSet | None:
    """Return the set that a Secret holds; None where somebody else made it and it holds no such set."""
    found = parse_list_secret(secret)
    return found.trust if found.ok else None


def parse_set_of_digest(secret: Secret, digest: str) -> TrustSet | None:
    """Return the set of that digest; None where the Secret holds another: a tenant may have replaced it.

    Args:
        secret: Which claims to hold it, by its name.
        digest: All of it, or its first `SHORT` digits at least, where nothing says more.
    """
    trust = parse_set_secret(secret) if len(digest) >= SHORT else None
    return trust if trust is not None and trust.digest.startswith(digest) else None


@dataclass(frozen=True)
class BootSet:
    """What Secret `<cluster>-trust` holds.

    Attributes:
        digest: Of the set that it names; empty where it names none.
        text: All of it.
        is_intact: Whether the text can be one of ours; of a partial one, only whether its form is.
        is_partial: Whether it says that it has not all of that set.
    """

    digest: str
    text: str
    is_intact: bool
    is_partial: bool = False


def parse_boot_secret(secret: Secret) -> BootSet:
    """Read the Secret of a boot set, which anybody who may write Secrets of the namespace may have edited.

    Keys beside ours do not count: no machine reads them, and an apply leaves them to whoever owns them.
    """
    try:
        text = base64.b64decode(secret.data.get(bundle.KEY, "")).decode("ascii")
    except ValueError:
        return BootSet("", "", is_intact=False)
    found = bundle.read(text)
    return BootSet(
        digest=found.digest if found else "",
        text=text,
        is_intact=found is not None,
        is_partial=found is not None and found.is_partial,
    )


def verify_boot_set(boot: BootSet, trust: TrustSet | None, infrastructure_kind: str) -> BootSet:
    """Return a boot set with `is_intact` as the set in force tells: of a part, nothing else says whose entries it has.

    Args:
        boot: As it was read.
        trust: The set in force; None where it is not known.
        infrastructure_kind: Of the Cluster, see `trust.bundle`.
    """
    if not (boot.is_intact and boot.is_partial) or trust is None or boot.digest != trust.digest:
        return boot
    return replace(boot, is_intact=boot.text == bundle.render(trust, bundle.budget_of(infrastructure_kind)))


def unneeded_sets(secrets: Iterable[Secret], cluster_name: str, digests: Iterable[str]) -> list[Secret]:
    """Return the Secrets of sets that nobody needs any more.

    Args:
        secrets: Of the cluster.
        cluster_name: Its name.
        digests: Of sets that are needed: in force, in the boot set, proven last, on a node, or to go back to.
    """
    needed = {set_secret_name(cluster_name, one) for one in digests}
    sets = (
        one for one in secrets if one.metadata.labels.get(annotations.COMPONENT_LABEL) == annotations.TRUST_COMPONENT
    )
    return [one for one in sets if one.metadata.name not in needed]
