"""Typed probe pods and their events, as read from a workload cluster: only the fields needed, with length limits.

The cluster is untrusted, and its objects may have megabytes. Decoding drops everything beyond the limits.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from typing import Final

import msgspec

from trustplane.api.meta import Struct
from trustplane.kube.resource import Resource
from trustplane.text import MAX_INPUT

CONTAINER: Final = "probe"
_MAX_NAME: Final = 512  # characters; Kubernetes itself allows 253
_MAX_IMAGE: Final = 1024  # characters; runtimes allow 255 for the repository, plus a tag or digest


class Annotations(Struct):
    """The annotations of a probe pod."""

    expires_at: str = msgspec.field(name="trustplane.dev/expires-at", default="")

    def __post_init__(self) -> None:
        """Limit the length."""
        self.expires_at = self.expires_at[:_MAX_NAME]


class ProbeMetadata(Struct):
    """The metadata of a probe pod."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: Annotations = msgspec.field(default_factory=Annotations)

    def __post_init__(self) -> None:
        """Limit the lengths to those of valid names."""
        self.name, self.namespace = self.name[:_MAX_NAME], self.namespace[:_MAX_NAME]
        self.uid, self.resource_version = self.uid[:_MAX_NAME], self.resource_version[:_MAX_NAME]


class Container(Struct):
    """The container, as requested."""

    image: str = ""

    def __post_init__(self) -> None:
        """Limit the length to that of a valid image reference."""
        self.image = self.image[:_MAX_IMAGE]


class ProbeSpec(Struct):
    """The spec of a probe pod."""

    containers: list[Container] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Keep only the first container; a probe has one."""
        self.containers = self.containers[:1]


class Waiting(Struct):
    """Why the container does not run yet, as reported by the kubelet."""

    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        """Limit the lengths."""
        self.reason, self.message = self.reason[:_MAX_NAME], self.message[:MAX_INPUT]


class Running(Struct):
    """The container runs."""


class Terminated(Struct):
    """Why the container terminated."""

    reason: str | None = None

    def __post_init__(self) -> None:
        """Limit the length."""
        self.reason = self.reason and self.reason[:_MAX_NAME]


class State(Struct):
    """The state of a container: one of three."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct):
    """A container as the kubelet reports it."""

    name: str = ""
    state: State | None = None


class ProbeStatus(Struct):
    """The status of a probe pod, as reported by the kubelet."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    container_statuses: list[ContainerStatus] | None = None

    def __post_init__(self) -> None:
        """Keep only the probe's container, and limit the lengths."""
        self.container_statuses = [status for status in self.container_statuses or () if status.name == CONTAINER][:1]
        self.phase, self.reason = self.phase[:_MAX_NAME], self.reason[:_MAX_NAME]
        self.message = self.message[:MAX_INPUT]


class ProbePod(Struct):
    """A probe: a v1 Pod."""

    metadata: ProbeMetadata = msgspec.field(default_factory=ProbeMetadata)
    spec: ProbeSpec = msgspec.field(default_factory=ProbeSpec)
    status: ProbeStatus = msgspec.field(default_factory=ProbeStatus)

    @property
    def image(self) -> str:
        """The requested image reference."""
        return self.spec.containers[0].image if self.spec.containers else ""

    @property
    def state(self) -> State:
        """The state of its container; empty if unknown."""
        statuses = self.status.container_statuses
        return (statuses[0].state if statuses else None) or State()


class Series(Struct):
    """The repetitions of an event."""

    last_observed_time: str | None = None


class Regarding(Struct):
    """The subject of an event."""

    name: str = ""

    def __post_init__(self) -> None:
        """Limit the lengths to those of valid names."""
        self.name = self.name[:_MAX_NAME]


class ProbeEvent(Struct):
    """An event of events.k8s.io/v1 about a probe pod."""

    regarding: Regarding = msgspec.field(default_factory=Regarding)
    reason: str | None = None
    note: str | None = None
    series: Series | None = None
    event_time: str | None = None
    deprecated_last_timestamp: str | None = None

    def __post_init__(self) -> None:
        """Limit the lengths, and keep only the latest time."""
        self.reason, self.note = (self.reason or "")[:_MAX_NAME], (self.note or "")[:MAX_INPUT]
        latest = (self.series and self.series.last_observed_time) or self.deprecated_last_timestamp or self.event_time
        self.series, self.event_time, self.deprecated_last_timestamp = None, (latest or "")[:_MAX_NAME], None

    @property
    def words(self) -> str:
        """The text of the event."""
        return self.note or ""

    @property
    def time(self) -> str:
        """The time of its last occurrence in RFC 3339, for sorting."""
        return self.event_time or ""


PROBE_PODS: Resource[ProbePod] = Resource("", "v1", "Pod", "pods", ProbePod)
PROBE_EVENTS: Resource[ProbeEvent] = Resource("events.k8s.io", "v1", "Event", "events", ProbeEvent)
