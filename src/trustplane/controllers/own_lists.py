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
from trustplane.clusterapi import secret, trust_status, variable
from trustplane.errors import UserError
from trustplane.text import clean
from trustplane.trust import entries
from trustplane.trust.entries import EMPTY, Reading, TrustSet
from trustplane.trust.report import Sets

VARIABLE: Final = "trust"
_WORDS: Final = 1024  # characters of what others say
_SILENT: Final = (
    f"The Cluster does not say any more what it is to trust: by variable {VARIABLE} of its topology, or by annotation "
    f"{TRUST_SECRET}. To trust none, name an empty list"
)


class Find(Protocol):
    """Finds a Secret; one of a user may be as old as the object of that generation, which names it."""

    async def __call__(self, name: str, namespace: str, *, generation: int = 0) -> Secret | None:
        """Return it, or None where it is absent."""


def has_list(cluster: Cluster) -> bool:
    """Tell whether a Cluster says what it is to trust."""
    return cluster.variable(VARIABLE) is not None or TRUST_SECRET in cluster.metadata.annotations


async def sets(cluster: Cluster, last: str, find: Find) -> Sets:
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


async def _kept(cluster: Cluster, digest: str, find: Find) -> TrustSet | None:
    found = await find(secret.name_of(cluster.metadata.name, digest), cluster.metadata.namespace)
    return secret.read_set(found, digest) if found else None


async def _asked(cluster: Cluster, last: str, find: Find) -> TrustSet | str:
    """Return the set that a Cluster asks for, or why there is none."""
    if not has_list(cluster):
        return EMPTY if last in ("", EMPTY.digest) else _SILENT
    value, metadata = cluster.variable(VARIABLE), cluster.metadata
    try:
        trust = variable.read(value, metadata.name) if value is not None else None
    except UserError as error:
        return clean(str(error), _WORDS)
    if trust is not None and not trust.names:
        return EMPTY
    name = trust.secret_name if trust is not None else metadata.annotations[TRUST_SECRET]
    found = await find(name, metadata.namespace, generation=metadata.generation)
    if found is None:
        return f"There is no Secret {clean(name, _WORDS)}, which holds the certificates"
    reading = _listed(found, trust) if trust is not None and trust.is_users else secret.reading(found)
    if not reading.ok:
        return f"Secret {clean(name, _WORDS)}: {trust_status.summary(reading.findings)}"
    return _only(reading.trust, trust) if trust is not None else reading.trust


def _listed(found: Secret, trust: variable.Trust) -> Reading:
    """Read a Secret as vSphere 8 has it."""
    return entries.read([TrustedCA(name=name, data=_decoded(found.data.get(name, ""))) for name in trust.names])


def _only(trust: TrustSet, value: variable.Trust) -> TrustSet:
    """Return of a set what a value of the variable names, for the registries that it names."""
    return TrustSet(tuple(one for one in trust.entries if one.name in value.names)).scoped(value.hosts)


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except ValueError:
        return ""
