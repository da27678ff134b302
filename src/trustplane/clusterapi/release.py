"""Releases: the available Kubernetes versions, their names, and the release that a cluster requests.

Source: names and labels of the original's TanzuKubernetesRelease (`apis/run/v1alpha2/util.go`).
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

BUILD_SUFFIX = "trustplane.1"  # suffix of the Kubernetes version: our revision of the node image
_SEPARATOR = re.compile(r"[.+-]")
_SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[^+]*)?(?:\+(.*))?$")

ReleaseOrder = tuple[int, int, int, bool, tuple[int, ...]]


def release_body(kubernetes_version: str) -> Json:
    """Return the release for a Kubernetes version such as v1.36.3, as the body of a server-side apply."""
    version = f"{kubernetes_version}+{BUILD_SUFFIX}"
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": release_name(version), "labels": dict.fromkeys(_prefixes(version), "")},
        "spec": {"version": version, "kubernetes": {"version": kubernetes_version}},
    }


def release_name(version: str) -> str:
    """Return the name of the release with that version; names must not contain `+`."""
    return version.replace("+", "---")


def _prefixes(version: str) -> list[str]:
    """Return every prefix that ends with a part of the version: v1, v1.36, ... v1.36.3---trustplane.1."""
    ends = [match.start() for match in _SEPARATOR.finditer(version)]
    return [release_name(version[:end]) for end in (*ends, len(version))]


def release_status(release: TanzuKubernetesRelease, *, now: datetime) -> Json:
    """Return the status of a release with a node image, as the body of a server-side apply."""
    reached = [
        Condition(type=type_, status=conditions.TRUE, reason=type_, observed_generation=release.metadata.generation)
        for type_ in (conditions.READY, conditions.COMPATIBLE, conditions.VALID)
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
    """Return the release that a cluster requests, or a finding about an invalid request.

    A name or version may omit trailing parts (`v1.36`) and then means the newest matching release. The running release
    takes precedence if it matches: a newer release alone must not update a cluster.

    Args:
        tkc: The cluster.
        releases: All releases.
        running: Kubernetes version that the cluster runs now, such as v1.36.3; empty for a new cluster.
    """
    topology = tkc.spec.topology
    hint = _hint(tkc)
    release = _newest(hint, releases, running)
    if release is None:
        return _unknown_release(hint, releases)
    for pool in topology.node_pools:
        if pool.release and _newest(pool.release, releases, release.spec.kubernetes.version) is not release:
            return _mixed_releases(pool.name, pool.release, release)
    return release


def _hint(tkc: TanzuKubernetesCluster) -> str:
    distribution = tkc.spec.distribution
    deprecated = (distribution.full_version or distribution.version) if distribution else ""
    return tkc.spec.topology.control_plane.release or deprecated


def _newest(hint: str, releases: Sequence[TanzuKubernetesRelease], running: str) -> TanzuKubernetesRelease | None:
    matching = [release for release in releases if _matches(release, hint)]
    current = [release for release in matching if release.spec.kubernetes.version == running]
    return max(current or matching, key=release_order, default=None)


def _matches(release: TanzuKubernetesRelease, hint: str) -> bool:
    name = release_name(hint if hint.startswith("v") or not hint else f"v{hint}")
    return not name or name == release.metadata.name or name in _prefixes(release.spec.version)


def release_order(release: TanzuKubernetesRelease) -> ReleaseOrder:
    """Return a key that sorts releases from oldest to newest; a prerelease precedes its release."""
    match = _SEMVER.match(release.spec.version)
    if not match:
        return 0, 0, 0, False, ()
    major, minor, patch, candidate, build = match.groups()
    revisions = tuple(int(number) for number in re.findall(r"\d+", f"{candidate or ''} {build or ''}"))
    return int(major), int(minor), int(patch), candidate is None, revisions


def available_updates(release: TanzuKubernetesRelease, releases: Sequence[TanzuKubernetesRelease]) -> list[str]:
    """Return the versions to which a cluster of that release can be updated, oldest first.

    Kubernetes does not support skipping minor versions.
    """
    major, minor = release_order(release)[:2]
    allowed = ((major, minor), (major, minor + 1))
    candidates = sorted(releases, key=release_order)
    updates = [
        other
        for other in candidates
        if release_order(other) > release_order(release) and release_order(other)[:2] in allowed
    ]
    return [other.spec.version for other in updates]


def _unknown_release(hint: str, releases: Sequence[TanzuKubernetesRelease]) -> Finding:
    names = [release.metadata.name for release in sorted(releases, key=release_order)]
    return Finding(
        code="unknown-release",
        what=f"Release {hint} does not exist" if hint else "No release exists",
        why=f"Existing releases: {', '.join(names)}"
        if names
        else "The management cluster has no TanzuKubernetesRelease",
        next_step="Set spec.topology.controlPlane.tkr.reference.name to a name from `kubectl get tkr`",
        where="spec.topology.controlPlane.tkr.reference.name",
    )


def _mixed_releases(pool: str, hint: str, release: TanzuKubernetesRelease) -> Finding:
    return Finding(
        code="mixed-releases",
        what=f"Node pool {pool} requests release {hint}, but the control plane requests {release.metadata.name}",
        why="All nodes of a cluster run the same release",
        next_step="Set the same tkr.reference.name on the control plane and on each node pool, or omit it on pools",
        where="spec.topology.nodePools",
    )
