"""Registry: a private registry that nodes must trust; naming it makes every node prove that."""

from datetime import datetime
from typing import Final

import msgspec

from trustplane.api.clustertrust import GROUP, VERSION
from trustplane.api.meta import Condition, LabelSelector, Object, Struct

__all__ = ["AT_RISK", "GROUP", "KIND", "PULL_SECRET", "REACHABLE", "TRUSTED", "VERSION", "Registry"]

KIND: Final = "Registry"

# Conditions.
REACHABLE: Final = "Reachable"
TRUSTED: Final = "Trusted"
AT_RISK: Final = "AtRisk"  # True where something fails already, or will
PULL_SECRET: Final = "PullSecret"  # noqa: S105  of registries that have one: False where no cluster gets it

MAX_CHAIN: Final = 20  # certificates of a served chain that are listed
MAX_SUBJECT: Final = 4096  # characters of a name in one of them
MAX_CERTIFICATE: Final = 8192  # characters of a certificate in base64; what is longer is left out


class SecretReference(Struct):
    """A Secret of Trustplane's own namespace."""

    namespace: str = ""  # empty, or that one; others are of registries that were stored when others could be named
    name: str = ""


class RegistrySpec(Struct):
    """Which registry, how it is tried, and by which clusters."""

    host: str = ""  # `host` or `host:port`
    probe_image: str = ""
    pull_secret_ref: SecretReference | None = None
    namespace_selector: LabelSelector | None = None  # whose clusters may have a copy of that; None: nobody's
    cluster_selector: LabelSelector | None = None  # None: every cluster


class ServedCertificate(Struct):
    """A certificate that the registry sends."""

    subject: str = ""
    issuer: str = ""
    fingerprint: str = ""
    not_after: datetime | None = None
    data: str = ""  # base64 of the DER, for looks at it by other trust sets


class Anchor(Struct):
    """The entry of the service's list that makes nodes trust the registry."""

    name: str = ""
    fingerprint: str = ""
    not_after: datetime | None = None


class RegistryFailure(Struct):
    """Pods of one cluster that wait for images of the registry, for one cause."""

    cluster: str = ""  # namespace/name
    cause: str = ""
    pods: int = 0
    since: datetime | None = None
    last_seen: datetime | None = None
    example: str = ""


class Count(Struct, omit_defaults=False):
    """How many of how many trust."""

    trusting: int = 0
    total: int = 0


class RegistryStatus(Struct):
    """What is known of a registry."""

    chain: list[ServedCertificate] = msgspec.field(default_factory=list)
    anchor: Anchor | None = None
    clusters: Count = msgspec.field(default_factory=Count)
    nodes: Count = msgspec.field(default_factory=Count)
    trusting_clusters: str = ""  # `2/3`, for a printed column
    last_dialled: datetime | None = None
    failures: list[RegistryFailure] = msgspec.field(default_factory=list)
    conditions: list[Condition] = msgspec.field(default_factory=list)


class Registry(Object):
    """A private registry."""

    spec: RegistrySpec = msgspec.field(default_factory=RegistrySpec)
    status: RegistryStatus = msgspec.field(default_factory=RegistryStatus)

    def selects(self, labels: dict[str, str]) -> bool:
        """Tell whether a Cluster with these labels is to trust it."""
        selector = self.spec.cluster_selector
        return self.metadata.deletion_timestamp is None and (selector is None or selector.selects(labels))
