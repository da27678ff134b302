"""Notes on the patches for a ClusterClass: the clusters that they roll, and the machines that they leave out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trustplane.api.fields import field
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.clusterapi.cluster_class.patch import ClassPatch, is_version_at_least

_SHOWN: Final = 10  # clusters listed by name


@dataclass(frozen=True)
class ClassCluster:
    """A Cluster of the class, and its desired Kubernetes version."""

    key: Key
    version: str


def clusters_of_class(clusters: Sequence[Json], key: Key) -> list[ClassCluster]:
    """Return the Clusters of a ClusterClass, sorted; a reference without a namespace is to the Cluster's own."""
    selected = []
    for cluster in clusters:
        name = field(cluster, "spec", "topology", "classRef", "name")
        namespace = field(cluster, "spec", "topology", "classRef", "namespace") or key_of(cluster).namespace
        if Key(namespace, name) == key:
            selected.append(ClassCluster(key_of(cluster), str(field(cluster, "spec", "topology", "version") or "")))
    return sorted(selected, key=lambda cluster: cluster.key)


def patch_notes(generated: ClassPatch, clusters: Sequence[ClassCluster], version: str) -> list[str]:
    """Return warnings, effects and instructions for the patches, one line each."""
    lines = [f"WARNING: {warning}." for warning in generated.warnings]
    lines += [f"Left out: {machines}." for machines in generated.left_out]
    if generated.is_current:
        return [*lines, "The class already has these patches: there is nothing to add."]
    if generated.replaced_patches:
        lines.append(f"Remove the earlier patches from spec.patches: {', '.join(generated.replaced_patches)}.")
    lines.append("Append the patches to spec.patches: a later patch that sets a whole list removes the trust.")
    now = [cluster for cluster in clusters if not version or is_version_at_least(cluster.version, version)]
    lines.append(f"Rolls {_count(now)} of the class once, control plane and all pools at the same time{_named(now)}.")
    if version:
        later = [cluster for cluster in clusters if cluster not in now]
        lines.append(f"Waits for the upgrade of {_count(later)} to {version}, which replaces machines in any case.")
    elif now:
        lines.append(
            "To avoid this, add the patches to a copy of the class, and move one cluster after the other to it "
            "(spec.topology.classRef); or pass the next Kubernetes version with --with-next-version."
        )
    lines.append("No machine boots without Secret <cluster>-trust. The manager creates it: start the manager first.")
    return lines


def _count(clusters: Sequence[ClassCluster]) -> str:
    return "1 cluster" if len(clusters) == 1 else f"{len(clusters) or 'no'} clusters"


def _named(clusters: Sequence[ClassCluster]) -> str:
    names = [str(cluster.key) for cluster in clusters[:_SHOWN]]
    more = [f"{len(clusters) - _SHOWN} more"] if len(clusters) > _SHOWN else []
    return f": {', '.join([*names, *more])}" if names else ""
