"""Secrets of a cluster's trust: one for each set it has taken, and the boot set for new machines. Pure.

Each set is an immutable Secret, named by its content. The boot set is Secret `<cluster>-trust`: a fixed name that
bootstrap configurations can refer to. The Cluster owns both, so they are deleted and moved with it.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, replace

from trustplane.api import annotations, clusterapi
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.trust import bundle, scope
from trustplane.trust.entries import SHORT_DIGEST_LENGTH, ParsedList, TrustSet

_SUFFIX = ".pem"
_SCOPE = "registry-scope"  # without the suffix, so it cannot be an entry's key
_NOTE = "trustplane.dev/note"
_REVERTED = "Managed by Trustplane: edits are reverted and reported. Change the trust list instead"


def set_secret_name(cluster_name: str, digest: str) -> str:
    """Return the name of the Secret with the set of that digest."""
    return f"{boot_secret_name(cluster_name)}-{digest[:SHORT_DIGEST_LENGTH]}"


def boot_secret_name(cluster_name: str) -> str:
    """Return the name of the Secret with the boot set, to which bootstrap configurations refer."""
    return f"{cluster_name}-trust"


def set_secret(cluster: clusterapi.Cluster, trust: TrustSet) -> Json:
    """Return the Secret of a set, to be created if it is absent.

    It must not be applied over an existing Secret: equal sets may differ in the order of certificates, and the API
    server refuses any change of an immutable Secret.
    """
    name = set_secret_name(cluster.metadata.name, trust.digest)
    return {**_secret(cluster, name, annotations.TRUST_COMPONENT, set_data(trust)), "immutable": True}


def boot_secret(cluster: clusterapi.Cluster, text: str) -> Json:
    """Return the Secret of the boot set, to be applied.

    Args:
        cluster: Cluster of the machines.
        text: The bundle of the set, see `trust.bundle`.
    """
    data = {bundle.BUNDLE_KEY: base64.b64encode(text.encode()).decode()}
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
    """Return the entry of `metadata.ownerReferences` that names a Cluster."""
    return {
        "apiVersion": f"{clusterapi.GROUP}/{clusterapi.VERSION}",
        "kind": "Cluster",
        "name": cluster.metadata.name,
        "uid": cluster.metadata.uid,
    }


def set_data(trust: TrustSet) -> dict[str, str]:
    """Return the data of a set's Secret."""
    values = {entry_key(name): pem for name, pem in trust.pem_by_name().items()}
    if trust.scopes:
        values[_SCOPE] = scope.render_scopes(trust.scopes)
    return {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}


def entry_key(name: str) -> str:
    """Return the key of an entry in the Secret."""
    return name + _SUFFIX


def parse_list_secret(secret: Secret) -> ParsedList:
    """Parse the trust list in a Secret, with findings: a tenant may have written it."""
    data = dict(secret.data)
    scoped = data.pop(_SCOPE, "")
    try:
        scopes = base64.b64decode(scoped).decode()
    except ValueError:
        return ParsedList(findings=(scope.BAD_SCOPE.at(_SCOPE),))
    entries = [(name.removesuffix(_SUFFIX), value) for name, value in data.items()]
    return scope.parse_scoped_entries(entries, scopes, where="data")


def decode_user_value(value: str) -> str:
    """Return the base64 of PEM in a value of the user's Secret, which encodes it once more; empty if it is invalid."""
    try:
        return base64.b64decode(value).decode("latin-1")
    except ValueError:
        return ""


def parse_set_secret(secret: Secret) -> TrustSet | None:
    """Return the set in a Secret; None if its content is not a valid set, for example because a tenant wrote it."""
    parsed = parse_list_secret(secret)
    return parsed.trust if parsed.is_valid else None


def parse_set_of_digest(secret: Secret, digest: str) -> TrustSet | None:
    """Return the set of that digest; None if the Secret has different content: a tenant may have replaced it.

    Args:
        secret: The Secret with the name of the set.
        digest: The digest, or at least its first SHORT_DIGEST_LENGTH digits if no more are known.
    """
    trust = parse_set_secret(secret) if len(digest) >= SHORT_DIGEST_LENGTH else None
    return trust if trust is not None and trust.digest.startswith(digest) else None


@dataclass(frozen=True)
class BootSet:
    """The content of Secret `<cluster>-trust`.

    Attributes:
        digest: Digest that the bundle names; empty if it names none.
        text: The whole bundle.
        is_intact: Whether the bundle is unmodified; for a partial bundle, whether its form is valid.
        is_partial: Whether the bundle declares itself a part of the set.
    """

    digest: str
    text: str
    is_intact: bool
    is_partial: bool = False


def parse_boot_secret(secret: Secret) -> BootSet:
    """Parse the Secret of a boot set, which a tenant may have edited.

    Other keys are ignored: no machine reads them, and a server-side apply leaves them to their owner.
    """
    try:
        text = base64.b64decode(secret.data.get(bundle.BUNDLE_KEY, "")).decode("ascii")
    except ValueError:
        return BootSet("", "", is_intact=False)
    parsed = bundle.parse_bundle(text)
    return BootSet(
        digest=parsed.digest if parsed else "",
        text=text,
        is_intact=parsed is not None,
        is_partial=parsed is not None and parsed.is_partial,
    )


def verify_boot_set(boot: BootSet, trust: TrustSet | None, infrastructure_kind: str) -> BootSet:
    """Return a boot set with `is_intact` verified against the set in force, which a partial bundle requires.

    Args:
        boot: The parsed boot set.
        trust: The set in force; None if unknown.
        infrastructure_kind: Infrastructure kind of the Cluster, see `trust.bundle`.
    """
    if not (boot.is_intact and boot.is_partial) or trust is None or boot.digest != trust.digest:
        return boot
    return replace(
        boot, is_intact=boot.text == bundle.render_bundle(trust, bundle.bundle_budget_bytes(infrastructure_kind))
    )


def unneeded_sets(secrets: Iterable[Secret], cluster_name: str, digests: Iterable[str]) -> list[Secret]:
    """Return the Secrets of sets that are no longer needed.

    Args:
        secrets: Secrets of the cluster.
        cluster_name: Name of the cluster.
        digests: Digests of needed sets: in force, in the boot set, last proven, on a node, or the target of an undo.
    """
    needed = {set_secret_name(cluster_name, digest) for digest in digests}
    component = annotations.COMPONENT_LABEL
    sets = (secret for secret in secrets if secret.metadata.labels.get(component) == annotations.TRUST_COMPONENT)
    return [secret for secret in sets if secret.metadata.name not in needed]
