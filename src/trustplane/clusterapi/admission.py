"""What is to be said about an object that holds a trust list, or names one, before it is stored. Pure.

Cluster API's Clusters name their entries only: the certificates are in a Secret, which the caller reads.
"""

import datetime as dt
from collections.abc import Mapping

import msgspec

from trustplane.api import cluster
from trustplane.api.annotations import REGISTRY_SCOPE, TRUST_MERGE
from trustplane.api.configuration import TrustConfiguration, TrustedCA
from trustplane.api.fields import field
from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, Severity
from trustplane.clusterapi import topology_trust
from trustplane.trust.admission import judge
from trustplane.trust.policy import APPEND

CLUSTER_KIND = "Cluster"
CONFIGURATION_KIND = "TkgServiceConfiguration"

# Where the field `trust` is, by kind; the same in every version.
TRUST_PATHS: Mapping[str, tuple[str, ...]] = {
    CONFIGURATION_KIND: ("spec", "trust"),
    cluster.KIND: ("spec", "settings", "network", "trust"),
}
_LIST = "additionalTrustedCAs"


def object_secrets(kind: str, after: Json, before: Json | None) -> set[str]:
    """Return the names of the Secrets, in the object's namespace, without which it cannot be judged."""
    return topology_trust.cluster_secrets(after, before) if kind == CLUSTER_KIND else set()


def object_findings(
    kind: str, after: Json, before: Json | None, secrets: topology_trust.SecretData, at: dt.datetime
) -> list[Finding]:
    """Judge an object.

    An update that leaves the list and its scope as they are has no findings, whatever they are: it must not stop other
    changes.

    Args:
        kind: Of the object; nothing is said about kinds that hold no list.
        after: The object as it is to be stored.
        before: As it is stored; None where it is new.
        secrets: What is in the `needed_secrets`.
        at: The time for which certificates are judged.
    """
    if kind == CLUSTER_KIND:
        return topology_trust.cluster_findings(after, before, secrets, at)
    if kind not in TRUST_PATHS:
        return []
    path = TRUST_PATHS[kind]
    new, old = _trust(after, path), _trust(before, path)
    if before is not None and new == old and _scope(before) == _scope(after):
        return []
    where, annotations = ".".join((*path, _LIST)), after.get("metadata", {}).get("annotations") or {}
    findings = judge(_entries(new), _entries(old), annotations, where=where, at=at)
    if kind == cluster.KIND and _trusts_none(new) and not _entries(old) and annotations.get(TRUST_MERGE) != APPEND:
        findings.append(EMPTY_LIST.at(where))
    return findings


def _scope(found: Json) -> str:
    return str((found.get("metadata", {}).get("annotations") or {}).get(REGISTRY_SCOPE, ""))


def _trust(found: Json | None, path: tuple[str, ...]) -> TrustConfiguration | None:
    value = field(found, *path)
    return None if value is None else msgspec.convert(value, TrustConfiguration)


def _entries(trust: TrustConfiguration | None) -> list[TrustedCA]:
    return trust.additional_trusted_cas if trust else []


def _trusts_none(trust: TrustConfiguration | None) -> bool:
    return trust is not None and not trust.additional_trusted_cas


EMPTY_LIST = Finding(
    code="empty-list",
    severity=Severity.WARNING,
    what="The cluster's own list is empty, so its nodes trust no CA of the service's list",
    why=f"An own list replaces the service's, unless {TRUST_MERGE} is {APPEND}",
    next_step="Leave settings.network.trust out to take the service's list",
)
