"""The immutable Secrets of the trust sets that a cluster has taken."""

from collections.abc import Iterable
from typing import Final

from trustplane.api.clusterapi import Cluster
from trustplane.api.core import Secret
from trustplane.api.keys import key_of
from trustplane.clusterapi import secret
from trustplane.errors import TransientError
from trustplane.fleet.view import ClusterState
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError
from trustplane.kube.kinds import SECRETS
from trustplane.rollout.planning.observed import Observed
from trustplane.trust.entries import TrustSet

KEPT_SETS: Final = 5  # sets that nothing needs any more, to go back to


async def ensure_set_secret(client: Client, cluster: Cluster, trust: TrustSet) -> None:
    """Make the Secret of a set; an empty set needs none.

    Raises:
        TransientError: A Secret of that name has another content, belongs to an earlier cluster of this name, or is
            being deleted.
    """
    if not trust:
        return
    body = secret.set_secret(cluster, trust)
    try:
        await client.create(SECRETS, body)
    except AlreadyExistsError:
        metadata = body["metadata"]
        found = await client.get(SECRETS, metadata["name"], metadata["namespace"])
        if not is_usable_set_secret(found, cluster, trust.digest):
            raise TransientError(
                f"Secret {metadata['name']} cannot be used",
                why="it has another content, belongs to another object of this cluster's name, or is being deleted",
                next_step="It is waited for; if it stays, look at its owner references and delete it",
            ) from None


def is_usable_set_secret(found: Secret, cluster: Cluster, digest: str) -> bool:
    """Tell whether a Secret is the one of a set: anybody who may write Secrets may have made it before us."""
    metadata = found.metadata
    is_ours = any(one.uid == cluster.metadata.uid for one in metadata.owner_references)
    return is_ours and not metadata.deletion_timestamp and secret.parse_set_of_digest(found, digest) is not None


async def collect_set_secrets(
    client: Client, seen: ClusterState, observed: Observed, secrets: Iterable[Secret]
) -> None:
    """Delete the Secrets of sets that nobody needs any more, but for the last few.

    Args:
        client: To the management cluster.
        seen: The cluster.
        observed: What its rollout is decided from.
        secrets: Of the cluster, as last seen.
    """
    on_nodes = {one.digest for one in seen.nodes} | {one.boot_digest for one in seen.nodes}
    needed = {seen.sets.digest, observed.boot or "", observed.last_proven or "", *on_nodes} - {""}
    unused = secret.unneeded_sets(secrets, seen.cluster.metadata.name, needed)
    newest_first = sorted(unused, key=lambda one: str(one.metadata.creation_timestamp), reverse=True)
    for one in newest_first[KEPT_SETS:]:
        await client.delete(SECRETS, one.metadata.name, key_of(seen.cluster).namespace, uid=one.metadata.uid)
