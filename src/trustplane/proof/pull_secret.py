"""Eligibility of clusters for copies of a registry's pull secret. Pure.

Administrators of a workload cluster can read all of its Secrets, and tenants can label their Clusters. Eligibility
therefore depends on nothing that tenants write: the Secret is in Trustplane's own namespace, and only administrators
set the labels of the cluster's Namespace in the management cluster.
"""

from collections.abc import Mapping
from typing import Final

from trustplane.api.conditions import FALSE, TRUE
from trustplane.api.meta import Condition
from trustplane.api.registry import PULL_SECRET, Registry

_REFUSED: Final = "Refused"
_COPIED: Final = "Copied"


def pull_secret_refusal(registry: Registry, own: str) -> str:
    """Return why no cluster gets a registry's pull secret; empty if clusters may get it, or if it has none.

    The API server refuses such a Registry; older versions of the schema allowed it, and stored objects remain.

    Args:
        registry: The Registry.
        own: Trustplane's own namespace.
    """
    reference = registry.spec.pull_secret_ref
    if reference is None:
        return ""
    if reference.namespace not in ("", own):
        return (
            f"Secret {reference.namespace}/{reference.name} is not copied: pull secrets are read only from namespace "
            f"{own}, because a user who may create Registries must not gain access to Secrets of other namespaces. "
            f"Move the Secret to {own} and omit pullSecretRef.namespace"
        )
    if registry.spec.namespace_selector is None:
        return (
            f"Secret {own}/{reference.name} is not copied: the administrators of a cluster could read the copy, and no "
            "clusters are selected. Select their namespaces with spec.namespaceSelector"
        )
    return ""


def pull_secret_for(registry: Registry, labels: Mapping[str, str], own: str) -> str:
    """Return the name of the Secret in Trustplane's own namespace that a cluster may get a copy of; empty without one.

    Args:
        registry: The Registry.
        labels: Labels of the Cluster's Namespace.
        own: Trustplane's own namespace.
    """
    reference, selector = registry.spec.pull_secret_ref, registry.spec.namespace_selector
    if reference is None or selector is None or pull_secret_refusal(registry, own):
        return ""
    return reference.name if selector.selects(dict(labels)) else ""


def pull_secret_conditions(registry: Registry, own: str) -> list[Condition]:
    """Return the PullSecret condition of a registry with a pull secret; nothing for other registries."""
    reference = registry.spec.pull_secret_ref
    if reference is None:
        return []
    if message := pull_secret_refusal(registry, own):
        return [Condition(type=PULL_SECRET, status=FALSE, reason=_REFUSED, message=message)]
    message = f"Clusters in the selected namespaces get a copy of {own}/{reference.name} during proofs"
    return [Condition(type=PULL_SECRET, status=TRUE, reason=_COPIED, message=message)]
