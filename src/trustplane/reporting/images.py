"""Images of a cluster's pods: which registries they come from, and whether its nodes trust those. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.clustertrust import MAX_IMAGES, ImageSource
from trustplane.api.registry import Registry
from trustplane.clusterapi.node_state import NodeFacts, registry_verdicts, short_digest
from trustplane.diagnosis.endpoint import DOCKER_HUB
from trustplane.diagnosis.pulls import host_of
from trustplane.reporting.cluster_trust import Sets
from trustplane.reporting.registry_assessment import judge, name_of, registry_host, registry_named, served_by
from trustplane.text import redact

_SHOWN: Final = 5  # nodes in a message
_MAX_IMAGE: Final = 512
_MAX_MESSAGE: Final = 1024
# Registries, and domains of registries, whose certificates are of CAs that every system has.
_PUBLIC: Final = (
    DOCKER_HUB,
    "registry.k8s.io",
    "k8s.gcr.io",
    "gcr.io",
    "pkg.dev",
    "ghcr.io",
    "quay.io",
    "mcr.microsoft.com",
    "azurecr.io",
    "amazonaws.com",
    "public.ecr.aws",
    "registry.gitlab.com",
    "registry.access.redhat.com",
    "registry.redhat.io",
    "nvcr.io",
    "docker.elastic.co",
    "projects.registry.vmware.com",
    "registry.suse.com",
    "container-registry.oracle.com",
    "lscr.io",
)


def sources(images: Iterable[str], before: Sequence[ImageSource] = ()) -> list[ImageSource]:
    """Return the registries of images, by host, each with one of its images: the one that was shown, or the first."""
    by_host: dict[str, set[str]] = {}
    for image in images:
        if image:
            by_host.setdefault(host_of(image), set()).add(redact(image)[:_MAX_IMAGE])
    shown = {one.host: one.image for one in before}
    return [
        ImageSource(host=host, image=shown[host] if shown.get(host) in names else min(names))
        for host, names in sorted(by_host.items())
    ]


def assessed(
    found: Sequence[ImageSource], registries: Sequence[Registry], nodes: Sequence[NodeFacts], sets: Sets, now: datetime
) -> tuple[list[ImageSource], int]:
    """Say of each registry whether a cluster's nodes trust it; those that they do not trust come first.

    Returns:
        The sources that a ClusterTrust lists, and how many more there are.
    """
    every = [_assessed(one, registry_named(one.host, registries), nodes, sets, now) for one in found]
    order = [clustertrust.NOT_TRUSTED, clustertrust.UNKNOWN, clustertrust.TRUSTED, clustertrust.PUBLIC]
    ranked = sorted(every, key=lambda one: (order.index(one.trust), one.host))
    return ranked[:MAX_IMAGES], max(0, len(ranked) - MAX_IMAGES)


def is_public(host: str) -> bool:
    """Tell whether a registry is known to need no private CA."""
    name = name_of(host)
    return any(name == one or name.endswith(f".{one}") for one in _PUBLIC)


def _assessed(
    source: ImageSource, registry: Registry | None, nodes: Sequence[NodeFacts], sets: Sets, now: datetime
) -> ImageSource:
    trust, message = _of_proofs(source.host, registry, nodes) or _of_chain(source.host, registry, sets, now)
    return ImageSource(host=source.host, image=source.image, trust=trust, message=message[:_MAX_MESSAGE])


def _of_proofs(host: str, registry: Registry | None, nodes: Sequence[NodeFacts]) -> tuple[str, str] | None:
    """Decide by what the nodes' kubelets said; None where no valid proof says anything about trust."""
    names = {host} if registry is None else {host, registry.spec.host}
    said = [(one, result) for one in nodes for result in registry_verdicts(one, names)]
    refusing = [(one, result) for one, result in said if result.verdict == clustertrust.NOT_TRUSTED]
    if refusing:
        shown = ", ".join(one.node for one, _ in refusing[:_SHOWN])
        words = f"the kubelets of {len(refusing)} of {len(nodes)} nodes refuse it ({shown}): {refusing[0][1].message}"
        return clustertrust.NOT_TRUSTED, words
    trusting = [one for one, result in said if result.verdict == clustertrust.TRUSTED]
    if trusting:
        return clustertrust.TRUSTED, f"proven by {len(trusting)} of {len(nodes)} nodes"
    return None


def _of_chain(host: str, registry: Registry | None, sets: Sets, now: datetime) -> tuple[str, str]:
    """Decide by what the registry served last, and the set in force."""
    if is_public(host):
        return clustertrust.PUBLIC, "it needs no private CA"
    served = served_by(registry)
    if registry is None or not served:
        why = f"Registry {registry.metadata.name} has not been reached" if registry else "no Registry names it"
        return clustertrust.UNKNOWN, f"{why}, and no node has proven anything of it"
    if sets.in_force is None:
        return clustertrust.UNKNOWN, "the set in force cannot be read"
    found = judge(served, sets.in_force, registry_host(registry), now)
    if found.trusted:
        return clustertrust.TRUSTED, f"what it served last is trusted by the set in force, {short_digest(sets.digest)}"
    return (
        clustertrust.NOT_TRUSTED,
        f"what it served last is refused with the set in force, {short_digest(sets.digest)}: {found.message}",
    )
