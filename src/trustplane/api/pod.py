"""Pods of workload clusters: the few fields that Trustplane reads, so that many pods can be held at a time.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

import msgspec

from trustplane.api.meta import Struct


class PodMetadata(Struct):
    """Which pod, in which version."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Container(Struct):
    """A container as the pod asks for it."""

    image: str = ""


class PodSpec(Struct):
    """What the pod asks for."""

    node_name: str = ""
    containers: list[Container] = msgspec.field(default_factory=list)
    init_containers: list[Container] = msgspec.field(default_factory=list)
    ephemeral_containers: list[Container] = msgspec.field(default_factory=list)

    @property
    def images(self) -> list[str]:
        """Images of all its containers."""
        return [one.image for one in (*self.init_containers, *self.containers, *self.ephemeral_containers)]


class Waiting(Struct):
    """Why a container does not run yet, in the kubelet's words."""

    reason: str = ""
    message: str = ""


class ContainerState(Struct):
    """The state of a container; only one that waits is of interest."""

    waiting: Waiting | None = None


class ContainerStatus(Struct):
    """A container as the kubelet reports it."""

    image: str = ""
    state: ContainerState = msgspec.field(default_factory=ContainerState)


class PodStatus(Struct):
    """What the kubelet reports."""

    container_statuses: list[ContainerStatus] = msgspec.field(default_factory=list)
    init_container_statuses: list[ContainerStatus] = msgspec.field(default_factory=list)
    ephemeral_container_statuses: list[ContainerStatus] = msgspec.field(default_factory=list)

    @property
    def containers(self) -> list[ContainerStatus]:
        """All containers, in the order in which they start."""
        return [*self.init_container_statuses, *self.container_statuses, *self.ephemeral_container_statuses]


class Pod(Struct):
    """A v1 Pod."""

    metadata: PodMetadata = msgspec.field(default_factory=PodMetadata)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)
