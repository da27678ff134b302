"""What users feel meanwhile: a pod that counts, and a loop of pulls through a node's containerd."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from trustplane.api.meta import Json
from trustplane.errors import NodeError, TransientError
from trustplane.kube.client import Client
from trustplane.kube.kinds import PODS
from trustplane.kube.tasks import beside
from trustplane.nodes import ssh

PULLS_PER_SECOND = 5
_LOOK_SECONDS = 0.5
_PULL_SECONDS = 10.0
# The answer of a registry that asks for credentials: TLS was accepted, and containerd serves.
_ANSWERED = "authorization failed"
COUNT = "i=0; while :; do i=$((i+1)); echo $i; /bin/busybox sleep 0.2; done"


@dataclass
class Load:
    """What was seen.

    Attributes:
        pulls: Tried.
        failed_pulls: Of those, without an answer of the registry.
        last_failure: What containerd, or SSH, said at the last one.
        pods: Pods that were seen: more than one means that it was started anew elsewhere.
        restarts: Of the containers.
        down_seconds: Without a ready pod.
    """

    pulls: int = 0
    failed_pulls: int = 0
    last_failure: str = ""
    pods: int = 0
    restarts: int = 0
    down_seconds: float = 0.0

    @property
    def interruptions(self) -> int:
        """How often the running pod was ended: by a restart, or by a new pod in its place."""
        return self.restarts + max(0, self.pods - 1)


@contextlib.asynccontextmanager
async def watched(
    workload: Client, address: Callable[[], Awaitable[str]], key: str, *, host: str, app: str
) -> AsyncIterator[Load]:
    """Pull and look for the length of the block.

    Args:
        workload: The cluster with the pod.
        address: Tells the address of a worker; asked again when that one is gone.
        key: Private SSH key of the nodes.
        host: Registry that is trusted all the time.
        app: Value of the label `app` of the pod.
    """
    load = Load()
    async with beside(_pull(load, address, key, host), _look(load, workload, app)):
        yield load


async def _pull(load: Load, address: Callable[[], Awaitable[str]], key: str, host: str) -> None:
    while True:
        try:
            async with ssh.connect(await address(), key) as node:
                await _pull_from(load, node, host)
        except (TransientError, NodeError) as error:
            _failed(load, str(error))
            await asyncio.sleep(1 / PULLS_PER_SECOND)


async def _pull_from(load: Load, node: ssh.Node, host: str) -> None:
    """Pull on one node until it is gone. `ctr` leaves the request to the containerd that runs."""
    while True:
        began = time.monotonic()
        image = f"{host}/bench/probe:{time.time_ns()}"
        done = await node.run(f"sudo -n ctr -n k8s.io images pull {image}", timeout=_PULL_SECONDS)
        load.pulls += 1
        if _ANSWERED not in done.stderr:
            load.failed_pulls += 1
            load.last_failure = done.stderr.strip()[-200:]
        await asyncio.sleep(max(0.0, 1 / PULLS_PER_SECOND - (time.monotonic() - began)))


def _failed(load: Load, why: str) -> None:
    load.pulls += 1
    load.failed_pulls += 1
    load.last_failure = why


async def _look(load: Load, workload: Client, app: str) -> None:
    seen: dict[str, int] = {}
    before = time.monotonic()
    while True:
        now = time.monotonic()
        with contextlib.suppress(TransientError):  # the API server may be away: that says nothing about the pod
            pods = await workload.list(PODS, "default", labels=f"app={app}")
            seen |= {pod["metadata"]["uid"]: _restarts(pod) for pod in pods}
            load.pods, load.restarts = len(seen), sum(seen.values())
            if not any(_is_ready(pod) for pod in pods):
                load.down_seconds += now - before
        before = now
        await asyncio.sleep(_LOOK_SECONDS)


def _restarts(pod: Json) -> int:
    return sum(one.get("restartCount", 0) for one in (pod.get("status") or {}).get("containerStatuses", []))


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
