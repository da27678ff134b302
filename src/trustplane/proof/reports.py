"""Typed probe pods and their events, as read from a workload cluster: only the fields needed, with length limits.

The cluster is untrusted, and its objects may have megabytes. Decoding drops everything beyond the limits.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from typing import Final

import msgspec

from trustplane.api.meta import Struct
from trustplane.kube.resource import Resource
from trustplane.text import MAX_INPUT

PROBE_CONTAINER: Final = "probe"
_MAX_NAME: Final = 512  # characters; Kubernetes itself allows 253
_MAX_IMAGE: Final = 1024  # characters; runtimes allow 255 for the repository, plus a tag or digest


class ProbeAnnotations(Struct):
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
    annotations: ProbeAnnotations = msgspec.field(default_factory=ProbeAnnotations)

    def __post_init__(self) -> None:
        """Limit the lengths to those of valid names."""
        self.name, self.namespace = self.name[:_MAX_NAME], self.namespace[:_MAX_NAME]
        self.uid, self.resource_version = self.uid[:_MAX_NAME], self.resource_version[:_MAX_NAME]


class ProbeContainer(Struct):
    """The container, as requested."""

    image: str = ""

    def __post_init__(self) -> None:
        """Limit the length to that of a valid image reference."""
        self.image = self.image[:_MAX_IMAGE]


class ProbeSpec(Struct):
    """The spec of a probe pod."""

    containers: list[ProbeContainer] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Keep only the first container; a probe has one."""
        self.containers = self.containers[:1]


class ProbeWaiting(Struct):
    """Why the container does not run yet, as reported by the kubelet."""

    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        """Limit the lengths."""
        self.reason, self.message = self.reason[:_MAX_NAME], self.message[:MAX_INPUT]


class ProbeRunning(Struct):
    """The container runs."""


class ProbeTerminated(Struct):
    """Why the container terminated."""

    reason: str | None = None

    def __post_init__(self) -> None:
        """Limit the length."""
        self.reason = self.reason and self.reason[:_MAX_NAME]


class ProbeState(Struct):
    """The state of a container: one of three."""

    waiting: ProbeWaiting | None = None
    running: ProbeRunning | None = None
    terminated: ProbeTerminated | None = None


class ProbeContainerStatus(Struct):
    """A container as the kubelet reports it."""

    name: str = ""
    state: ProbeState | None = None


class ProbeStatus(Struct):
    """The status of a probe pod, as reported by the kubelet."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    container_statuses: list[ProbeContainerStatus] | None = None

    def __post_init__(self) -> None:
        """Keep only the probe's container, and limit the lengths."""
        self.container_statuses = [
            status for status in self.container_statuses or () if status.name == PROBE_CONTAINER
        ][:1]
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
    def state(self) -> ProbeState:
        """The state of its container; empty if unknown."""
        statuses = self.status.container_statuses
        return (statuses[0].state if statuses else None) or ProbeState()


class EventSeries(Struct):
    """The repetitions of an event."""

    last_observed_time: str | None = None


class EventSubject(Struct):
    """The subject of an event."""

    name: str = ""

    def __post_init__(self) -> None:
        """Limit the lengths to those of valid names."""
        self.name = self.name[:_MAX_NAME]


class ProbeEvent(Struct):
    """An event of events.k8s.io/v1 about a probe pod."""

    regarding: EventSubject = msgspec.field(default_factory=EventSubject)
    reason: str | None = None
    note: str | None = None
    series: EventSeries | None = None
    event_time: str | None = None
    deprecated_last_timestamp: str | None = None

    def __post_init__(self) -> None:
        """Limit the lengths, and keep only the latest time."""
        self.reason, self.note = (self.reason or "")[:_MAX_NAME], (self.note or "")[:MAX_INPUT]
        latest = (self.series and self.series.last_observed_time) or self.deprecated_last_timestamp or self.event_time
        self.series, self.event_time, self.deprecated_last_timestamp = None, (latest or "")[:_MAX_NAME], None

    @property
    def text(self) -> str:
        """The text of the event."""
        return self.note or ""

    @property
    def last_seen_at(self) -> str:
        """The time of its last occurrence in RFC 3339, for sorting."""
        return self.event_time or ""


PROBE_PODS: Resource[ProbePod] = Resource("", "v1", "Pod", "pods", ProbePod)
PROBE_EVENTS: Resource[ProbeEvent] = Resource("events.k8s.io", "v1", "Event", "events", ProbeEvent)
