"""The immutable Secrets of the trust sets that a cluster has in force, or had while its nodes are being replaced."""

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.clusterapi import secret
from trustplane.clusterapi.readiness import is_reconciled
from trustplane.controllers.ownership import is_owned
from trustplane.controllers.reading import list_of
from trustplane.controllers.resources import (
    CLUSTERS,
    CONTROL_PLANES,
    KUBEADM_CONFIG_TEMPLATES,
    KUBEADM_CONFIGS,
    SECRETS,
)
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError
from trustplane.kube.resource import key_of
from trustplane.trust.entries import TrustSet


async def ensure(client: Client, tkc: TanzuKubernetesCluster, trust: TrustSet) -> None:
    """Make the Secret of a set; an empty set needs none.

    Raises:
        TransientError: A Secret of that name belongs to an earlier cluster of this name, or is being deleted.
    """
    if not trust:
        return
    try:
        await client.create(SECRETS, secret.desired_secret(tkc, trust))
    except AlreadyExistsError:
        name = secret.name_of(tkc.metadata.name, trust.digest)
        found = await client.get(SECRETS, name, tkc.metadata.namespace)
        if not is_owned(found, tkc) or found.metadata.deletion_timestamp:
            raise TransientError(
                f"Secret {name} cannot be used",
                why="it belongs to another object of this cluster's name, or is being deleted",
                next_step="It is waited for; if it stays, look at its owner references and delete it",
            ) from None


async def collect(client: Client, tkc: TanzuKubernetesCluster) -> bool:
    """Delete the Secrets that nothing refers to any longer; return whether some may become so later.

    A machine that has not started yet reads its Secret when it does, and an old template can still make machines while
    a new one is rolled out: so all of them are asked, as they are now.
    """
    key = key_of(tkc)
    secrets = await client.list(SECRETS, key.namespace, labels=secret.selector(key.name))
    if len(secrets) <= 1:
        return False
    cluster = await client.find(CLUSTERS, key.name, key.namespace)
    if cluster is None or not is_reconciled(cluster):
        return True
    references = secret.references(
        cluster,
        await list_of(client, KUBEADM_CONFIGS, key),
        await list_of(client, KUBEADM_CONFIG_TEMPLATES, key),
        await list_of(client, CONTROL_PLANES, key),
    )
    unused = secret.unused(secrets, references)
    for one in unused:
        await client.delete(SECRETS, one.metadata.name, key.namespace, uid=one.metadata.uid)
    return len(secrets) - len(unused) > 1
