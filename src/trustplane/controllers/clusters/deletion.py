"""The end of a cluster: Cluster API's object first, its Secrets next, the TanzuKubernetesCluster last."""

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

# Secrets are not watched, for their number; this is how long the garbage collector's work on them is left alone.
_POLL_SECONDS = 1.0


async def ensure_finalizer(client: Client, tkc: TanzuKubernetesCluster) -> bool:
    """Return whether our finalizer is there, so that nothing is made that a deletion would leave behind; else add it.

    The change that adding it makes wakes us again.
    """
    if CLUSTER_FINALIZER in tkc.metadata.finalizers:
        return True
    await _set_finalizers(client, tkc, [*tkc.metadata.finalizers, CLUSTER_FINALIZER])
    return False


async def delete_cluster(client: Client, tkc: TanzuKubernetesCluster) -> Result | None:
    """Take the next step of a cluster's end.

    Returns:
        None when the Cluster is still there: its own end wakes us. Else when to come back, if at all.
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
    await _set_finalizers(client, tkc, [one for one in tkc.metadata.finalizers if one != CLUSTER_FINALIZER])
    return Result()


async def _delete_sets(client: Client, tkc: TanzuKubernetesCluster) -> None:
    """Delete the Secrets of trust sets, before a new cluster of the same name finds them.

    The garbage collector would do that some time after the Cluster, whose they are, is gone.
    """
    key = key_of(tkc)
    for one in await client.list(SECRETS, key.namespace, labels=f"{CLUSTER_LABEL}={key.name}"):
        if any(owner.kind == "Cluster" for owner in one.metadata.owner_references):
            await client.delete(SECRETS, one.metadata.name, key.namespace, uid=one.metadata.uid)


async def _delete_secrets(client: Client, tkc: TanzuKubernetesCluster) -> list[Secret]:
    """Delete our Secrets, and return those of Cluster API that wait for the garbage collector.

    A new cluster of the same name would find these and take them for its own, just before they go.
    """
    key = key_of(tkc)
    ssh = await client.find(SECRETS, ssh_secret.ssh_secret_name(key.name), key.namespace)
    labelled = await list_cluster_objects(client, SECRETS, key)
    for one in (*labelled, *([ssh] if ssh else [])):
        if is_owned_by(one, tkc):
            await client.delete(SECRETS, one.metadata.name, key.namespace, uid=one.metadata.uid)
    return [one for one in labelled if _is_cluster_apis(one)]


def _is_cluster_apis(secret: Secret) -> bool:
    # One without an owner, such as a CA that its user brought, is nobody's garbage.
    groups = (owner.api_version.partition("/")[0] for owner in secret.metadata.owner_references)
    return any(group == GROUP or group.endswith(f".{GROUP}") for group in groups)


async def _set_finalizers(client: Client, tkc: TanzuKubernetesCluster, finalizers: list[str]) -> None:
    metadata = {"resourceVersion": tkc.metadata.resource_version, "finalizers": finalizers}
    try:
        await client.patch(TANZU_CLUSTERS, tkc.metadata.name, tkc.metadata.namespace, {"metadata": metadata})
    except (ConflictError, NotFoundError):
        return  # it changed or went meanwhile, which wakes us
