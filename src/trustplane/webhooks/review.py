"""Parsing of AdmissionReviews: decode only the fields relevant to trust, skip everything else.

The object under review stays raw text until its kind is known: a generic decoder would need 27 times its size.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from trustplane.api import cluster
from trustplane.api.configuration import TrustConfiguration
from trustplane.api.meta import Json, Struct
from trustplane.clusterapi.admission import CLUSTER_KIND, CONFIGURATION_KIND
from trustplane.clusterapi.exclusions import TRUST_VARIABLE

_NULL: Final = msgspec.Raw(b"null")


class GroupVersionKind(Struct):
    """The kind of the object under review."""

    group: str = ""
    kind: str = ""


class AdmissionRequest(Struct):
    """The `request` of an AdmissionReview."""

    uid: str = ""
    kind: GroupVersionKind = msgspec.field(default_factory=GroupVersionKind)
    name: str = ""
    namespace: str = ""
    operation: str = ""
    object: msgspec.Raw = _NULL
    old_object: msgspec.Raw = _NULL

    def head(self) -> Json:
        """Return the fields repeated in the response."""
        return {"uid": self.uid, "name": self.name, "kind": {"group": self.kind.group, "kind": self.kind.kind}}


class _Review(Struct):
    request: AdmissionRequest


class _Metadata(Struct):
    name: str = ""
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _ServiceSpec(Struct):
    trust: TrustConfiguration | None = None


class _Service(Struct):
    metadata: _Metadata
    spec: _ServiceSpec | None = None


class _Network(Struct):
    trust: TrustConfiguration | None = None


class _Settings(Struct):
    network: _Network | None = None


class _TanzuSpec(Struct):
    settings: _Settings | None = None


class _Tanzu(Struct):
    metadata: _Metadata
    spec: _TanzuSpec | None = None


class _Variable(Struct):
    name: str = ""
    value: msgspec.Raw = _NULL


class _Overrides(Struct):
    overrides: list[_Variable] | None = None


class _Group(Struct):
    name: str = ""
    variables: _Overrides | None = None


class _Workers(Struct):
    machine_deployments: list[_Group] | None = None
    machine_pools: list[_Group] | None = None


class _Topology(Struct):
    variables: list[_Variable] | None = None
    control_plane: _Group | None = None
    workers: _Workers | None = None


class _ClusterSpec(Struct):
    topology: _Topology | None = None


class _Cluster(Struct):
    metadata: _Metadata
    spec: _ClusterSpec | None = None


_KINDS: Final[dict[str, type[_Service | _Tanzu | _Cluster]]] = {
    CONFIGURATION_KIND: _Service,
    cluster.KIND: _Tanzu,
    CLUSTER_KIND: _Cluster,
}
OTHER_KIND: Final = "other"


def parse_review(body: bytes) -> AdmissionRequest | None:
    """Return the request of an AdmissionReview; None if the body is not one, or is nested too deeply."""
    try:
        return msgspec.json.decode(body, type=_Review).request
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def kind_label(kind: str) -> str:
    """Return the kind as a metric label: a checked kind, or `other`."""
    return kind if kind in _KINDS else OTHER_KIND


def relevant_part(kind: str, content: msgspec.Raw) -> Json | None:
    """Return the fields of an object that its check depends on; None without an object or for an unchecked kind.

    Raises:
        msgspec.MsgspecError: the object does not have the shape of its kind.
    """
    if kind not in _KINDS or content == _NULL:
        return None
    obj = msgspec.json.decode(content, type=_KINDS[kind])
    if isinstance(obj, _Cluster):
        for variable in _variables(obj):
            if variable.name != TRUST_VARIABLE:
                variable.value = _NULL
    part: Json = msgspec.json.decode(msgspec.json.encode(obj))
    return part


def _variables(obj: _Cluster) -> Iterator[_Variable]:
    topology = (obj.spec and obj.spec.topology) or _Topology()
    workers = topology.workers or _Workers()
    groups = [topology.control_plane or _Group(), *(workers.machine_deployments or ()), *(workers.machine_pools or ())]
    yield from topology.variables or ()
    for group in groups:
        yield from (group.variables and group.variables.overrides) or ()
