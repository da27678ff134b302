"""The CustomResourceDefinitions of Trustplane's kinds.

Schema and CEL rules reject objects when they are applied; conditions report all other problems.
"""

from trustplane.api.crds import cluster, clustertrust, configuration, registry, release
from trustplane.api.meta import Json


def crds() -> list[Json]:
    """Return all CRDs for a server-side apply."""
    return [configuration.crd(), cluster.crd(), release.crd(), registry.crd(), clustertrust.crd()]
