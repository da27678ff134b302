"""The prover with a cluster in memory: the required parts of the API, and scripted kubelets."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trustplane.api.keys import Key
from trustplane.kube.client import Page, WatchEvent
from trustplane.kube.errors import AlreadyExistsError, ForbiddenError, UnavailableError
from trustplane.kube.kinds import PODS
from trustplane.proof import probe
from trustplane.proof.agenda import JobQueue
from trustplane.proof.prover import (
    ProbeJob,
    ProbeTarget,
    Proof,
    ensure_probe_namespace,
    prove_nodes,
    run_probes,
    sweep_probes,
)
from trustplane.proof.verdict import NotTrusted, Trusted, Unclear

HOST = "registry.corp.test"
Json = dict[str, Any]
Kubelet = Callable[[Json], Iterator[Json]]


def waiting(reason: str, message: str = "") -> Json:
    return {"containerStatuses": [{"name": "probe", "state": {"waiting": {"reason": reason, "message": message}}}]}


def trusting(pod: Json) -> Iterator[Json]:
    image = pod["spec"]["containers"][0]["image"]
    yield waiting("ContainerCreating")
    yield waiting(
        "ErrImagePull", f'failed to pull and unpack image "{image}": failed to resolve image: {image}: not found'
    )


def refusing(pod: Json) -> Iterator[Json]:
    host = pod["spec"]["containers"][0]["image"].partition("/")[0]
    error = f'Head "https://{host}/v2/x/manifests/1": x509: certificate signed by unknown authority'
    yield waiting("ErrImagePull", error)


def silent(_pod: Json) -> Iterator[Json]:
    yield from ()


class Cluster:
    """An API server in memory. Each node's kubelet reports one state after another."""

    most_kept: int | None = None

    def __init__(self, **kubelets: Kubelet) -> None:
        self.kubelets = kubelets
        self.objects: dict[tuple[str, Key], Json] = {}
        self.most = 0
        self.events: list[Json] = []
        self.failing: Exception | None = None
        self.watched, self.created = asyncio.Event(), asyncio.Event()
        self.deafness: Exception | None = None
        self.hearing = asyncio.Event()
        self._versions = itertools.count(1)
        self._watchers: list[tuple[str, asyncio.Queue[tuple[str, Json]]]] = []

    def pods(self) -> list[Json]:
        return [body for (plural, _), body in self.objects.items() if plural == "pods"]

    async def find(self, resource: Any, name: str, namespace: str = "") -> Json | None:
        return self.objects.get((resource.plural, Key(namespace, name)))

    async def list(self, resource: Any, _namespace: str = "", *, labels: str = "", fields: str = "") -> list[Any]:
        if resource.plural == "events":
            listed = [event for event in self.events if fields == f"regarding.name={event['regarding']['name']}"]
        else:
            listed = [pod for pod in self.pods() if self._matches(pod, labels)]
        return [resource.decode(msgspec.json.encode(body)) for body in listed]

    async def create(self, resource: Any, body: Json) -> Json:
        if resource.plural == "pods" and self.failing:
            raise self.failing
        key = (resource.plural, Key(body["metadata"].get("namespace", ""), body["metadata"]["name"]))
        if key in self.objects:
            raise AlreadyExistsError("It exists")
        self.objects[key] = json.loads(json.dumps(body))
        self.objects[key]["metadata"]["uid"] = f"uid-{next(self._versions)}"
        if resource.plural == "pods":
            self.created.set()
            self.most = max(self.most, len(self.pods()))
            self._say("ADDED", self.objects[key])
            for status in self.kubelets[body["spec"]["nodeName"]](body):
                self.objects[key]["status"] = status
                self._say("MODIFIED", self.objects[key])
        return self.objects[key]

    async def delete(self, resource: Any, name: str, namespace: str = "", *, uid: str = "") -> None:
        gone = self.objects.pop((resource.plural, Key(namespace, name)), None)
        if gone:
            assert uid in ("", gone["metadata"]["uid"])
            self._say("DELETED", gone)

    async def pages(self, resource: Any, _namespace: str = "", *, labels: str, limit: int) -> AsyncIterator[Page]:
        assert limit
        listed = self.pods() if resource.plural == "pods" else []
        items = [msgspec.Raw(msgspec.json.encode(body)) for body in listed if self._matches(body, labels)]
        yield Page(items, str(next(self._versions)))

    async def watch(self, resource: Any, _namespace: str, *, labels: str, **_: Any) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[tuple[str, Json]] = asyncio.Queue()
        if resource.plural == "events" and self.deafness:
            raise self.deafness
        self._watchers.append((resource.plural, queue))
        (self.watched if resource.plural == "pods" else self.hearing).set()
        while True:
            kind, body = await queue.get()
            if self._matches(body, labels):
                yield WatchEvent(kind, msgspec.Raw(msgspec.json.encode(body)))

    def report(self, pod: str, reason: str, note: str) -> None:
        """Send an event about a pod to all watches."""
        self._say("ADDED", {"metadata": {}, "regarding": {"name": pod}, "reason": reason, "note": note}, of="events")

    def _say(self, kind: str, body: Json, *, of: str = "pods") -> None:
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        for plural, queue in self._watchers:
            if plural == of:
                queue.put_nowait((kind, json.loads(json.dumps(body))))

    @staticmethod
    def _matches(body: Json, labels: str) -> bool:
        name, _, value = labels.partition("=")
        return not labels or bool(body["metadata"].get("labels", {}).get(name) == value)


async def proofs(cluster: Any, *targets: ProbeTarget, **options: Any) -> dict[tuple[str, str], Proof]:
    results = [
        proof async for proof in prove_nodes(cluster, cluster.kubelets, targets or (ProbeTarget(HOST),), **options)
    ]
    assert cluster.pods() == []
    return {(proof.node, proof.host): proof for proof in results}


async def test_every_node_reports_its_trust_in_every_registry() -> None:
    cluster = Cluster(a=trusting, b=refusing)
    before = datetime.now(UTC)
    by_target = await proofs(cluster, ProbeTarget(HOST), ProbeTarget("other.test:5000"))
    assert set(by_target) == {(node, host) for node in "ab" for host in (HOST, "other.test:5000")}
    assert by_target["a", "other.test:5000"].verdict == Trusted()
    assert isinstance(by_target["b", HOST].verdict, NotTrusted)
    assert all(before <= proof.began <= proof.ended for proof in by_target.values())


async def test_concurrent_probes_are_limited() -> None:
    cluster = Cluster(**dict.fromkeys("abcdefgh", trusting))
    assert len(await proofs(cluster, concurrency=3)) == 8
    assert cluster.most <= 3


async def test_a_silent_kubelet_is_unclear_with_the_last_event() -> None:
    cluster = Cluster(a=silent)

    def kubelet(pod: Json) -> Iterator[Json]:
        note = "Failed to create pod sandbox"
        cluster.events.append({"regarding": {"name": pod["metadata"]["name"]}, "reason": "x", "note": note})
        yield waiting("ContainerCreating")

    cluster.kubelets["a"] = kubelet
    by_target = await proofs(cluster, timeout=0.2)
    assert by_target["a", HOST].verdict == Unclear(
        "no report from the kubelet within 0.2 s; last event: Failed to create pod sandbox"
    )


async def test_an_older_kubelets_reason_is_in_its_events() -> None:
    cluster = Cluster(a=silent)

    def kubelet(pod: Json) -> Iterator[Json]:
        image = pod["spec"]["containers"][0]["image"]
        note = f'Failed to pull image "{image}": rpc error: code = NotFound desc = {image}: not found'
        cluster.events.append({"regarding": {"name": pod["metadata"]["name"]}, "reason": "Failed", "note": note})
        yield waiting("ImagePullBackOff", f'Back-off pulling image "{image}"')

    cluster.kubelets["a"] = kubelet
    assert (await proofs(cluster))["a", HOST].verdict == Trusted()


class Reporting(Cluster):
    """A cluster whose kubelet reports by events, and whose statuses stay at `ContainerCreating`."""

    note = 'Failed to pull image "{image}": failed to resolve image: {image}: not found'

    async def create(self, resource: Any, body: Json) -> Json:
        created = await super().create(resource, body)
        if resource.plural == "pods":
            await self.hearing.wait()
            image, name = body["spec"]["containers"][0]["image"], body["metadata"]["name"]
            self.report("another", "Failed", self.note.format(image=image))
            self.report(name, "Pulling", f'Pulling image "{image}"')
            self.report(name, "Failed", "Error: ErrImagePull")
            self.report(name, "Failed", self.note.format(image=image))
        return created


def creating(_pod: Json) -> Iterator[Json]:
    yield waiting("ContainerCreating")


async def test_a_failed_pull_is_known_by_its_event_before_the_status_changes() -> None:
    cluster = Reporting(a=creating)
    assert (await proofs(cluster, timeout=30))["a", HOST].verdict == Trusted()


async def test_other_events_prove_nothing() -> None:
    cluster = Reporting(a=creating)
    cluster.note = "Failed to create pod sandbox for {image}"
    verdict = (await proofs(cluster, timeout=0.2))["a", HOST].verdict
    assert isinstance(verdict, Unclear)


async def test_without_the_right_to_watch_events_the_status_suffices() -> None:
    cluster = Cluster(a=trusting)
    cluster.deafness = ForbiddenError("events is forbidden")
    assert (await proofs(cluster))["a", HOST].verdict == Trusted()


async def test_jobs_added_during_a_run_are_part_of_it() -> None:
    cluster: Any = Cluster(a=silent, b=trusting)
    agenda: JobQueue[ProbeJob] = JobQueue([("a", ProbeTarget(HOST))])
    nodes = []
    await ensure_probe_namespace(cluster)
    async with asyncio.timeout(30), aclosing(run_probes(cluster, agenda, timeout=0.5)) as run:
        agenda.add(("b", ProbeTarget(HOST)))
        async for proof in run:
            nodes.append(proof.node)
            agenda.close()
    assert nodes == ["b", "a"]


async def test_closing_an_empty_agenda_ends_the_run() -> None:
    cluster: Any = Cluster()
    agenda: JobQueue[ProbeJob] = JobQueue()

    async def close() -> None:
        await cluster.watched.wait()
        agenda.close()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group, aclosing(run_probes(cluster, agenda)) as run:
        group.create_task(close())
        assert [proof async for proof in run] == []


async def test_a_temporarily_refused_probe_is_unclear() -> None:
    cluster = Cluster(a=trusting)
    cluster.failing = UnavailableError("The API server is down")
    assert (await proofs(cluster))["a", HOST].verdict == Unclear("The API server is down")


async def test_a_server_that_refuses_probes_ends_the_run() -> None:
    cluster = Cluster(a=trusting, b=trusting)
    cluster.failing = ForbiddenError("pods is forbidden")
    with pytest.raises(ForbiddenError):
        await proofs(cluster)


async def test_a_pod_deleted_by_another_client_is_unclear() -> None:
    cluster = Cluster(a=silent)

    async def meddle() -> None:
        await cluster.watched.wait()
        await cluster.created.wait()
        await cluster.delete(PODS, cluster.pods()[0]["metadata"]["name"], probe.PROBE_NAMESPACE)

    async with asyncio.TaskGroup() as group:
        group.create_task(meddle())
        by_target = await proofs(cluster, timeout=5)
    assert by_target["a", HOST].verdict == Unclear("the probe pod was deleted by another client")


async def test_leaving_early_leaves_no_pod() -> None:
    cluster: Any = Cluster(a=trusting, b=silent, c=silent)
    async with aclosing(prove_nodes(cluster, cluster.kubelets, [ProbeTarget(HOST)])) as run:
        async for proof in run:
            assert proof.node == "a"
            break
    assert cluster.pods() == []


async def test_pods_of_past_runs_are_swept_and_others_stay() -> None:
    cluster: Any = Cluster(a=silent)
    now = datetime.now(UTC)
    for nonce, began in (("old", now - timedelta(hours=1)), ("new", now)):
        pod = probe.build_probe_pod("a", HOST, nonce, now=began)
        cluster.objects["pods", Key(probe.PROBE_NAMESPACE, pod["metadata"]["name"])] = pod
        pod["metadata"]["uid"] = nonce
    assert await sweep_probes(cluster, now) == 1
    assert [pod["metadata"]["name"] for pod in cluster.pods()] == ["probe-new"]


class Streaming(Cluster):
    """A cluster that reports several states while a request for events hangs."""

    async def list(self, resource: Any, namespace: str = "", **options: Any) -> list[Any]:
        if resource.plural == "events" and not self.events:
            [pod] = self.pods()
            for status in (*[waiting("ErrImagePull")] * 200, *trusting(pod)):
                pod["status"] = status
                self._say("MODIFIED", pod)
            while not all(queue.empty() for _, queue in self._watchers):  # noqa: ASYNC110
                await asyncio.sleep(0)
        return await super().list(resource, namespace, **options)


async def test_only_the_newest_of_several_pending_states_is_processed(monkeypatch: pytest.MonkeyPatch) -> None:
    judged, outcome = [], probe.probe_verdict

    def judge(*arguments: Any) -> Any:
        judged.append(arguments)
        return outcome(*arguments)

    monkeypatch.setattr(probe, "probe_verdict", judge)
    cluster = Streaming(a=lambda _: iter([waiting("ErrImagePull")]))
    assert (await proofs(cluster))["a", HOST].verdict == Trusted()
    assert len(judged) < 10
