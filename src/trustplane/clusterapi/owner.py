"""Ownership of objects by a TanzuKubernetesCluster: the API server deletes them with it."""

from trustplane.api.cluster import KIND, VERSION, TanzuKubernetesCluster
from trustplane.api.configuration import GROUP
from trustplane.api.meta import Json


def tkc_owner_reference(tkc: TanzuKubernetesCluster) -> Json:
    """Return the entry of `metadata.ownerReferences` that names the cluster as controller."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": tkc.metadata.name,
        "uid": tkc.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
