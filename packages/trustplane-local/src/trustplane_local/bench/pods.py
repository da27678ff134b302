"""The pods of a workload cluster, followed by one watch: restarts, interruptions, and pulls by kubelets."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Final

from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import PODS
from trustplane.kube.tasks import beside
from trustplane.proof import probe
from trustplane_local.registry import PrivateRegistry

POD_SECONDS: Final = 10.0  # between two pods on the same worker
_GIVE_UP_SECONDS: Final = 30.0
_LABEL: Final = "trustplane.dev/bench"
_SELECTOR: Final = f"{_LABEL}=pull"
_NAMESPACE: Final = "default"
_PULL_FAILED: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})


@dataclass
class PodEffects:
    """The effects on pods.

    Attributes:
        restarts: Restarts of containers, in all namespaces.
        ended: Pods that are gone, in all namespaces.
        down_seconds: Time without a ready pod of the watched app.
        pulls: Pods made to pull an image.
        failed_pulls: Of those, pods whose kubelet ever reported that the pull failed.
        last_failure: The kubelet's message for the last of them.
    """

    restarts: int = 0
    ended: int = 0
    down_seconds: float = 0.0
    pulls: int = 0
    failed_pulls: int = 0
    last_failure: str = ""

    def count(self, old: Json | None, new: Json | None) -> None:
        """Count what a change of a pod says: its restarts since the pod was first seen, or its end."""
        if old is None:
            return
        if new is None:
            self.ended += 1
        else:
            self.restarts += max(0, restarts(new) - restarts(old))


def restarts(pod: Json) -> int:
    """Return how often the containers of a pod were restarted."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return sum(status.get("restartCount", 0) for status in statuses)


def is_ready(pod: Json) -> bool:
    """Return whether a pod is ready and stays."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def pull_failure(pod: Json) -> str:
    """Return why the kubelet could not pull the image of a pod; empty if it did not report that."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _PULL_FAILED:
            return str(waiting.get("message") or waiting["reason"])
    return ""


def has_ended(pod: Json) -> bool:
    """Return whether nothing more will happen to a pod."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def pull_pod(name: str, node: str, image: str, pull_secret: str) -> Json:
    """Return a pod that makes the kubelet of a node ask the registry for an image, then ends.

    It uses the node's network, which spares the two cores the set-up of another.
    """
    container = {
        "name": "pull",
        "image": image,
        "imagePullPolicy": "Always",
        "command": ["/bin/busybox", "true"],
        "resources": {"requests": {"cpu": "0", "memory": "0"}},
    }
    return {
        "metadata": {"name": name, "namespace": _NAMESPACE, "labels": {_LABEL: "pull"}},
        "spec": {
            "nodeName": node,
            "hostNetwork": True,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "imagePullSecrets": [{"name": pull_secret}],
            "containers": [container],
        },
    }


class Pods:
    """Follows all pods of a cluster, and makes some that pull.

    Args:
        workload: The cluster.
        app: Value of the label `app` of the watched Deployment.
        registry: Whose image is pulled. Its pull secret in namespace `default` is named like the app.
        nodes: Returns the names of the Nodes to pull on.
    """

    def __init__(
        self, workload: Client, app: str, registry: PrivateRegistry, nodes: Callable[[], Collection[str]]
    ) -> None:
        self.felt = PodEffects()
        self._workload = workload
        self._app = app
        self._image = registry.image
        self._nodes = nodes
        self._informer: Informer[Json] = Informer(workload, PODS)
        self._informer.subscribe(self._notice)
        self._waiting: dict[str, asyncio.Event] = {}  # pods that pull, by name
        self._ready: set[str] = set()  # pods of the app
        self._down_since: float | None = None

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow and pull within the block; the pods that pulled are gone after it."""
        try:
            async with beside(self._informer.run()):
                await self._informer.synced.wait()
                async with beside(self._pull()):
                    yield
                self._count_downtime()
        finally:
            await self._clean_up()

    def _notice(self, change: Change[Json]) -> None:
        pod = change.new or change.old or {}
        metadata = pod["metadata"]
        if waiting := self._waiting.get(metadata["name"]):
            waiting.set()
        labels = metadata.get("labels") or {}
        if _LABEL in labels or metadata["namespace"] == probe.PROBE_NAMESPACE:
            return
        self.felt.count(change.old, change.new)
        if labels.get("app") == self._app:
            self._judge(metadata["name"], change.new)

    def _judge(self, name: str, pod: Json | None) -> None:
        """Take the time without a ready pod of the app."""
        if pod is not None and is_ready(pod):
            self._ready.add(name)
        else:
            self._ready.discard(name)
        self._count_downtime()

    def _count_downtime(self) -> None:
        now = time.monotonic()
        if self._down_since is not None:
            self.felt.down_seconds += now - self._down_since
        self._down_since = None if self._ready else now

    async def _pull(self) -> None:
        """Make a pod on each node in turn, and no second one on a node while the first waits."""
        busy: set[str] = set()

        async def pull(node: str) -> None:
            try:
                await self._pull_on(node)
            finally:
                busy.discard(node)

        async with asyncio.TaskGroup() as group:
            while True:
                nodes = sorted(self._nodes())
                for node in nodes:
                    if node not in busy:
                        busy.add(node)
                        group.create_task(pull(node))
                    await asyncio.sleep(POD_SECONDS / len(nodes))
                if not nodes:
                    await asyncio.sleep(POD_SECONDS)

    async def _pull_on(self, node: str) -> None:
        name = f"pull-{secrets.token_hex(5)}"
        self._waiting[name] = asyncio.Event()
        try:
            pod = await self._workload.create(PODS, pull_pod(name, node, self._image, self._app))
            self.felt.pulls += 1
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                await self._follow(name, pod)
        except (TrustplaneError, TimeoutError):
            return  # the control plane or the node is away: that says nothing about pulls
        finally:
            del self._waiting[name]
            with contextlib.suppress(TrustplaneError):
                await self._workload.delete(PODS, name, _NAMESPACE)

    async def _follow(self, name: str, pod: Json | None) -> None:
        while pod is not None and not has_ended(pod):
            if failure := pull_failure(pod):
                self.felt.failed_pulls += 1
                self.felt.last_failure = failure[-200:]
                return
            await self._waiting[name].wait()
            self._waiting[name].clear()
            pod = self._informer.get(Key(_NAMESPACE, name))

    async def _clean_up(self) -> None:
        with contextlib.suppress(TrustplaneError):
            for pod in await self._workload.list(PODS, _NAMESPACE, labels=_SELECTOR):
                await self._workload.delete(PODS, pod["metadata"]["name"], _NAMESPACE)
