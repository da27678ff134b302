"""Pods of workload clusters, reduced to a few fields to keep many pods in memory.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

import msgspec

from trustplane.api.meta import Struct


class PodMetadata(Struct):
    """Identity and version of a pod."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Container(Struct):
    """A container of a pod's specification."""

    image: str = ""


class PodSpec(Struct):
    """The requested state of a pod."""

    node_name: str = ""
    containers: list[Container] = msgspec.field(default_factory=list)
    init_containers: list[Container] = msgspec.field(default_factory=list)
    ephemeral_containers: list[Container] = msgspec.field(default_factory=list)

    @property
    def images(self) -> list[str]:
        """Images of all containers."""
        containers = (*self.init_containers, *self.containers, *self.ephemeral_containers)
        return [container.image for container in containers]


class Waiting(Struct):
    """Why a container does not run yet, as reported by the kubelet."""

    reason: str = ""
    message: str = ""


class ContainerState(Struct):
    """The state of a container, reduced to its waiting state."""

    waiting: Waiting | None = None


class ContainerStatus(Struct):
    """A container's state reported by the kubelet."""

    image: str = ""
    state: ContainerState = msgspec.field(default_factory=ContainerState)


class PodStatus(Struct):
    """The reported state of a pod."""

    container_statuses: list[ContainerStatus] = msgspec.field(default_factory=list)
    init_container_statuses: list[ContainerStatus] = msgspec.field(default_factory=list)
    ephemeral_container_statuses: list[ContainerStatus] = msgspec.field(default_factory=list)

    @property
    def containers(self) -> list[ContainerStatus]:
        """All containers, in start order."""
        return [*self.init_container_statuses, *self.container_statuses, *self.ephemeral_container_statuses]


class Pod(Struct):
    """A v1 Pod."""

    metadata: PodMetadata = msgspec.field(default_factory=PodMetadata)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)
