"""What is known about a failed pull besides its message, as plain data: the input of `verdict`. Pure.

Whatever could not be looked at is None or empty, and a `Look` says why: absence of evidence is never evidence.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trustplane.diagnosis.layer import Role


class Vantage(enum.StrEnum):
    """From where a host was looked at."""

    HERE = "here"
    NODE = "node"


@dataclass(frozen=True)
class Look:
    """One thing that was looked at, or could not be.

    Attributes:
        source: What.
        words: What was found; where nothing could be seen, why not.
        seen: Whether it could be looked at.
    """

    source: str
    words: str
    seen: bool = True


@dataclass(frozen=True)
class Listed:
    """An entry of a trust list: its certificates as DER, and the registries that it is for (none: the whole node)."""

    name: str
    certificates: tuple[bytes, ...]
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrustList:
    """A list of CAs, and whose it is in words that follow `in`."""

    owner: str
    entries: tuple[Listed, ...] = ()

    def serving(self, registry: str) -> Iterator[tuple[str, bytes]]:
        """Yield entry's name and certificate of what counts for a registry, given as host[:port]."""
        for entry in self.entries:
            if not entry.hosts or registry in entry.hosts:
                yield from ((entry.name, one) for one in entry.certificates)


class SecretState(enum.StrEnum):
    """What a pull secret is worth for one registry."""

    USABLE = "has a login for this registry"
    MISSING = "does not exist"
    ELSEWHERE = "exists in another namespace only"
    WRONG_TYPE = "has a type that the kubelet does not read"
    MALFORMED = "cannot be parsed"
    NO_KEY = "has no login for this registry"


@dataclass(frozen=True)
class PullSecret:
    """A pull secret that a pod, or its ServiceAccount, names. It never holds what the Secret holds.

    Attributes:
        name: Of the Secret.
        state: What it is worth.
        detail: Why, in words that hold no credentials.
        named_by: `the pod`, or the ServiceAccount alone: then the pod was made before it was named there.
        changed: When the Secret was last written; None where that is not known.
    """

    name: str
    state: SecretState
    detail: str = ""
    named_by: str = "the pod"
    changed: datetime | None = None


@dataclass(frozen=True)
class Host:
    """A host of the registry, as it was seen from one place.

    Attributes:
        role: What it is to the registry.
        address: host[:port]; the port 443 is left out.
        vantage: From where it was dialled.
        proxy: Through which it was dialled, as `scheme://host:port`; "" without one.
        certificates: What it served, DER, its own first; empty where nothing was.
        failure: A cause's code where it gave no answer, or not a registry's.
        words: That failure in words.
    """

    role: Role
    address: str
    vantage: Vantage = Vantage.HERE
    certificates: tuple[bytes, ...] = ()
    failure: str = ""
    words: str = ""
    proxy: str = ""


@dataclass(frozen=True)
class NodeRecord:
    """What the management cluster knows of a node's trust.

    Attributes:
        name: Of the node.
        state: As of ClusterTrust, such as Proven; "" where it is not known.
        message: What ClusterTrust says of it.
        is_current: Whether the set that was written last is the set in force; None where that is not known.
        drift: What differs on the node, by the last look at it; "" where nothing does, or nobody looked.
        is_stale: Whether that look found a containerd that has not loaded the files.
        trusts: When its kubelet last proved that it accepts this registry; None where it did not.
    """

    name: str
    state: str = ""
    message: str = ""
    is_current: bool | None = None
    drift: str = ""
    is_stale: bool = False
    trusts: datetime | None = None


@dataclass(frozen=True)
class Disk:
    """What is on the node, as it was seen over SSH.

    Attributes:
        roots: Certificates that containerd would load now for this registry, DER, by path.
        malformed: Files among them that hold no certificate.
        is_stale: Whether the containerd that runs was started before they were as they are; None: not known.
        clock: The node's clock less ours.
        hosts_toml: Text of certs.d files for this registry, by path.
        proxies: Through which containerd asks a host, as `scheme://host:port` by host[:port]; others it asks itself.
    """

    roots: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    malformed: tuple[str, ...] = ()
    is_stale: bool | None = None
    clock: timedelta = timedelta()
    hosts_toml: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """All that is known about one failed pull, or about a registry alone.

    Attributes:
        now: The time, with a zone.
        image: The image's name, "" for a registry alone.
        registry: host[:port] that the image's name begins with.
        messages: What the kubelet said of the pull, the latest first.
        failed_at: When it last said so.
        subject: The pod as namespace/name.
        cluster: The cluster as namespace/name; "" where it is not a managed one.
        secrets: Of the pod; None where they could not be read.
        challenge: `basic` or `bearer`: how the registry asks for credentials, "" where that is not known.
        anonymous: HTTP status of an anonymous request for the image's manifest; 0 where there was none.
        desired: What the lists ask for, for this cluster; None where that is not known.
        in_force: What the cluster has taken.
        since: When it took that.
        service: The service's list.
        others: The sets of other clusters.
        issuers: Certificates, DER, that were published where the served ones say.
        bundle: CAs that nodes trust anyway, DER.
        node: The node in the management cluster's eyes.
        disk: The node as it is.
        hosts: Each as seen from here, and from the node.
        looks: What was looked at.
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
    bundle: tuple[bytes, ...] = ()
    node: NodeRecord | None = None
    disk: Disk | None = None
    hosts: tuple[Host, ...] = ()
    looks: tuple[Look, ...] = ()
