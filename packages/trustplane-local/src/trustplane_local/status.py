"""The state of a stack, from the kernel, the parts' probes, podman and the apiserver."""

import contextlib
import datetime as dt

import msgspec

from trustplane.api.meta import Json
from trustplane.errors import TrustplaneError
from trustplane.kube.tasks import together
from trustplane_local import readiness, registry
from trustplane_local.kubectl import Kubectl
from trustplane_local.podman import Podman
from trustplane_local.process import Processes, started_seconds_ago
from trustplane_local.provider.instance import ROLE_LABEL
from trustplane_local.readiness import Readiness
from trustplane_local.stack import Stack
from trustplane_local.supervisor import Part, parts


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the stack."""

    name: str
    pid: int | None = None  # None if it is not running
    ready: bool = False
    message: str = ""  # why it is not ready
    ports: dict[str, int] = {}
    since: dt.datetime | None = None


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A container of the stack: a machine, a load balancer or a registry."""

    name: str
    state: str  # as podman reports it; `missing` if a container should exist
    role: str = ""


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, as its Cluster API object reports it."""

    namespace: str
    name: str
    phase: str
    available: bool


class StackStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a whole stack."""

    id: str
    folder: str
    subnet: str
    kubernetes_version: str
    versions: str  # name of the set
    parts: list[PartStatus]
    containers: list[ContainerStatus]
    clusters: list[ClusterStatus] | None  # None if the apiserver does not answer

    @property
    def is_healthy(self) -> bool:
        """Whether every part is ready and every container is running, regardless of the clusters."""
        are_running = all(container.state == "running" for container in self.containers)
        return are_running and all(part.ready for part in self.parts)


async def observe_stack(stack: Stack) -> StackStatus:
    """Return the current state of a stack, without waiting for parts to become ready."""
    async with readiness.open_readiness(stack) as probes:
        observed = await together(*(_part(part, stack, probes) for part in parts(stack).values()))
    is_answering = any(part.ready for part in observed if part.name == "apiserver")
    return StackStatus(
        id=stack.id,
        folder=str(stack.folder),
        subnet=stack.subnet,
        kubernetes_version=stack.kubernetes_version,
        versions=stack.versions,
        parts=list(observed),
        containers=await _containers(stack),
        clusters=await _clusters(stack) if is_answering else None,
    )


async def _part(part: Part, stack: Stack, probes: Readiness) -> PartStatus:
    ports = {name: stack.ports[name] for name in part.ports}
    running = Processes(stack.folder / "processes", stack.id).find(part.name)
    if running is None:
        return PartStatus(name=part.name, ports=ports, message="not running")
    trouble = await probes.unready_reason(part.probe)
    since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=started_seconds_ago(running))
    return PartStatus(
        name=part.name,
        pid=running.pid,
        ready=not trouble,
        message=trouble,
        ports=ports,
        since=since.replace(microsecond=0),
    )


async def _containers(stack: Stack) -> list[ContainerStatus]:
    states = [
        ContainerStatus(name=container.name, state=container.state, role=(container.labels or {}).get(ROLE_LABEL, ""))
        for container in await Podman(stack).list()
    ]
    names = {state.name for state in states}
    missing = [expected.name for expected in registry.registries_of(stack) if expected.name not in names]
    states += [ContainerStatus(name=name, state="missing", role="registry") for name in missing]
    return sorted(states, key=lambda state: (state.role, state.name))


async def _clusters(stack: Stack) -> list[ClusterStatus] | None:
    with contextlib.suppress(TrustplaneError):
        items = await Kubectl(stack).items("clusters.cluster.x-k8s.io")
        return [_cluster(cluster) for cluster in items]
    return None


def _cluster(cluster: Json) -> ClusterStatus:
    status = cluster.get("status", {})
    conditions = status.get("conditions", [])
    available = [condition["status"] for condition in conditions if condition["type"] == "Available"]
    return ClusterStatus(
        namespace=cluster["metadata"]["namespace"],
        name=cluster["metadata"]["name"],
        phase=status.get("phase", ""),
        available=available == ["True"],
    )
