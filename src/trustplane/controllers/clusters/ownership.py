"""Ownership of objects, by owner references: the garbage collector's rule, and ours for any change."""

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.meta import Object


def is_owned_by(obj: Object, tkc: TanzuKubernetesCluster) -> bool:
    """Return whether an object belongs to this cluster, not to a previous one with the same name."""
    return any(owner.uid == tkc.metadata.uid for owner in obj.metadata.owner_references)
