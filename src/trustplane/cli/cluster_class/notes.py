"""What to know before patches are added to a ClusterClass: whom they roll, and whom they leave out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trustplane.api.fields import field
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.clusterapi.cluster_class.patch import ClassPatch, is_version_at_least

_SHOWN: Final = 10  # clusters that are named


@dataclass(frozen=True)
class Rolled:
    """A Cluster of the class, and the Kubernetes version that it is asked to have."""

    key: Key
    version: str


def rolled(clusters: Sequence[Json], key: Key) -> list[Rolled]:
    """Return the Clusters whose topology is of that ClusterClass; its namespace may be left out where it is theirs."""
    found = []
    for one in clusters:
        name = field(one, "spec", "topology", "classRef", "name")
        namespace = field(one, "spec", "topology", "classRef", "namespace") or key_of(one).namespace
        if Key(namespace, name) == key:
            found.append(Rolled(key_of(one), str(field(one, "spec", "topology", "version") or "")))
    return sorted(found, key=lambda one: one.key)


def notes(made: ClassPatch, clusters: Sequence[Rolled], version: str) -> list[str]:
    """Return what to know before the patches are added, one line each."""
    lines = [f"WARNING: {one}." for one in made.warnings]
    lines += [f"Left out: {one}." for one in made.left_out]
    if made.is_current:
        return [*lines, "The class has these patches already: there is nothing to add."]
    if made.replaced_patches:
        lines.append(
            f"Take out of spec.patches what the class has of them already: {', '.join(made.replaced_patches)}."
        )
    lines.append("Add them at the end of spec.patches: a later patch may set a whole list and take the trust out.")
    now = [one for one in clusters if not version or is_version_at_least(one.version, version)]
    lines.append(f"Rolls {_count(now)} of the class once, control plane and all pools at the same time{_named(now)}.")
    if version:
        later = [one for one in clusters if one not in now]
        lines.append(f"Waits for the upgrade to {version} of {_count(later)}, which replaces machines anyway.")
    elif now:
        lines.append(
            "To avoid that: add them to a copy of the class, and move clusters to it one by one "
            "(spec.topology.classRef); or use --with-next-version with the version that they are upgraded to next."
        )
    lines.append("Without Secret <cluster>-trust no machine boots. The manager makes it: have it run first.")
    return lines


def _count(clusters: Sequence[Rolled]) -> str:
    return "1 cluster" if len(clusters) == 1 else f"{len(clusters) or 'no'} clusters"


def _named(clusters: Sequence[Rolled]) -> str:
    names = [str(one.key) for one in clusters[:_SHOWN]]
    more = [f"{len(clusters) - _SHOWN} more"] if len(clusters) > _SHOWN else []
    return f": {', '.join([*names, *more])}" if names else ""
