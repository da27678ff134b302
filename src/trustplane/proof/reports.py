"""What a workload cluster's API server reports of a probe pod: the few fields that are read, cut to what is needed.

The cluster is a stranger's, and the object may have megabytes. Whatever is cut here is gone when it has been decoded.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from typing import Final

import msgspec

from trustplane.api.meta import Struct
from trustplane.kube.resource import Resource
from trustplane.text import MAX_INPUT

PROBE_CONTAINER: Final = "probe"
_MAX_NAME: Final = 512  # characters of what Kubernetes itself keeps to 253
_MAX_IMAGE: Final = 1024  # runtimes take 255 for the repository, and a tag or digest


class ProbeAnnotations(Struct):
    """Those of a probe pod."""

    expires_at: str = msgspec.field(name="trustplane.dev/expires-at", default="")

    def __post_init__(self) -> None:
        """Cut what is no time."""
        self.expires_at = self.expires_at[:_MAX_NAME]


class ProbeMetadata(Struct):
    """Which pod, in which version."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: ProbeAnnotations = msgspec.field(default_factory=ProbeAnnotations)

    def __post_init__(self) -> None:
        """Cut what no API server would take for a name."""
        self.name, self.namespace = self.name[:_MAX_NAME], self.namespace[:_MAX_NAME]
        self.uid, self.resource_version = self.uid[:_MAX_NAME], self.resource_version[:_MAX_NAME]


class ProbeContainer(Struct):
    """The container as it was asked for."""

    image: str = ""

    def __post_init__(self) -> None:
        """Cut what no runtime would take for an image."""
        self.image = self.image[:_MAX_IMAGE]


class ProbeSpec(Struct):
    """What the pod asks for."""

    containers: list[ProbeContainer] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Keep the one container that a probe has."""
        self.containers = self.containers[:1]


class ProbeWaiting(Struct):
    """Why the container does not run yet, in the kubelet's words."""

    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        """Cut the words to what is read of any."""
        self.reason, self.message = self.reason[:_MAX_NAME], self.message[:MAX_INPUT]


class ProbeRunning(Struct):
    """The container runs."""


class ProbeTerminated(Struct):
    """Why the container has ended."""

    reason: str | None = None

    def __post_init__(self) -> None:
        """Cut the words."""
        self.reason = self.reason and self.reason[:_MAX_NAME]


class ProbeState(Struct):
    """One of three."""

    waiting: ProbeWaiting | None = None
    running: ProbeRunning | None = None
    terminated: ProbeTerminated | None = None


class ProbeContainerStatus(Struct):
    """A container as the kubelet reports it."""

    name: str = ""
    state: ProbeState | None = None


class ProbeStatus(Struct):
    """What the kubelet reports."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    container_statuses: list[ProbeContainerStatus] | None = None

    def __post_init__(self) -> None:
        """Keep the one container that a probe has; cut the words."""
        self.container_statuses = [one for one in self.container_statuses or () if one.name == PROBE_CONTAINER][:1]
        self.phase, self.reason = self.phase[:_MAX_NAME], self.reason[:_MAX_NAME]
        self.message = self.message[:MAX_INPUT]


class ProbePod(Struct):
    """A v1 Pod that is a probe."""

    metadata: ProbeMetadata = msgspec.field(default_factory=ProbeMetadata)
    spec: ProbeSpec = msgspec.field(default_factory=ProbeSpec)
    status: ProbeStatus = msgspec.field(default_factory=ProbeStatus)

    @property
    def image(self) -> str:
        """The image that is asked for."""
        return self.spec.containers[0].image if self.spec.containers else ""

    @property
    def state(self) -> ProbeState:
        """The state of its container, as far as it is known."""
        statuses = self.status.container_statuses
        return (statuses[0].state if statuses else None) or ProbeState()


class EventSeries(Struct):
    """How often an event was repeated."""

    last_observed_time: str | None = None


class EventSubject(Struct):
    """The object that an event is about."""

    name: str = ""

    def __post_init__(self) -> None:
        """Cut what no API server would take for a name."""
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
        """Cut the words, and keep of the times the latest."""
        self.reason, self.note = (self.reason or "")[:_MAX_NAME], (self.note or "")[:MAX_INPUT]
        seen = (self.series and self.series.last_observed_time) or self.deprecated_last_timestamp or self.event_time
        self.series, self.event_time, self.deprecated_last_timestamp = None, (seen or "")[:_MAX_NAME], None

    @property
    def text(self) -> str:
        """Its text."""
        return self.note or ""

    @property
    def last_seen_at(self) -> str:
        """When it was last seen, in RFC 3339, for sorting."""
        return self.event_time or ""


PROBE_PODS: Resource[ProbePod] = Resource("", "v1", "Pod", "pods", ProbePod)
PROBE_EVENTS: Resource[ProbeEvent] = Resource("events.k8s.io", "v1", "Event", "events", ProbeEvent)
