"""Whose an object is, by owner references: the garbage collector's word, and ours when it comes to touching it."""

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.meta import Object


def is_owned_by(found: Object, tkc: TanzuKubernetesCluster) -> bool:
    """Tell whether an object belongs to this very cluster, not to an earlier one of the same name."""
    return any(owner.uid == tkc.metadata.uid for owner in found.metadata.owner_references)
