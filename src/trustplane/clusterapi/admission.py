"""Validate, at admission, objects that contain or name a trust list. Pure.

Cluster API's Clusters contain only the names of entries. The certificates are in a Secret, which the caller reads.
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
from trustplane.trust.admission import review_list
from trustplane.trust.policy import APPEND

CLUSTER_KIND = "Cluster"
CONFIGURATION_KIND = "TkgServiceConfiguration"

# Path of the field `trust` by kind, the same in every version.
TRUST_PATHS: Mapping[str, tuple[str, ...]] = {
    CONFIGURATION_KIND: ("spec", "trust"),
    cluster.KIND: ("spec", "settings", "network", "trust"),
}
_LIST = "additionalTrustedCAs"


def object_secrets(kind: str, after: Json, before: Json | None) -> set[str]:
    """Return the names of the Secrets, in the object's namespace, that `object_findings` requires."""
    return topology_trust.cluster_secrets(after, before) if kind == CLUSTER_KIND else set()


def object_findings(
    kind: str, after: Json, before: Json | None, secrets: topology_trust.SecretData, at: dt.datetime
) -> list[Finding]:
    """Return the findings about an object.

    An update that changes neither the list nor its scope has no findings: a bad list must not block other changes.

    Args:
        kind: Kind of the object; kinds without a list have no findings.
        after: The object to be stored.
        before: The stored object; None for a new one.
        secrets: Content of the `object_secrets`.
        at: Time at which certificates must be valid.
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
    findings = review_list(_entries(new), _entries(old), annotations, where=where, at=at)
    if kind == cluster.KIND and _is_empty(new) and not _entries(old) and annotations.get(TRUST_MERGE) != APPEND:
        findings.append(EMPTY_LIST.at(where))
    return findings


def _scope(body: Json) -> str:
    return str((body.get("metadata", {}).get("annotations") or {}).get(REGISTRY_SCOPE, ""))


def _trust(body: Json | None, path: tuple[str, ...]) -> TrustConfiguration | None:
    value = field(body, *path)
    return None if value is None else msgspec.convert(value, TrustConfiguration)


def _entries(trust: TrustConfiguration | None) -> list[TrustedCA]:
    return trust.additional_trusted_cas if trust else []


def _is_empty(trust: TrustConfiguration | None) -> bool:
    return trust is not None and not trust.additional_trusted_cas


EMPTY_LIST = Finding(
    code="empty-list",
    severity=Severity.WARNING,
    what="The cluster's own list is empty, so its nodes trust no CA of the service's list",
    why=f"A cluster's own list replaces the service's list, unless {TRUST_MERGE} is {APPEND}",
    next_step="Remove settings.network.trust to use the service's list",
)
