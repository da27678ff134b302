"""ClusterTrust: who of a cluster's nodes trusts what, and since when; status only, derived from durable facts.

The facts are annotations of Machines, so that a lost or stale ClusterTrust is made again from them.
"""

from datetime import datetime
from typing import Final

import msgspec

from trustplane.api.meta import Condition, Object, Struct

GROUP: Final = "trustplane.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "ClusterTrust"

# Facts, on Machines.
TRUST_APPLIED: Final = "trustplane.dev/trust-applied"  # AppliedTrust: what was last written on the node
TRUST_PROOF: Final = "trustplane.dev/trust-proof"  # RecordedProof: what its kubelet last said
TRUST_INSPECTION: Final = "trustplane.dev/trust-inspection"  # Inspection: what its files and its runtime were like
TRUST_HINDRANCE: Final = "trustplane.dev/trust-hindrance"  # Hindrance: why the set in force is not on the node yet
# A request, on the Cluster or the ClusterTrust: an RFC 3339 time.
PROVE_REQUESTED_AT: Final = "trustplane.dev/prove-requested-at"

# States of a node.
PENDING: Final = "Pending"  # the set in force is on its way to it
APPLIED: Final = "Applied"  # written, and not proven since
PROVEN: Final = "Proven"  # its kubelet was accepted by, and accepted, every registry after the last change, verified
ACCEPTED: Final = "Accepted"  # the same, and whether the certificate was verified was not seen
OUTDATED: Final = "Outdated"  # it has, or its runtime uses, something else than what was written on it
NOT_TRUSTED: Final = "NotTrusted"  # its kubelet refuses a registry's certificate
UNCLEAR: Final = "Unclear"  # what its kubelet says of a registry proves nothing
UNREACHABLE: Final = "Unreachable"  # the node, or a registry from it, cannot be reached: this says nothing about trust
FAILED: Final = "Failed"  # its update, or the question, failed
STATES: Final = (PENDING, APPLIED, PROVEN, ACCEPTED, OUTDATED, NOT_TRUSTED, UNCLEAR, UNREACHABLE, FAILED)

# Verdicts of a proof. That a certificate was verified is not in a kubelet's words: see RegistryAccess.
TRUSTED: Final = "Trusted"
VERDICTS: Final = (TRUSTED, NOT_TRUSTED, UNREACHABLE, UNCLEAR)

# How a node's runtime reaches a registry.
VERIFIED: Final = "Verified"  # itself, over TLS that it verifies with the node's trust
UNVERIFIABLE: Final = "Unverifiable"  # in a way in which a pull proves nothing
UNREADABLE: Final = "Unreadable"  # not known

# How trust was written on a node.
BOOTSTRAP: Final = "Bootstrap"
IN_PLACE: Final = "InPlace"

# Where a cluster's set comes from.
SERVICE: Final = "Service"
CLUSTER: Final = "Cluster"
MERGED: Final = "Merged"

# Conditions.
CURRENT: Final = "Current"
KUBECONFIG_ACCEPTED: Final = "KubeconfigAccepted"  # False while the kubeconfig in its Secret is refused; else absent
WHOLE_CLUSTER: Final = "WholeCluster"  # False while something of it takes no part in its trust; else absent
OVERRIDES: Final = "OverridesIgnored"  # its reasons
MACHINE_POOLS: Final = "MachinePoolsLeftOut"

MAX_NODES: Final = 50  # in detail; the rest is counted
MAX_MESSAGE: Final = 300  # characters of one result's message
MAX_FAILURES: Final = 20  # groups of failing pulls; the rest is counted
MAX_IMAGES: Final = 100  # registries that images come from

# Whether nodes trust the registry of an image, besides TRUSTED and NOT_TRUSTED.
PUBLIC: Final = "Public"  # a registry that needs no private CA
UNKNOWN: Final = "Unknown"
ASSESSMENTS: Final = (TRUSTED, NOT_TRUSTED, PUBLIC, UNKNOWN)


class AppliedTrust(Struct):
    """Annotation `trust-applied`: what was last written on a node, by its bootstrap data or later."""

    digest: str = ""
    at: datetime | None = None
    method: str = ""  # BOOTSTRAP or IN_PLACE
    restarted: bool = False
    only_removes: bool = False  # what was written removed entries, and added or changed none
    is_partial: bool = False  # the bootstrap data had room for a part of the set only
    booted: str = ""  # digest of the set in its bootstrap data; empty: not known


class Hindrance(Struct):
    """Annotation `trust-hindrance`: why writing a set on a node failed last; gone when it succeeds."""

    digest: str = ""  # of that set
    at: datetime | None = None
    message: str = ""
    is_unreachable: bool = False  # the node did not answer


class ProofResult(Struct):
    """What a node's kubelet said of one registry."""

    registry: str = ""
    verdict: str = ""  # one of VERDICTS
    reason: str = ""
    message: str = ""
    pulled: bool = False
    at: datetime | None = None  # when that was asked for; None: when the whole proof was
    answered_by: str = (
        ""  # a second host that answered, such as a token service; who sent the kubelet there is not said
    )


class RecordedProof(Struct):
    """Annotation `trust-proof`: the latest proof; `at` is that of its oldest result: it proves what was before."""

    digest: str = ""
    at: datetime | None = None
    results: list[ProofResult] = msgspec.field(default_factory=list)


class RegistryAccess(Struct):
    """How a node's runtime reaches a registry."""

    registry: str = ""
    verification: str = ""  # VERIFIED, UNVERIFIABLE or UNREADABLE
    reason: str = ""
    next_step: str = ""
    proxy: str = ""  # through which it asks


class Inspection(Struct):
    """Annotation `trust-inspection`: a look at a node's files and runtime."""

    digest: str = ""
    at: datetime | None = None
    message: str = ""  # what differs, if anything
    is_drifted: bool = False  # files of ours differ, or are not loaded
    hidden: str = ""  # files of others that have no effect because of ours
    refusal: str = ""  # why we did not look: another machine seems to answer
    error: str = ""  # why we could not look, which says nothing about the node
    is_partial: bool = False  # its files were not compared, since what they are to be was not known
    registries: list[RegistryAccess] = msgspec.field(default_factory=list)
    registries_at: datetime | None = None  # when that was seen; a look that fails leaves it as it was


class TrustEntry(Struct):
    """An entry of a trust set."""

    name: str = ""
    fingerprints: list[str] = msgspec.field(default_factory=list)  # SHA-256
    hosts: list[str] = msgspec.field(default_factory=list)  # registries that it is for; none: the whole node
    expires: datetime | None = None  # the first of its certificates


class DesiredTrust(Struct):
    """The set that the lists ask for."""

    digest: str = ""
    entries: list[TrustEntry] = msgspec.field(default_factory=list)
    source: str = ""


class TrustInForce(Struct):
    """The set that the cluster has taken."""

    digest: str = ""
    since: datetime | None = None
    reason: str = ""


class Summary(Struct, omit_defaults=False):
    """Nodes by state."""

    total: int = 0
    proven: int = 0
    accepted: int = 0
    applied: int = 0
    pending: int = 0
    outdated: int = 0
    not_trusted: int = 0
    unclear: int = 0
    unreachable: int = 0
    failed: int = 0


class NodeTrust(Struct):
    """A node that is not proven."""

    name: str = ""  # of the Node; empty before there is one
    machine: str = ""
    state: str = ""
    since: datetime | None = None
    digest: str = ""
    method: str = ""
    proven_at: datetime | None = None
    message: str = ""


class PullFailure(Struct):
    """Pods of one cluster that wait for images of one registry, for one cause."""

    host: str = ""
    cause: str = ""  # a code of `trustplane explain`
    pods: int = 0
    since: datetime | None = None
    last_seen: datetime | None = None  # to the hour
    example: str = ""  # one of the pods, as namespace/name


class ImageSource(Struct):
    """A registry that images of the cluster's pods come from."""

    host: str = ""
    image: str = ""  # one of them
    trust: str = ""  # one of ASSESSMENTS
    message: str = ""  # how that is known


class ClusterTrustStatus(Struct):
    """Trust of a cluster."""

    desired: DesiredTrust | None = None
    in_force: TrustInForce | None = None
    difference: str = ""
    summary: Summary = msgspec.field(default_factory=Summary)
    proven_nodes: str = ""  # `2/3`, for a printed column
    nodes: list[NodeTrust] = msgspec.field(default_factory=list)
    more: int = 0
    last_proof: datetime | None = None
    conditions: list[Condition] = msgspec.field(default_factory=list)
    # Each of these is written by a controller of its own, see `controllers.pulls` and `controllers.images`.
    failures: list[PullFailure] = msgspec.field(default_factory=list)
    more_failing_pods: int = 0
    images: list[ImageSource] = msgspec.field(default_factory=list)
    more_images: int = 0


class ClusterTrust(Object):
    """Trust of the Cluster of the same name."""

    status: ClusterTrustStatus = msgspec.field(default_factory=ClusterTrustStatus)
