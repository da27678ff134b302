"""The effects on pods, from changes as a watch brings them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from trustplane.kube.client import Page, WatchEvent
from trustplane_local.bench import pods
from trustplane_local.bench.pods import PodEffects, Pods, has_ended, is_ready, pull_failure, pull_pod

Json = dict[str, Any]


def pod(*restarts: int, ready: bool = True, waiting: str = "", phase: str = "Running", **metadata: Any) -> Json:
    state = {"waiting": {"reason": waiting, "message": f"{waiting}: because"}} if waiting else {"running": {}}
    return {
        "metadata": {"name": "pod", "namespace": "default", **metadata},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"restartCount": count, "state": state} for count in restarts],
        },
    }


def test_restarts_count_from_when_a_pod_was_first_seen() -> None:
    felt = PodEffects()
    felt.count(None, pod(3, 1))
    felt.count(pod(3, 1), pod(4, 1))
    felt.count(pod(4, 1), pod(4, 3))
    assert (felt.restarts, felt.ended) == (3, 0)


def test_a_pod_that_is_gone_has_ended() -> None:
    felt = PodEffects()
    felt.count(pod(0), None)
    assert (felt.restarts, felt.ended) == (0, 1)


def test_a_pod_that_has_no_status_yet_is_neither_ready_nor_failed() -> None:
    empty: Json = {"metadata": {"name": "pod", "namespace": "default"}}
    assert not is_ready(empty)
    assert not pull_failure(empty)
    assert not has_ended(empty)


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    assert is_ready(pod(0))
    assert not is_ready(pod(0, deletionTimestamp="2026-01-01T00:00:00Z"))


def test_any_report_of_a_failed_pull_counts() -> None:
    assert pull_failure(pod(0, waiting="ErrImagePull")) == "ErrImagePull: because"
    assert pull_failure(pod(0, waiting="ImagePullBackOff"))
    assert not pull_failure(pod(0, waiting="ContainerCreating"))
    assert not pull_failure(pod(0))


def test_the_pod_that_pulls_asks_the_registry_whatever_the_node_has() -> None:
    spec = pull_pod("name", "node", "registry.test/app:1", "secret")["spec"]
    (container,) = spec["containers"]
    assert container["imagePullPolicy"] == "Always"
    assert spec["nodeName"] == "node"
    assert has_ended(pod(0, phase="Succeeded"))


class Cluster:
    """An API server in memory, whose kubelets report about each pod at once."""

    most_kept = None

    def __init__(self, kubelet: Callable[[Json], Json]) -> None:
        self.pods: dict[str, Json] = {}
        self.deleted = asyncio.Event()
        self._kubelet = kubelet
        self._changes: asyncio.Queue[tuple[str, Json]] = asyncio.Queue()

    def report(self, kind: str, name: str, status: Json, **labels: str) -> None:
        metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels}
        self._changes.put_nowait((kind, {"metadata": metadata, "status": status}))

    async def create(self, _resource: Any, body: Json) -> Json:
        name = body["metadata"]["name"]
        self.pods[name] = body
        self.report("ADDED", name, {}, **body["metadata"]["labels"])
        self.report("MODIFIED", name, self._kubelet(body)["status"], **body["metadata"]["labels"])
        return body

    async def delete(self, _resource: Any, name: str, _namespace: str) -> None:
        if self.pods.pop(name, None):
            self.deleted.set()

    async def list(self, *_: Any, **__: Any) -> list[Json]:
        return list(self.pods.values())

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Page]:
        yield Page([], "1")

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[WatchEvent]:
        while True:
            kind, found = await self._changes.get()
            yield WatchEvent(kind, msgspec.Raw(msgspec.json.encode(found)))


def followed(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Pods:
    monkeypatch.setattr(pods, "POD_SECONDS", 0.01)
    registry: Any = SimpleNamespace(image="registry.test/app:1")
    return Pods(cluster, "counter", registry, lambda: ["node"])


async def test_a_pod_whose_kubelet_could_not_pull_counts_once_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(lambda _: pod(0, waiting="ErrImagePull", phase="Pending"))
    made = followed(cluster, monkeypatch)
    async with asyncio.timeout(30), made.following():
        await cluster.deleted.wait()
    assert made.felt.failed_pulls >= 1
    assert made.felt.failed_pulls <= made.felt.pulls
    assert made.felt.last_failure == "ErrImagePull: because"
    assert not cluster.pods


async def test_a_pod_that_pulled_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(lambda _: pod(0, phase="Succeeded"))
    made = followed(cluster, monkeypatch)
    async with asyncio.timeout(30), made.following():
        for _ in range(2):
            await cluster.deleted.wait()
            cluster.deleted.clear()
    assert made.felt.pulls >= 2
    assert (made.felt.failed_pulls, made.felt.ended, made.felt.restarts) == (0, 0, 0)


async def test_one_pod_at_a_time_is_waited_for_on_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(lambda _: pod(0, phase="Pending"))
    made = followed(cluster, monkeypatch)
    async with asyncio.timeout(30), made.following():
        cluster.report("ADDED", "counter-1", pod(0)["status"], app="counter")
        cluster.report("MODIFIED", "counter-1", pod(2)["status"], app="counter")
        while made.felt.restarts < 2:  # noqa: ASYNC110 - the watch tells nobody else
            await asyncio.sleep(0)
        assert len(cluster.pods) <= 1
    assert not cluster.pods
