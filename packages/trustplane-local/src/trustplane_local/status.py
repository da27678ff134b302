"""What of a stack is there and works, seen from outside: the kernel, the parts' own word, podman, the apiserver."""

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
    pid: int | None = None  # None: it does not run
    ready: bool = False
    message: str = ""  # why it is not ready
    ports: dict[str, int] = {}
    since: dt.datetime | None = None


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A container of the stack: a machine, a load balancer or a registry."""

    name: str
    state: str  # podman's word; `missing` where one should be
    role: str = ""


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, as its Cluster API object says."""

    namespace: str
    name: str
    phase: str
    available: bool


class StackStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A whole stack."""

    id: str
    folder: str
    subnet: str
    kubernetes_version: str
    versions: str  # name of the set
    parts: list[PartStatus]
    containers: list[ContainerStatus]
    clusters: list[ClusterStatus] | None  # None: the apiserver does not answer

    @property
    def healthy(self) -> bool:
        """Whether every part is ready and every container runs. Clusters may be on their way."""
        return all(part.ready for part in self.parts) and all(one.state == "running" for one in self.containers)


async def observe_stack(stack: Stack) -> StackStatus:
    """Look at every part of a stack; never waits for one to become ready."""
    async with readiness.open_readiness(stack) as asked:
        observed = await together(*(_part(part, stack, asked) for part in parts(stack).values()))
    return StackStatus(
        id=stack.id,
        folder=str(stack.folder),
        subnet=stack.subnet,
        kubernetes_version=stack.kubernetes_version,
        versions=stack.versions,
        parts=list(observed),
        containers=await _containers(stack),
        clusters=await _clusters(stack) if next(one.ready for one in observed if one.name == "apiserver") else None,
    )


async def _part(part: Part, stack: Stack, asked: Readiness) -> PartStatus:
    ports = {name: stack.ports[name] for name in part.ports}
    running = Processes(stack.folder / "processes", stack.id).find(part.name)
    if running is None:
        return PartStatus(name=part.name, ports=ports, message="does not run")
    trouble = await asked.trouble(part.probe)
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
    found = await Podman(stack).list()
    shown = [
        ContainerStatus(name=one.name, state=one.state, role=(one.labels or {}).get(ROLE_LABEL, "")) for one in found
    ]
    names = {one.name for one in found}
    absent = [one.name for one in registry.registries_of(stack) if one.name not in names]
    shown += [ContainerStatus(name=name, state="missing", role="registry") for name in absent]
    return sorted(shown, key=lambda one: (one.role, one.name))


async def _clusters(stack: Stack) -> list[ClusterStatus] | None:
    with contextlib.suppress(TrustplaneError):
        items = await Kubectl(stack).items("clusters.cluster.x-k8s.io")
        return [_cluster(one) for one in items]
    return None


def _cluster(found: Json) -> ClusterStatus:
    status = found.get("status", {})
    available = [one["status"] for one in status.get("conditions", []) if one["type"] == "Available"]
    return ClusterStatus(
        namespace=found["metadata"]["namespace"],
        name=found["metadata"]["name"],
        phase=status.get("phase", ""),
        available=available == ["True"],
    )
