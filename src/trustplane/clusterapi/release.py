"""Releases: the Kubernetes versions that can be asked for, their names, and which one a cluster asks for.

Source: name and labels as the original's TanzuKubernetesRelease has them (`apis/run/v1alpha2/util.go`).
"""

import re
from collections.abc import Sequence
from datetime import datetime

from trustplane.api import conditions
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.condition_merge import merge, to_json
from trustplane.api.configuration import GROUP
from trustplane.api.meta import Condition, Json
from trustplane.api.release import KIND, VERSION, TanzuKubernetesRelease
from trustplane.certificates.finding import Finding

BUILD_SUFFIX = "trustplane.1"  # what follows the Kubernetes version: our revision of the node image
_SEPARATOR = re.compile(r"[.+-]")
_SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[^+]*)?(?:\+(.*))?$")

ReleaseOrder = tuple[int, int, int, bool, tuple[int, ...]]


def release_body(kubernetes_version: str) -> Json:
    """Return the release of a Kubernetes version such as v1.36.3, for a server-side apply."""
    version = f"{kubernetes_version}+{BUILD_SUFFIX}"
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": release_name(version), "labels": dict.fromkeys(_prefixes(version), "")},
        "spec": {"version": version, "kubernetes": {"version": kubernetes_version}},
    }


def release_name(version: str) -> str:
    """Return the name of the release of that version: `+` is not allowed in names."""
    return version.replace("+", "---")


def _prefixes(version: str) -> list[str]:
    """Every prefix that ends where a part of the version ends: v1, v1.36, ... v1.36.3---trustplane.1."""
    ends = [match.start() for match in _SEPARATOR.finditer(version)]
    return [release_name(version[:end]) for end in (*ends, len(version))]


def release_status(release: TanzuKubernetesRelease, *, now: datetime) -> Json:
    """Return the status of a release whose node image was built, for a server-side apply."""
    reached = [
        Condition(type=one, status=conditions.TRUE, reason=one, observed_generation=release.metadata.generation)
        for one in (conditions.READY, conditions.COMPATIBLE, conditions.VALID)
    ]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": release.metadata.name},
        "status": {
            "observedGeneration": release.metadata.generation,
            "conditions": to_json(merge(release.status.conditions, reached, now)),
        },
    }


def resolve_release(
    tkc: TanzuKubernetesCluster, releases: Sequence[TanzuKubernetesRelease], *, running: str = ""
) -> TanzuKubernetesRelease | Finding:
    """Return the release that a cluster asks for, or what is wrong with its question.

    A name or version may be cut short at a part's end (`v1.36`); the newest that fits is meant. Where the running one
    fits it stays, so that a newer release updates no cluster by itself.

    Args:
        tkc: The cluster.
        releases: All that there are.
        running: Kubernetes version that the cluster runs now, such as v1.36.3; empty for a new cluster.
    """
    topology = tkc.spec.topology
    hint = _hint(tkc)
    found = _newest(hint, releases, running)
    if found is None:
        return _unknown(hint, releases)
    for pool in topology.node_pools:
        if pool.release and _newest(pool.release, releases, found.spec.kubernetes.version) is not found:
            return _differs(pool.name, pool.release, found)
    return found


def _hint(tkc: TanzuKubernetesCluster) -> str:
    distribution = tkc.spec.distribution
    deprecated = (distribution.full_version or distribution.version) if distribution else ""
    return tkc.spec.topology.control_plane.release or deprecated


def _newest(hint: str, releases: Sequence[TanzuKubernetesRelease], running: str) -> TanzuKubernetesRelease | None:
    fitting = [one for one in releases if _fits(one, hint)]
    same = [one for one in fitting if one.spec.kubernetes.version == running]
    return max(same or fitting, key=release_order, default=None)


def _fits(release: TanzuKubernetesRelease, hint: str) -> bool:
    wanted = release_name(hint if hint.startswith("v") or not hint else f"v{hint}")
    return not wanted or wanted == release.metadata.name or wanted in _prefixes(release.spec.version)


def release_order(release: TanzuKubernetesRelease) -> ReleaseOrder:
    """Return a key that sorts releases from old to new; a pre-release comes before its release."""
    match = _SEMVER.match(release.spec.version)
    if not match:
        return 0, 0, 0, False, ()
    major, minor, patch, candidate, build = match.groups()
    revisions = tuple(int(number) for number in re.findall(r"\d+", f"{candidate or ''} {build or ''}"))
    return int(major), int(minor), int(patch), candidate is None, revisions


def available_updates(release: TanzuKubernetesRelease, releases: Sequence[TanzuKubernetesRelease]) -> list[str]:
    """Return the versions that a cluster of that release can be updated to, oldest first.

    Kubernetes' minor versions cannot be skipped.
    """
    major, minor = release_order(release)[:2]
    allowed = ((major, minor), (major, minor + 1))
    found = [
        one for one in releases if release_order(one) > release_order(release) and release_order(one)[:2] in allowed
    ]
    return [one.spec.version for one in sorted(found, key=release_order)]


def _unknown(hint: str, releases: Sequence[TanzuKubernetesRelease]) -> Finding:
    known = [one.metadata.name for one in sorted(releases, key=release_order)]
    return Finding(
        code="unknown-release",
        what=f"There is no release {hint}" if hint else "There is no release at all",
        why=f"Known are: {', '.join(known)}" if known else "No TanzuKubernetesRelease exists",
        next_step="Set spec.topology.controlPlane.tkr.reference.name to one of `kubectl get tkr`",
        where="spec.topology.controlPlane.tkr.reference.name",
    )


def _differs(pool: str, hint: str, found: TanzuKubernetesRelease) -> Finding:
    return Finding(
        code="mixed-releases",
        what=f"Node pool {pool} asks for release {hint}, the control plane for {found.metadata.name}",
        why="All nodes of a cluster run one release",
        next_step="Set the same tkr.reference.name on the control plane and on each node pool, or leave it out there",
        where="spec.topology.nodePools",
    )
