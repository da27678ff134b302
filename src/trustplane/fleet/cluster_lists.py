"""Read the trust list of a Cluster that is not owned by a TanzuKubernetesCluster.

The Cluster itself is the only source of the list, which therefore takes effect immediately. If the list becomes
unreadable or the Cluster no longer names one, the set in force stays: this is not a request to trust nothing.
"""

from typing import Final, Protocol

from trustplane.api import clustertrust
from trustplane.api.annotations import TRUST_SECRET
from trustplane.api.clusterapi import Cluster
from trustplane.api.core import Secret
from trustplane.clusterapi import secret, variable
from trustplane.errors import UserError
from trustplane.reporting import trust_status
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.text import clean
from trustplane.trust import entries
from trustplane.trust.entries import EMPTY_SET, ParsedList, TrustSet

TRUST_VARIABLE: Final = "trust"
_MAX_MESSAGE: Final = 1024  # characters of a tenant's text
_NO_LIST: Final = (
    f"The Cluster no longer names a trust list, neither by variable {TRUST_VARIABLE} of its topology nor by annotation "
    f"{TRUST_SECRET}. To trust no additional CA, name an empty list"
)


class FindSecret(Protocol):
    """Finds a Secret; a user's Secret may come from a cache, valid for that generation of the object naming it."""

    async def __call__(self, name: str, namespace: str, *, generation: int = 0) -> Secret | None:
        """Return the Secret, or None if it is absent."""


def has_list(cluster: Cluster) -> bool:
    """Return whether a Cluster names a trust list."""
    return cluster.variable(TRUST_VARIABLE) is not None or TRUST_SECRET in cluster.metadata.annotations


async def cluster_sets(cluster: Cluster, last: str, find: FindSecret) -> TrustSets:
    """Return the set in force and the desired set of a Cluster.

    Args:
        cluster: The Cluster.
        last: Digest of the set last known to be in force; empty if unknown.
        find: Finds Secrets in the Cluster's namespace.
    """
    desired = await _desired(cluster, last, find)
    if not isinstance(desired, str):
        return TrustSets(digest=desired.digest, in_force=desired, desired=desired, source=clustertrust.CLUSTER)
    previous = EMPTY_SET if last == EMPTY_SET.digest else await _stored_set(cluster, last, find) if last else None
    return TrustSets(digest=last, in_force=previous, desired=None, source=clustertrust.CLUSTER, problem=desired)


async def _stored_set(cluster: Cluster, digest: str, find: FindSecret) -> TrustSet | None:
    stored = await find(secret.set_secret_name(cluster.metadata.name, digest), cluster.metadata.namespace)
    return secret.parse_set_of_digest(stored, digest) if stored else None


async def _desired(cluster: Cluster, last: str, find: FindSecret) -> TrustSet | str:
    """Return the desired set of a Cluster, or why it is unknown."""
    if not has_list(cluster):
        return EMPTY_SET if last in ("", EMPTY_SET.digest) else _NO_LIST
    value, metadata = cluster.variable(TRUST_VARIABLE), cluster.metadata
    try:
        trust = variable.parse_trust_variable(value, metadata.name) if value is not None else None
    except UserError as error:
        return clean(str(error), _MAX_MESSAGE)
    if trust is not None and not trust.names:
        return EMPTY_SET
    name = trust.secret_name if trust is not None else metadata.annotations[TRUST_SECRET]
    certificates = await find(name, metadata.namespace, generation=metadata.generation)
    if certificates is None:
        return f"Secret {clean(name, _MAX_MESSAGE)} with the certificates does not exist"
    if trust is not None and trust.has_user_secret:
        reading = _read_users_secret(certificates, trust)
    else:
        reading = secret.parse_list_secret(certificates)
    if not reading.is_valid:
        return f"Secret {clean(name, _MAX_MESSAGE)}: {trust_status.join_findings(reading.findings)}"
    return _selected(reading.trust, trust) if trust is not None else reading.trust


def _read_users_secret(certificates: Secret, trust: variable.TrustVariable) -> ParsedList:
    """Read a Secret in vSphere 8's form."""
    values = {name: secret.decode_user_value(certificates.data.get(name, "")) for name in trust.names}
    return entries.parse_entries(values.items())


def _selected(trust: TrustSet, value: variable.TrustVariable) -> TrustSet:
    """Return the entries that a value of the variable names, with the scope that it gives them."""
    return TrustSet(tuple(entry for entry in trust.entries if entry.name in value.names)).with_scopes(value.hosts)
