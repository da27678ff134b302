"""TkgServiceConfiguration: trust, proxy and network plug-in of all clusters of the service.

One object per Supervisor, cluster-scoped, with the same shape in v1alpha1, v1alpha2 and v1alpha3.
"""

from datetime import datetime

import msgspec

from trustplane.api.meta import Condition, Object, Struct

NAME = "tkg-service-configuration"
GROUP = "run.tanzu.vmware.com"
VERSIONS = ("v1alpha1", "v1alpha2", "v1alpha3")
STOCK_CNI = "antrea"
SYSTEM_NAMESPACE = "trustplane-system"  # where Trustplane runs, unless its manager is configured otherwise


class TrustedCA(Struct):
    """One entry of a list of additional trusted CAs."""

    name: str = ""  # part of the file name on every node: /etc/ssl/certs/tkg-<name>.pem
    data: str = ""  # PEM, base64-encoded once


class TrustConfiguration(Struct):
    """CAs trusted by nodes in addition to those of their operating system."""

    additional_trusted_cas: list[TrustedCA] = msgspec.field(default_factory=list, name="additionalTrustedCAs")


class ProxyConfiguration(Struct):
    """HTTP proxy of the nodes: all three fields or none."""

    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: list[str] = msgspec.field(default_factory=list)


class TkgServiceConfigurationSpec(Struct):
    """Settings of the service's administrator for every cluster."""

    default_cni: str = msgspec.field(default="", name="defaultCNI")
    proxy: ProxyConfiguration | None = None
    trust: TrustConfiguration | None = None
    default_node_drain_timeout: str = ""

    @property
    def trusted_cas(self) -> list[TrustedCA]:
        """The service's list; empty if `trust` is omitted."""
        return self.trust.additional_trusted_cas if self.trust else []


class TkgServiceConfigurationStatus(Struct):
    """The reported state; `first_customized_at` is written once and never changes."""

    first_customized_at: datetime | None = None
    observed_generation: int = 0
    conditions: list[Condition] = msgspec.field(default_factory=list)


class TkgServiceConfiguration(Object):
    """The service's configuration."""

    spec: TkgServiceConfigurationSpec = msgspec.field(default_factory=TkgServiceConfigurationSpec)
    status: TkgServiceConfigurationStatus = msgspec.field(default_factory=TkgServiceConfigurationStatus)


STOCK_SPEC = TkgServiceConfigurationSpec(default_cni=STOCK_CNI)


def is_customised(spec: TkgServiceConfigurationSpec) -> bool:
    """Return whether the initial stock object was changed."""
    return spec != STOCK_SPEC
