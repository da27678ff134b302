"""CRD of TkgServiceConfiguration."""

from trustplane.api.configuration import NAME, VERSIONS
from trustplane.api.crds import network
from trustplane.api.crds.schema import (
    column,
    conditions,
    definition,
    duration,
    literal,
    obj,
    observed_generation,
    root,
    rule,
    string,
    time,
)
from trustplane.api.meta import Json

CNIS = ("antrea", "calico", "antrea-nsx-routed")


def crd() -> Json:
    """Return the CRD."""
    schema = root(
        "The service's configuration: defaults of every cluster. There is one, named tkg-service-configuration. "
        "A change reaches clusters that are made after it; existing ones take it with their next update.",
        _spec(),
        _status(),
        rules=[
            rule(
                f"self.metadata.name == {literal(NAME)}",
                f"has another name than {NAME}. There is one configuration of the service. Apply it by that name",
            )
        ],
    )
    return definition(
        kind="TkgServiceConfiguration",
        plural="tkgserviceconfigurations",
        scope="Cluster",
        versions=VERSIONS,
        schema=schema,
        columns=[column("Default CNI", ".spec.defaultCNI", "Network plug-in of clusters that choose none.")],
    )


def _spec() -> Json:
    return obj(
        "What every cluster gets unless it says otherwise.",
        {
            "defaultCNI": string("Network plug-in of clusters that choose none.", enum=list(CNIS)),
            "proxy": network.proxy("HTTP proxy of the nodes. Left out, nodes use none."),
            "trust": network.trust("CAs of clusters without a list of their own."),
            "defaultNodeDrainTimeout": duration(
                "How long a node may take to be drained before it is removed; 0s or left out: no limit."
            ),
        },
    )


def _status() -> Json:
    return obj(
        "What Trustplane reports.",
        {
            "firstCustomizedAt": time(
                "When this object first differed from the one that exists from the start. "
                "Clusters made before take the configuration once, by an update."
            ),
            "observedGeneration": observed_generation(),
            "conditions": conditions("TrustValid: whether the list can be used; if not, the last good one stays."),
        },
    )
