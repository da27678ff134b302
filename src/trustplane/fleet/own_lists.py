"""What a Cluster that no TanzuKubernetesCluster owns says that its nodes are to trust.

Nobody but the Cluster says that, so what it says is in force at once. Where it cannot be read, or the Cluster says
nothing any more, what was in force stays: that is no wish to trust nothing.
"""

import base64
from typing import Final, Protocol

from trustplane.api import clustertrust
from trustplane.api.annotations import TRUST_SECRET
from trustplane.api.clusterapi import Cluster
from trustplane.api.configuration import TrustedCA
from trustplane.api.core import Secret
from trustplane.clusterapi import secret, variable
from trustplane.errors import UserError
from trustplane.reporting import trust_status
from trustplane.reporting.cluster_trust import Sets
from trustplane.text import clean
from trustplane.trust import entries
from trustplane.trust.entries import EMPTY, Reading, TrustSet

TRUST_VARIABLE: Final = "trust"
_WORDS: Final = 1024  # characters of what others say
_SILENT: Final = (
    f"The Cluster does not say any more what it is to trust: by variable {TRUST_VARIABLE} of its topology, or by annotation "
    f"{TRUST_SECRET}. To trust none, name an empty list"
)


class FindSecret(Protocol):
    """Finds a Secret; one of a user may be as old as the object of that generation, which names it."""

    async def __call__(self, name: str, namespace: str, *, generation: int = 0) -> Secret | None:
        """Return it, or None where it is absent."""


def has_list(cluster: Cluster) -> bool:
    """Tell whether a Cluster says what it is to trust."""
    return cluster.variable(TRUST_VARIABLE) is not None or TRUST_SECRET in cluster.metadata.annotations


async def cluster_sets(cluster: Cluster, last: str, find: FindSecret) -> Sets:
    """Return what is in force in a Cluster, and what it asks for.

    Args:
        cluster: The Cluster.
        last: Digest of the set that was in force when it was looked at last; empty: none is known.
        find: Finds Secrets of its namespace.
    """
    asked = await _asked(cluster, last, find)
    if not isinstance(asked, str):
        return Sets(digest=asked.digest, in_force=asked, desired=asked, source=clustertrust.CLUSTER)
    kept = EMPTY if last == EMPTY.digest else await _kept(cluster, last, find) if last else None
    return Sets(digest=last, in_force=kept, desired=None, source=clustertrust.CLUSTER, problem=asked)


async def _kept(cluster: Cluster, digest: str, find: FindSecret) -> TrustSet | None:
    found = await find(secret.set_secret_name(cluster.metadata.name, digest), cluster.metadata.namespace)
    return secret.parse_set_of_digest(found, digest) if found else None


async def _asked(cluster: Cluster, last: str, find: FindSecret) -> TrustSet | str:
    """Return the set that a Cluster asks for, or why there is none."""
    if not has_list(cluster):
        return EMPTY if last in ("", EMPTY.digest) else _SILENT
    value, metadata = cluster.variable(TRUST_VARIABLE), cluster.metadata
    try:
        trust = variable.parse_trust_variable(value, metadata.name) if value is not None else None
    except UserError as error:
        return clean(str(error), _WORDS)
    if trust is not None and not trust.names:
        return EMPTY
    name = trust.secret_name if trust is not None else metadata.annotations[TRUST_SECRET]
    found = await find(name, metadata.namespace, generation=metadata.generation)
    if found is None:
        return f"There is no Secret {clean(name, _WORDS)}, which holds the certificates"
    reading = _listed(found, trust) if trust is not None and trust.has_user_secret else secret.parse_list_secret(found)
    if not reading.ok:
        return f"Secret {clean(name, _WORDS)}: {trust_status.summary(reading.findings)}"
    return _only(reading.trust, trust) if trust is not None else reading.trust


def _listed(found: Secret, trust: variable.TrustVariable) -> Reading:
    """Read a Secret as vSphere 8 has it."""
    return entries.read([TrustedCA(name=name, data=_decoded(found.data.get(name, ""))) for name in trust.names])


def _only(trust: TrustSet, value: variable.TrustVariable) -> TrustSet:
    """Return of a set what a value of the variable names, for the registries that it names."""
    return TrustSet(tuple(one for one in trust.entries if one.name in value.names)).scoped(value.hosts)


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except ValueError:
        return ""
