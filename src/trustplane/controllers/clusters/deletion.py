"""Deletion of a cluster: the Cluster first, then its Secrets, the TanzuKubernetesCluster last."""

from trustplane.api.annotations import CLUSTER_LABEL
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import GROUP
from trustplane.api.core import Secret
from trustplane.api.keys import key_of
from trustplane.clusterapi import ssh_secret
from trustplane.controllers.clusters.ownership import is_owned_by
from trustplane.fleet.reading import list_cluster_objects
from trustplane.kube.client import Client
from trustplane.kube.controller import Result
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.kinds import CLUSTERS, SECRETS, TANZU_CLUSTERS

CLUSTER_FINALIZER = "trustplane.dev/cluster"

# Most Secrets are not watched, due to their number; this is the interval for polling the garbage collector's progress.
_POLL_SECONDS = 1.0


async def ensure_finalizer(client: Client, tkc: TanzuKubernetesCluster) -> bool:
    """Return whether the finalizer is present; otherwise, add it, and the change wakes the controller again.

    Without the finalizer, nothing may be created, because a deletion would leave it behind.
    """
    if CLUSTER_FINALIZER in tkc.metadata.finalizers:
        return True
    await _set_finalizers(client, tkc, [*tkc.metadata.finalizers, CLUSTER_FINALIZER])
    return False


async def delete_cluster(client: Client, tkc: TanzuKubernetesCluster) -> Result | None:
    """Execute the next step of a cluster's deletion.

    Returns:
        None while the Cluster exists; its deletion wakes the controller. Otherwise, the time of the next step, if any.
    """
    if CLUSTER_FINALIZER not in tkc.metadata.finalizers:
        return Result()
    key = key_of(tkc)
    cluster = await client.find(CLUSTERS, key.name, key.namespace)
    if cluster is not None and is_owned_by(cluster, tkc):
        if cluster.metadata.deletion_timestamp is None:
            await client.delete(CLUSTERS, key.name, key.namespace, uid=cluster.metadata.uid)
        return None
    if cluster is None:
        await _delete_sets(client, tkc)
    remaining = await _delete_secrets(client, tkc)
    if remaining and cluster is None:
        return Result(requeue_after=_POLL_SECONDS)
    await _set_finalizers(
        client, tkc, [finalizer for finalizer in tkc.metadata.finalizers if finalizer != CLUSTER_FINALIZER]
    )
    return Result()


async def _delete_sets(client: Client, tkc: TanzuKubernetesCluster) -> None:
    """Delete the Secrets of trust sets before a new cluster with the same name can adopt them.

    They belong to the Cluster: the garbage collector would delete them only some time later.
    """
    key = key_of(tkc)
    for secret in await client.list(SECRETS, key.namespace, labels=f"{CLUSTER_LABEL}={key.name}"):
        if any(owner.kind == "Cluster" for owner in secret.metadata.owner_references):
            await client.delete(SECRETS, secret.metadata.name, key.namespace, uid=secret.metadata.uid)


async def _delete_secrets(client: Client, tkc: TanzuKubernetesCluster) -> list[Secret]:
    """Delete our Secrets, and return those of Cluster API that await the garbage collector.

    A new cluster with the same name would adopt these just before they disappear.
    """
    key = key_of(tkc)
    ssh = await client.find(SECRETS, ssh_secret.ssh_secret_name(key.name), key.namespace)
    labelled = await list_cluster_objects(client, SECRETS, key)
    for secret in (*labelled, *([ssh] if ssh else [])):
        if is_owned_by(secret, tkc):
            await client.delete(SECRETS, secret.metadata.name, key.namespace, uid=secret.metadata.uid)
    return [secret for secret in labelled if _is_of_cluster_api(secret)]


def _is_of_cluster_api(secret: Secret) -> bool:
    # The garbage collector ignores Secrets without an owner, such as a CA provided by a user.
    groups = (owner.api_version.partition("/")[0] for owner in secret.metadata.owner_references)
    return any(group == GROUP or group.endswith(f".{GROUP}") for group in groups)


async def _set_finalizers(client: Client, tkc: TanzuKubernetesCluster, finalizers: list[str]) -> None:
    metadata = {"resourceVersion": tkc.metadata.resource_version, "finalizers": finalizers}
    try:
        await client.patch(TANZU_CLUSTERS, tkc.metadata.name, tkc.metadata.namespace, {"metadata": metadata})
    except (ConflictError, NotFoundError):
        return  # changed or deleted in between; the watch wakes the controller
