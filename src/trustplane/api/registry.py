"""Registry: a private registry that nodes must trust, and for which every node must prove it."""

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
AT_RISK: Final = "AtRisk"  # True if pulls fail already, or will
PULL_SECRET: Final = "PullSecret"  # noqa: S105  only with a pull secret; False if no cluster gets it

MAX_CHAIN: Final = 20  # listed certificates of a served chain
MAX_SUBJECT: Final = 4096  # characters of a distinguished name
MAX_CERTIFICATE: Final = 8192  # characters of a base64 certificate; longer ones are omitted


class SecretReference(Struct):
    """A Secret in Trustplane's namespace."""

    namespace: str = ""  # empty or Trustplane's; stored objects of older versions may have others
    name: str = ""


class RegistrySpec(Struct):
    """The registry, how nodes prove trust in it, and the clusters that must."""

    host: str = ""  # `host` or `host:port`
    probe_image: str = ""
    pull_secret_ref: SecretReference | None = None
    namespace_selector: LabelSelector | None = None  # namespaces whose clusters get the pull secret; None: none
    cluster_selector: LabelSelector | None = None  # None: every cluster


class ServedCertificate(Struct):
    """A certificate served by the registry."""

    subject: str = ""
    issuer: str = ""
    fingerprint: str = ""
    not_after: datetime | None = None
    data: str = ""  # base64 of the DER, to verify it against other trust sets


class Anchor(Struct):
    """The entry of the service's list that anchors the registry's certificate."""

    name: str = ""
    fingerprint: str = ""
    not_after: datetime | None = None


class RegistryFailure(Struct):
    """Pods of one cluster with failing pulls from the registry, for one cause."""

    cluster: str = ""  # namespace/name
    cause: str = ""
    pods: int = 0
    since: datetime | None = None
    last_seen: datetime | None = None
    example: str = ""


class Count(Struct, omit_defaults=False):
    """The number of trusting clusters or nodes, of all."""

    trusting: int = 0
    total: int = 0


class RegistryStatus(Struct):
    """The reported state of a registry."""

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
        """Return whether a Cluster with these labels must trust the registry."""
        selector = self.spec.cluster_selector
        return self.metadata.deletion_timestamp is None and (selector is None or selector.selects(labels))
