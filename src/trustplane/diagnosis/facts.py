"""The evidence about a failed pull besides its message, as plain data: the input of `decision`. Pure.

A source that could not be read leaves its field None or empty, and a `CollectorReport` names the missing parts and the
reason: missing evidence never counts as evidence, and never lets the rest decide alone. A source that does not apply is
not missing.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trustplane.diagnosis.layer import Role


class ObservedFrom(enum.StrEnum):
    """The place from which a host was dialled."""

    HERE = "here"
    NODE = "node"


class Part(enum.StrEnum):
    """A part of the evidence that may be missing."""

    SECRETS = "pull secrets"
    OWN_SETS = "desired set and set in force"
    SERVICE = "service's list"
    OTHERS = "sets of other clusters"
    RECORD = "record of the node"
    DISK = "files, runtime and clock of the node"
    ROUTES = "mirrors and proxies of the node"
    CHAIN = "chain of a host"
    ANSWERS = "registry's answers, and the second hosts that they name"
    ISSUERS = "issuers that certificates name"


@dataclass(frozen=True)
class Missing:
    """A part of the evidence that was looked for, and not seen.

    Attributes:
        part: The part.
        address: host[:port], for a chain; "" for a second host that was not identified.
        role: The host's role, for a chain.
        observed_from: The place from which the host was dialled, for a chain.
    """

    part: Part
    address: str = ""
    role: Role = Role.REGISTRY
    observed_from: ObservedFrom = ObservedFrom.HERE


@dataclass(frozen=True)
class CollectorReport:
    """The report of one collector.

    Attributes:
        source: The source that the collector read.
        text: The result, or why the source could not be read.
        is_available: Whether the source could be read.
        missing: The parts of the evidence that this source should have given, but did not.
    """

    source: str
    text: str
    is_available: bool = True
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True)
class ListEntry:
    """An entry of a trust list: its certificates as DER, and the registries in its scope (empty if node-wide)."""

    name: str
    certificates: tuple[bytes, ...]
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrustList:
    """A list of CAs; `owner` names it as output prints it, after "in"."""

    owner: str
    entries: tuple[ListEntry, ...] = ()

    def serving(self, registry: str) -> Iterator[tuple[str, bytes]]:
        """Yield entry name and certificate of each CA that counts for a registry, named as host[:port]."""
        for entry in self.entries:
            if not entry.hosts or registry in entry.hosts:
                yield from ((entry.name, certificate) for certificate in entry.certificates)


class SecretState(enum.StrEnum):
    """The usability of a pull secret for one registry; the value follows the secret's name in output."""

    USABLE = "has a login for this registry"
    MISSING = "does not exist"
    ELSEWHERE = "exists only in another namespace"
    WRONG_TYPE = "has a type that the kubelet ignores"
    MALFORMED = "cannot be parsed"
    NO_KEY = "has no login for this registry"


@dataclass(frozen=True)
class PullSecret:
    """A pull secret that a pod or its ServiceAccount names. It never contains the Secret's data.

    Attributes:
        name: Name of the Secret.
        state: Its usability for the registry.
        detail: Why, without credentials.
        named_by: `the pod`; or the ServiceAccount, if only that names it because the pod is older than the reference.
        changed: When the Secret was last written; None if unknown.
    """

    name: str
    state: SecretState
    detail: str = ""
    named_by: str = "the pod"
    changed: datetime | None = None


@dataclass(frozen=True)
class Host:
    """A host of the registry, as dialled from one place.

    Attributes:
        role: Its role for the registry.
        address: host[:port], without port 443.
        observed_from: The place from which it was dialled.
        certificates: The chain it served, DER, its own certificate first; empty if it served none.
        failure: The code of a cause, if it did not answer, or not as a registry does.
        message: The failure as text.
        proxy: The proxy used, as `scheme://host:port`; "" without one.
    """

    role: Role
    address: str
    observed_from: ObservedFrom = ObservedFrom.HERE
    certificates: tuple[bytes, ...] = ()
    failure: str = ""
    message: str = ""
    proxy: str = ""


@dataclass(frozen=True)
class NodeRecord:
    """The management cluster's record of a node's trust.

    Attributes:
        name: Name of the node.
        state: Its state in the ClusterTrust, such as Proven; "" if unknown.
        message: The ClusterTrust's message about it.
        is_current: Whether the last set written to it is the set in force; None if unknown.
        drift: The drift that the last inspection detected; "" without drift or inspection.
        is_stale: Whether that inspection detected a stale runtime.
        proven_at: When its kubelet last proved that it trusts this registry; None if it did not.
    """

    name: str
    state: str = ""
    message: str = ""
    is_current: bool | None = None
    drift: str = ""
    is_stale: bool = False
    proven_at: datetime | None = None


@dataclass(frozen=True)
class Disk:
    """The state of the node, as read over SSH.

    Attributes:
        roots: The certificates that containerd would load now for this registry, DER, by path.
        malformed: Files among them that contain no certificate.
        is_stale: Whether containerd started before these files last changed; None if unknown.
        clock: The node's clock minus the local one.
        hosts_toml: The text of the certs.d files for this registry, by path.
        proxies: The proxy that containerd uses, as `scheme://host:port`, by host[:port]; hosts without one are absent.
    """

    roots: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    malformed: tuple[str, ...] = ()
    is_stale: bool | None = None
    clock: timedelta = timedelta()
    hosts_toml: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """The evidence about one failed pull, or about a registry alone.

    Attributes:
        now: The current time, with a time zone.
        image: The image reference, "" for a registry alone.
        registry: host[:port] of the image reference.
        messages: The kubelet's messages about the pull, latest first.
        failed_at: The time of the latest message.
        subject: The pod as namespace/name.
        cluster: The managed cluster as namespace/name; "" for another cluster.
        secrets: The pod's pull secrets; None if they could not be read.
        challenge: The registry's authentication scheme, `basic` or `bearer`; "" if unknown.
        anonymous: HTTP status of an anonymous request for the image's manifest; 0 without such a request.
        desired: The desired set of the cluster; None if unknown.
        in_force: The set in force; None if unknown.
        since: When the set in force was taken.
        service: The service's list.
        others: The sets of other clusters.
        issuers: Issuer certificates, DER, downloaded from the URLs in the served certificates.
        public_cas: The public CAs that nodes trust without any list, DER.
        node: The management cluster's record of the node.
        disk: The state of the node itself.
        hosts: The registry's hosts, as dialled from here and from the node.
        reports: The reports of the collectors.
    """

    now: datetime
    image: str = ""
    registry: str = ""
    messages: tuple[str, ...] = ()
    failed_at: datetime | None = None
    subject: str = ""
    cluster: str = ""
    secrets: tuple[PullSecret, ...] | None = None
    challenge: str = ""
    anonymous: int = 0
    desired: TrustList | None = None
    in_force: TrustList | None = None
    since: datetime | None = None
    service: TrustList | None = None
    others: tuple[TrustList, ...] = ()
    issuers: tuple[bytes, ...] = ()
    public_cas: tuple[bytes, ...] = ()
    node: NodeRecord | None = None
    disk: Disk | None = None
    hosts: tuple[Host, ...] = ()
    reports: tuple[CollectorReport, ...] = ()
