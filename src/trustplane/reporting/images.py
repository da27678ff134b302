"""Registries of the images of a cluster's pods, and whether its nodes trust them. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.clustertrust import MAX_IMAGES, ImageSource
from trustplane.api.registry import Registry
from trustplane.clusterapi.node_state import NodeFacts, registry_verdicts, short_digest
from trustplane.diagnosis.endpoint import DOCKER_HUB
from trustplane.diagnosis.pulls import host_of
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.reporting.registry_assessment import (
    canonical_registry_host,
    find_registry,
    host_name,
    served_chain,
    verify_chain,
)
from trustplane.text import redact

_SHOWN: Final = 5  # nodes in a message
_MAX_IMAGE: Final = 512
_MAX_MESSAGE: Final = 1024
# Registries and domains of registries with certificates of public CAs.
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


def image_sources(images: Iterable[str], before: Sequence[ImageSource] = ()) -> list[ImageSource]:
    """Return the registries of images, sorted by host, each with an example: the previous one if it is still in use."""
    by_host: dict[str, set[str]] = {}
    for image in images:
        if image:
            by_host.setdefault(host_of(image), set()).add(redact(image)[:_MAX_IMAGE])
    examples = {source.host: source.image for source in before}
    return [
        ImageSource(host=host, image=examples[host] if examples.get(host) in names else min(names))
        for host, names in sorted(by_host.items())
    ]


def assess_sources(
    sources: Sequence[ImageSource],
    registries: Sequence[Registry],
    nodes: Sequence[NodeFacts],
    sets: TrustSets,
    now: datetime,
) -> tuple[list[ImageSource], int]:
    """Return whether a cluster's nodes trust each registry, untrusted ones first.

    Returns:
        The sources that a ClusterTrust lists, and the number of omitted ones.
    """
    every = [_assess(source, find_registry(source.host, registries), nodes, sets, now) for source in sources]
    order = [clustertrust.NOT_TRUSTED, clustertrust.UNKNOWN, clustertrust.TRUSTED, clustertrust.PUBLIC]
    ranked = sorted(every, key=lambda source: (order.index(source.trust), source.host))
    return ranked[:MAX_IMAGES], max(0, len(ranked) - MAX_IMAGES)


def uses_public_ca(host: str) -> bool:
    """Return whether a registry is known to use a public CA."""
    name = host_name(host)
    return any(name == domain or name.endswith(f".{domain}") for domain in _PUBLIC)


def _assess(
    source: ImageSource, registry: Registry | None, nodes: Sequence[NodeFacts], sets: TrustSets, now: datetime
) -> ImageSource:
    trust, message = _assess_by_proofs(source.host, registry, nodes) or _assess_by_chain(
        source.host, registry, sets, now
    )
    return ImageSource(host=source.host, image=source.image, trust=trust, message=message[:_MAX_MESSAGE])


def _assess_by_proofs(host: str, registry: Registry | None, nodes: Sequence[NodeFacts]) -> tuple[str, str] | None:
    """Return trust and message by the nodes' proofs; None if no valid proof decides."""
    names = {host} if registry is None else {host, registry.spec.host}
    verdicts = [(node, result) for node in nodes for result in registry_verdicts(node, names)]
    refusing = [(node, result) for node, result in verdicts if result.verdict == clustertrust.NOT_TRUSTED]
    if refusing:
        shown = ", ".join(node.node for node, _ in refusing[:_SHOWN])
        count = f"the kubelets of {len(refusing)} of {len(nodes)} nodes do not trust it"
        return clustertrust.NOT_TRUSTED, f"{count} ({shown}): {refusing[0][1].message}"
    trusting = [node for node, result in verdicts if result.verdict == clustertrust.TRUSTED]
    if trusting:
        return clustertrust.TRUSTED, f"proven by {len(trusting)} of {len(nodes)} nodes"
    return None


def _assess_by_chain(host: str, registry: Registry | None, sets: TrustSets, now: datetime) -> tuple[str, str]:
    """Return trust and message by the chain that the registry served last, and the set in force."""
    if uses_public_ca(host):
        return clustertrust.PUBLIC, "it uses a public CA"
    served = served_chain(registry)
    if registry is None or not served:
        why = f"Registry {registry.metadata.name} has not been reached" if registry else "no Registry describes it"
        return clustertrust.UNKNOWN, f"{why}, and no node has proven that it trusts it"
    if sets.in_force is None:
        return clustertrust.UNKNOWN, "the set in force is unreadable"
    verdict = verify_chain(served, sets.in_force, canonical_registry_host(registry), now)
    set_in_force = f"the set in force, {short_digest(sets.digest)},"
    if verdict.trusted:
        return clustertrust.TRUSTED, f"{set_in_force} trusts the chain that it served last"
    return clustertrust.NOT_TRUSTED, f"{set_in_force} rejects the chain that it served last: {verdict.message}"
