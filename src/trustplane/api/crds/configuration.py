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
        "The service's configuration: defaults for all clusters. A single object, named tkg-service-configuration. "
        "A change applies to new clusters; existing clusters take it with their next update.",
        _spec(),
        _status(),
        rules=[
            rule(
                f"self.metadata.name == {literal(NAME)}",
                f"has another name than {NAME}. The service has a single configuration. Apply it with that name",
            )
        ],
    )
    return definition(
        kind="TkgServiceConfiguration",
        plural="tkgserviceconfigurations",
        scope="Cluster",
        versions=VERSIONS,
        schema=schema,
        columns=[column("Default CNI", ".spec.defaultCNI", "Network plug-in of clusters without an explicit one.")],
    )


def _spec() -> Json:
    return obj(
        "Defaults for all clusters.",
        {
            "defaultCNI": string("Network plug-in of clusters without an explicit one.", enum=list(CNIS)),
            "proxy": network.proxy_schema("HTTP proxy of the nodes. If omitted, nodes use none."),
            "trust": network.trust_schema("Trust list for clusters without their own list."),
            "defaultNodeDrainTimeout": duration(
                "Maximum time for draining a node before its removal; 0s or omitted: no limit."
            ),
        },
    )


def _status() -> Json:
    return obj(
        "Observed state of the configuration.",
        {
            "firstCustomizedAt": time(
                "When this object first differed from the initial stock object. "
                "Clusters created earlier take the configuration once, by an update."
            ),
            "observedGeneration": observed_generation(),
            "conditions": conditions(
                "TrustValid: whether the list is usable; if not, the last good list stays in use."
            ),
        },
    )
