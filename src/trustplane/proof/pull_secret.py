"""Which clusters may have a copy of a registry's pull secret. Pure.

Whoever administers a cluster reads every Secret in it, and labels its Clusters as it likes. So the answer depends on
nothing that a tenant writes: the Secret is in Trustplane's own namespace, and the labels are those of the cluster's
Namespace in the management cluster, which are an administrator's.
"""

from collections.abc import Mapping
from typing import Final

from trustplane.api.conditions import FALSE, TRUE
from trustplane.api.meta import Condition
from trustplane.api.registry import PULL_SECRET, Registry

_REFUSED: Final = "Refused"
_COPIED: Final = "Copied"


def pull_secret_refusal(registry: Registry, own: str) -> str:
    """Return why no cluster gets a registry's pull secret; empty where some may, or it has none.

    The API server refuses such a Registry today; one that was stored before is still there.

    Args:
        registry: Which.
        own: Trustplane's own namespace.
    """
    reference = registry.spec.pull_secret_ref
    if reference is None:
        return ""
    if reference.namespace not in ("", own):
        return (
            f"Secret {reference.namespace}/{reference.name} is copied nowhere: pull secrets come from namespace {own} "
            f"alone, for whoever may make Registries is not to read those of others. Put it into {own} and leave "
            "pullSecretRef.namespace out"
        )
    if registry.spec.namespace_selector is None:
        return (
            f"Secret {own}/{reference.name} is copied nowhere: the administrators of a cluster can read its copy, and "
            "nobody said which they may be. Select their namespaces with spec.namespaceSelector"
        )
    return ""


def pull_secret_for(registry: Registry, labels: Mapping[str, str], own: str) -> str:
    """Return the Secret, of Trustplane's own namespace, that a cluster may have a copy of; empty: of none.

    Args:
        registry: Which.
        labels: Of the Namespace of the Cluster.
        own: Trustplane's own namespace.
    """
    reference, selector = registry.spec.pull_secret_ref, registry.spec.namespace_selector
    if reference is None or selector is None or pull_secret_refusal(registry, own):
        return ""
    return reference.name if selector.selects(dict(labels)) else ""


def pull_secret_conditions(registry: Registry, own: str) -> list[Condition]:
    """Return the condition of a registry that has a pull secret; none for others."""
    reference = registry.spec.pull_secret_ref
    if reference is None:
        return []
    if words := pull_secret_refusal(registry, own):
        return [Condition(type=PULL_SECRET, status=FALSE, reason=_REFUSED, message=words)]
    words = f"Clusters of the selected namespaces get a copy of {own}/{reference.name} for the time of a proof"
    return [Condition(type=PULL_SECRET, status=TRUE, reason=_COPIED, message=words)]
