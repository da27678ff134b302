"""ClusterTrust: the trust of a cluster's nodes, and since when; status only, derived from durable facts.

The facts are annotations of Machines: a lost or outdated ClusterTrust is rebuilt from them.
"""

from datetime import datetime
from typing import Final

import msgspec

from trustplane.api.meta import Condition, Object, Struct

GROUP: Final = "trustplane.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "ClusterTrust"

# Facts, on Machines.
TRUST_APPLIED: Final = "trustplane.dev/trust-applied"  # AppliedTrust: the last write to the node
TRUST_PROOF: Final = "trustplane.dev/trust-proof"  # RecordedProof: the last pulls of its kubelet
TRUST_INSPECTION: Final = "trustplane.dev/trust-inspection"  # Inspection: its files and its runtime
TRUST_WRITE_STARTED: Final = "trustplane.dev/trust-write-started"  # digest of the set of an unrecorded write
TRUST_UPDATE_ERROR: Final = "trustplane.dev/trust-update-error"  # UpdateError: why the last write failed
# A request, on the Cluster or the ClusterTrust: an RFC 3339 time.
PROVE_REQUESTED_AT: Final = "trustplane.dev/prove-requested-at"

# States of a node.
PENDING: Final = "Pending"  # waits for the set in force
APPLIED: Final = "Applied"  # written, not proven since
PROVEN: Final = "Proven"  # pulls from every registry succeed since the last change, with verified certificates
ACCEPTED: Final = "Accepted"  # the same, but whether the certificate was verified is unknown
OUTDATED: Final = "Outdated"  # its files or its runtime differ from the last write
NOT_TRUSTED: Final = "NotTrusted"  # its kubelet rejects a registry's certificate
UNCLEAR: Final = "Unclear"  # a pull of its kubelet proves nothing about a registry
UNREACHABLE: Final = "Unreachable"  # the node, or a registry from it, does not answer; no evidence about trust
FAILED: Final = "Failed"  # its update or its proof failed
STATES: Final = (PENDING, APPLIED, PROVEN, ACCEPTED, OUTDATED, NOT_TRUSTED, UNCLEAR, UNREACHABLE, FAILED)

# Verdicts of a proof. A kubelet's message does not show whether a certificate was verified: see RegistryAccess.
TRUSTED: Final = "Trusted"
VERDICTS: Final = (TRUSTED, NOT_TRUSTED, UNREACHABLE, UNCLEAR)

# How a node's runtime reaches a registry.
VERIFIED: Final = "Verified"  # directly, over TLS verified with the node's trust anchors
UNVERIFIABLE: Final = "Unverifiable"  # in a way that makes a pull prove nothing
UNREADABLE: Final = "Unreadable"  # unknown

# How trust was written to a node.
BOOTSTRAP: Final = "Bootstrap"
IN_PLACE: Final = "InPlace"

# The source of a cluster's set.
SERVICE: Final = "Service"
CLUSTER: Final = "Cluster"
MERGED: Final = "Merged"

# Conditions.
CURRENT: Final = "Current"
KUBECONFIG_ACCEPTED: Final = "KubeconfigAccepted"  # False while the kubeconfig in its Secret is refused; else absent
WHOLE_CLUSTER: Final = "WholeCluster"  # False while a part of the cluster has no share in its trust
OVERRIDES: Final = "OverridesIgnored"  # its reasons
MACHINE_POOLS: Final = "MachinePoolsLeftOut"

MAX_NODES: Final = 50  # listed; others are counted
MAX_MESSAGE: Final = 300  # characters of one result's message
MAX_FAILURES: Final = 20  # listed groups of failing pulls; others are counted
MAX_IMAGES: Final = 100  # listed registries of images

# Whether nodes trust the registry of an image, besides TRUSTED and NOT_TRUSTED.
PUBLIC: Final = "Public"  # the registry needs no private CA
UNKNOWN: Final = "Unknown"
ASSESSMENTS: Final = (TRUSTED, NOT_TRUSTED, PUBLIC, UNKNOWN)


class AppliedTrust(Struct):
    """Annotation `trust-applied`: the last write to a node, by its bootstrap data or later."""

    digest: str = ""
    at: datetime | None = None
    method: str = ""  # BOOTSTRAP or IN_PLACE
    restarted: bool = False
    only_removes: bool = False  # the write removed entries, and added or changed none
    is_partial: bool = False  # the bootstrap data had space for a part of the set only
    booted: str = ""  # digest of the set in its bootstrap data; empty: unknown


class UpdateError(Struct):
    """Annotation `trust-update-error`: why the last write to a node failed; removed by a success."""

    digest: str = ""  # of the set to write
    at: datetime | None = None
    message: str = ""
    is_unreachable: bool = False  # the node did not answer


class ProofResult(Struct):
    """The result of a kubelet's pull from one registry."""

    registry: str = ""
    verdict: str = ""  # one of VERDICTS
    reason: str = ""
    message: str = ""
    pulled: bool = False
    at: datetime | None = None  # when the pull was requested; None: at the time of the whole proof
    answered_by: str = ""  # a second host that responded, such as a token service; who referred to it is unknown


class RecordedProof(Struct):
    """Annotation `trust-proof`: the latest proof; `at` is the time of its oldest result and covers earlier changes."""

    digest: str = ""
    at: datetime | None = None
    results: list[ProofResult] = msgspec.field(default_factory=list)


class RegistryAccess(Struct):
    """How a node's runtime reaches a registry."""

    registry: str = ""
    verification: str = ""  # VERIFIED, UNVERIFIABLE or UNREADABLE
    reason: str = ""
    next_step: str = ""
    proxy: str = ""  # URL of the proxy in use


class Inspection(Struct):
    """Annotation `trust-inspection`: the last inspection of a node's files and runtime."""

    digest: str = ""
    at: datetime | None = None
    message: str = ""  # the differences, if any
    is_drifted: bool = False  # Trustplane's files differ, or the runtime has not loaded them
    hidden: str = ""  # files of others that Trustplane's files override
    refusal: str = ""  # why the inspection was refused: another machine seems to answer
    error: str = ""  # why the inspection failed; no evidence about the node
    is_partial: bool = False  # files were not compared, because their desired content was unknown
    registries: list[RegistryAccess] = msgspec.field(default_factory=list)
    registries_at: datetime | None = None  # time of `registries`; a failed inspection keeps the previous one


class TrustEntry(Struct):
    """An entry of a trust set."""

    name: str = ""
    fingerprints: list[str] = msgspec.field(default_factory=list)  # SHA-256
    hosts: list[str] = msgspec.field(default_factory=list)  # scope: registry hosts; empty: node-wide
    expires: datetime | None = None  # earliest expiry of its certificates


class DesiredTrust(Struct):
    """The set requested by the lists."""

    digest: str = ""
    entries: list[TrustEntry] = msgspec.field(default_factory=list)
    source: str = ""


class TrustInForce(Struct):
    """The set taken by the cluster."""

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
    """A node without a current proof."""

    name: str = ""  # of the Node; empty before the Node exists
    machine: str = ""
    state: str = ""
    since: datetime | None = None
    digest: str = ""
    method: str = ""
    proven_at: datetime | None = None
    message: str = ""


class PullFailure(Struct):
    """Pods of one cluster with failing pulls from one registry, for one cause."""

    host: str = ""
    cause: str = ""  # a code of `trustplane explain`
    pods: int = 0
    since: datetime | None = None
    last_seen: datetime | None = None  # to the hour
    example: str = ""  # one of the pods, as namespace/name


class ImageSource(Struct):
    """A registry used by images of the cluster's pods."""

    host: str = ""
    image: str = ""  # an example
    trust: str = ""  # one of ASSESSMENTS
    message: str = ""  # evidence for `trust`


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
    # Written by separate controllers, see `controllers.pulls` and `controllers.images`.
    failures: list[PullFailure] = msgspec.field(default_factory=list)
    more_failing_pods: int = 0
    images: list[ImageSource] = msgspec.field(default_factory=list)
    more_images: int = 0


class ClusterTrust(Object):
    """Trust of the Cluster of the same name."""

    status: ClusterTrustStatus = msgspec.field(default_factory=ClusterTrustStatus)
