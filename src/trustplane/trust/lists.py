"""The two trust lists, as the objects that have them say: the service's, and a cluster's own. Pure."""

from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.configuration import TkgServiceConfiguration
from trustplane.trust import scope
from trustplane.trust.entries import Reading


def service(configuration: TkgServiceConfiguration | None) -> Reading:
    """Read the service's list; one without entries where there is no configuration."""
    if configuration is None:
        return Reading()
    where = "spec.trust.additionalTrustedCAs"
    return scope.read(configuration.spec.trusted_cas, configuration.metadata.annotations, where=where)


def own(tkc: TanzuKubernetesCluster) -> Reading | None:
    """Read a cluster's own list; None where it has none.

    One that has none but scopes entries is read as a broken list: what it meant to scope stays as it was.
    """
    listed, annotations = tkc.spec.own_trust, tkc.metadata.annotations
    where = "spec.settings.network.trust.additionalTrustedCAs"
    if listed is not None:
        return scope.read(listed, annotations, where=where)
    reading = scope.read([], annotations, where=where) if REGISTRY_SCOPE in annotations else Reading()
    return None if reading.ok else reading
