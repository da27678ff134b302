"""Ownership: what belongs to a TanzuKubernetesCluster goes when it goes."""

from trustplane.api.cluster import KIND, VERSION, TanzuKubernetesCluster
from trustplane.api.configuration import GROUP
from trustplane.api.meta import Json


def tkc_owner_reference(tkc: TanzuKubernetesCluster) -> Json:
    """Return the entry of `metadata.ownerReferences` that points to the cluster as controller."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": tkc.metadata.name,
        "uid": tkc.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
