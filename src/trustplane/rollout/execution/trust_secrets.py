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
from trustplane.rollout.planning.inputs import RolloutInput
from trustplane.trust.entries import TrustSet

KEPT_SETS: Final = 5  # unneeded sets that are kept for an undo


async def ensure_set_secret(client: Client, cluster: Cluster, trust: TrustSet) -> None:
    """Create the Secret of a set; an empty set needs none.

    Raises:
        TransientError: A Secret of that name has different content, belongs to an earlier cluster of the same name, or
            is being deleted.
    """
    if not trust:
        return
    body = secret.set_secret(cluster, trust)
    try:
        await client.create(SECRETS, body)
    except AlreadyExistsError:
        metadata = body["metadata"]
        stored = await client.get(SECRETS, metadata["name"], metadata["namespace"])
        if not is_usable_set_secret(stored, cluster, trust.digest):
            raise TransientError(
                f"Secret {metadata['name']} cannot be used",
                why="it has different content, belongs to another object with this cluster's name, or is being deleted",
                next_step="Trustplane retries; if this persists, check its owner references and delete it",
            ) from None


def is_usable_set_secret(stored: Secret, cluster: Cluster, digest: str) -> bool:
    """Return whether a Secret is the valid Secret of a set: a tenant may have created it first."""
    metadata = stored.metadata
    is_ours = any(owner.uid == cluster.metadata.uid for owner in metadata.owner_references)
    return is_ours and not metadata.deletion_timestamp and secret.parse_set_of_digest(stored, digest) is not None


async def collect_set_secrets(
    client: Client, state: ClusterState, observed: RolloutInput, secrets: Iterable[Secret]
) -> None:
    """Delete the Secrets of sets that are no longer needed, except for the most recent ones.

    Args:
        client: Client of the management cluster.
        state: The cluster.
        observed: The input of its rollout plan.
        secrets: The cluster's Secrets, as last received by the informer.
    """
    on_nodes = {node.digest for node in state.nodes} | {node.boot_digest for node in state.nodes}
    needed = {state.sets.digest, observed.boot_set or "", observed.last_proven or "", *on_nodes} - {""}
    unused = secret.unneeded_sets(secrets, state.cluster.metadata.name, needed)
    newest_first = sorted(unused, key=lambda stored: str(stored.metadata.creation_timestamp), reverse=True)
    for stored in newest_first[KEPT_SETS:]:
        await client.delete(SECRETS, stored.metadata.name, key_of(state.cluster).namespace, uid=stored.metadata.uid)
