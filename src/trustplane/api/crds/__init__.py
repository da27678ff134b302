"""The CustomResourceDefinitions of our kinds.

What the schema and CEL rules can see is refused when an object is applied; the rest is reported by conditions.
"""

from trustplane.api.crds import cluster, clustertrust, configuration, registry, release
from trustplane.api.meta import Json


def crds() -> list[Json]:
    """Return all CRDs, for a server-side apply."""
    return [configuration.crd(), cluster.crd(), release.crd(), registry.crd(), clustertrust.crd()]
