"""The prover against a cluster in memory: what it relies on of the API, and kubelets that say what they are told."""

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
        return [one for (plural, _), one in self.objects.items() if plural == "pods"]

    async def find(self, resource: Any, name: str, namespace: str = "") -> Json | None:
        return self.objects.get((resource.plural, Key(namespace, name)))

    async def list(self, resource: Any, _namespace: str = "", *, labels: str = "", fields: str = "") -> list[Any]:
        if resource.plural == "events":
            listed = [one for one in self.events if fields == f"regarding.name={one['regarding']['name']}"]
        else:
            listed = [one for one in self.pods() if self._matches(one, labels)]
        return [resource.decode(msgspec.json.encode(one)) for one in listed]

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
        items = [msgspec.Raw(msgspec.json.encode(one)) for one in listed if self._matches(one, labels)]
        yield Page(items, str(next(self._versions)))

    async def watch(self, resource: Any, _namespace: str, *, labels: str, **_: Any) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[tuple[str, Json]] = asyncio.Queue()
        if resource.plural == "events" and self.deafness:
            raise self.deafness
        self._watchers.append((resource.plural, queue))
        (self.watched if resource.plural == "pods" else self.hearing).set()
        while True:
            kind, found = await queue.get()
            if self._matches(found, labels):
                yield WatchEvent(kind, msgspec.Raw(msgspec.json.encode(found)))

    def report(self, pod: str, reason: str, note: str) -> None:
        """Report an event about a pod, to those who watch."""
        self._say("ADDED", {"metadata": {}, "regarding": {"name": pod}, "reason": reason, "note": note}, of="events")

    def _say(self, kind: str, found: Json, *, of: str = "pods") -> None:
        found["metadata"]["resourceVersion"] = str(next(self._versions))
        for plural, queue in self._watchers:
            if plural == of:
                queue.put_nowait((kind, json.loads(json.dumps(found))))

    @staticmethod
    def _matches(found: Json, labels: str) -> bool:
        name, _, value = labels.partition("=")
        return not labels or bool(found["metadata"].get("labels", {}).get(name) == value)


async def proofs(cluster: Any, *targets: ProbeTarget, **options: Any) -> dict[tuple[str, str], Proof]:
    found = [one async for one in prove_nodes(cluster, cluster.kubelets, targets or (ProbeTarget(HOST),), **options)]
    assert cluster.pods() == []
    return {(one.node, one.host): one for one in found}


async def test_every_node_says_whether_it_trusts_every_registry() -> None:
    cluster = Cluster(a=trusting, b=refusing)
    before = datetime.now(UTC)
    found = await proofs(cluster, ProbeTarget(HOST), ProbeTarget("other.test:5000"))
    assert set(found) == {(node, host) for node in "ab" for host in (HOST, "other.test:5000")}
    assert found["a", "other.test:5000"].verdict == Trusted()
    assert isinstance(found["b", HOST].verdict, NotTrusted)
    assert all(before <= one.began <= one.ended for one in found.values())


async def test_no_more_probes_at_a_time_than_allowed() -> None:
    cluster = Cluster(**dict.fromkeys("abcdefgh", trusting))
    assert len(await proofs(cluster, concurrency=3)) == 8
    assert cluster.most <= 3


async def test_a_kubelet_that_says_nothing_is_unclear_with_the_last_event() -> None:
    cluster = Cluster(a=silent)

    def kubelet(pod: Json) -> Iterator[Json]:
        note = "Failed to create pod sandbox"
        cluster.events.append({"regarding": {"name": pod["metadata"]["name"]}, "reason": "x", "note": note})
        yield waiting("ContainerCreating")

    cluster.kubelets["a"] = kubelet
    found = await proofs(cluster, timeout=0.2)
    assert found["a", HOST].verdict == Unclear(
        "the kubelet said nothing within 0.2 s; last event: Failed to create pod sandbox"
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
    """A cluster whose kubelet reports by events, and updates no status beyond `ContainerCreating`."""

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


async def test_a_failed_pull_is_known_by_its_event_before_the_status_says_so() -> None:
    cluster = Reporting(a=creating)
    assert (await proofs(cluster, timeout=30))["a", HOST].verdict == Trusted()


async def test_events_that_are_not_about_the_pull_prove_nothing() -> None:
    cluster = Reporting(a=creating)
    cluster.note = "Failed to create pod sandbox for {image}"
    found = (await proofs(cluster, timeout=0.2))["a", HOST].verdict
    assert isinstance(found, Unclear)


async def test_without_the_right_to_watch_events_the_status_suffices() -> None:
    cluster = Cluster(a=trusting)
    cluster.deafness = ForbiddenError("events is forbidden")
    assert (await proofs(cluster))["a", HOST].verdict == Trusted()


async def test_jobs_that_come_while_a_run_goes_on_are_part_of_it() -> None:
    cluster: Any = Cluster(a=silent, b=trusting)
    agenda: JobQueue[ProbeJob] = JobQueue([("a", ProbeTarget(HOST))])
    found = []
    await ensure_probe_namespace(cluster)
    async with asyncio.timeout(30), aclosing(run_probes(cluster, agenda, timeout=0.5)) as run:
        agenda.add(("b", ProbeTarget(HOST)))
        async for proof in run:
            found.append(proof.node)
            agenda.close()
    assert found == ["b", "a"]


async def test_an_empty_agenda_ends_a_run_when_it_is_closed() -> None:
    cluster: Any = Cluster()
    agenda: JobQueue[ProbeJob] = JobQueue()

    async def close() -> None:
        await cluster.watched.wait()
        agenda.close()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group, aclosing(run_probes(cluster, agenda)) as run:
        group.create_task(close())
        assert [proof async for proof in run] == []


async def test_a_probe_that_the_server_cannot_take_now_is_unclear() -> None:
    cluster = Cluster(a=trusting)
    cluster.failing = UnavailableError("The API server is down")
    assert (await proofs(cluster))["a", HOST].verdict == Unclear("The API server is down")


async def test_a_server_that_refuses_probes_ends_the_run() -> None:
    cluster = Cluster(a=trusting, b=trusting)
    cluster.failing = ForbiddenError("pods is forbidden")
    with pytest.raises(ForbiddenError):
        await proofs(cluster)


async def test_a_pod_that_somebody_deletes_is_unclear() -> None:
    cluster = Cluster(a=silent)

    async def meddle() -> None:
        await cluster.watched.wait()
        await cluster.created.wait()
        await cluster.delete(PODS, cluster.pods()[0]["metadata"]["name"], probe.PROBE_NAMESPACE)

    async with asyncio.TaskGroup() as group:
        group.create_task(meddle())
        found = await proofs(cluster, timeout=5)
    assert found["a", HOST].verdict == Unclear("somebody deleted the probe pod")


async def test_leaving_early_leaves_no_pod() -> None:
    cluster: Any = Cluster(a=trusting, b=silent, c=silent)
    async with aclosing(prove_nodes(cluster, cluster.kubelets, [ProbeTarget(HOST)])) as run:
        async for found in run:
            assert found.node == "a"
            break
    assert cluster.pods() == []


async def test_pods_of_runs_that_are_over_are_swept_and_others_stay() -> None:
    cluster: Any = Cluster(a=silent)
    now = datetime.now(UTC)
    for nonce, began in (("old", now - timedelta(hours=1)), ("new", now)):
        pod = probe.build_probe_pod("a", HOST, nonce, now=began)
        cluster.objects["pods", Key(probe.PROBE_NAMESPACE, pod["metadata"]["name"])] = pod
        pod["metadata"]["uid"] = nonce
    assert await sweep_probes(cluster, now) == 1
    assert [pod["metadata"]["name"] for pod in cluster.pods()] == ["probe-new"]


class Streaming(Cluster):
    """A cluster that reports one state after another while it lets the question for events hang."""

    async def list(self, resource: Any, namespace: str = "", **options: Any) -> list[Any]:
        if resource.plural == "events" and not self.events:
            [pod] = self.pods()
            for status in (*[waiting("ErrImagePull")] * 200, *trusting(pod)):
                pod["status"] = status
                self._say("MODIFIED", pod)
            while not all(queue.empty() for _, queue in self._watchers):  # noqa: ASYNC110
                await asyncio.sleep(0)
        return await super().list(resource, namespace, **options)


async def test_of_states_that_come_meanwhile_only_the_newest_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged, outcome = [], probe.probe_verdict

    def judge(*arguments: Any) -> Any:
        judged.append(arguments)
        return outcome(*arguments)

    monkeypatch.setattr(probe, "outcome", judge)
    cluster = Streaming(a=lambda _: iter([waiting("ErrImagePull")]))
    assert (await proofs(cluster))["a", HOST].verdict == Trusted()
    assert len(judged) < 10
