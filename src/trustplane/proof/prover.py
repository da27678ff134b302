"""Proofs, by probe pods: make them, wait for the kubelets' words, and always clean up."""

import asyncio
import contextlib
import math
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

import structlog

from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.errors import TransientError, TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import NAMESPACES, SERVICE_ACCOUNTS
from trustplane.kube.splitting import read_identity
from trustplane.kube.tasks import beside
from trustplane.proof import probe
from trustplane.proof.agenda import JobQueue
from trustplane.proof.reports import PROBE_EVENTS, PROBE_PODS, ProbeEvent, ProbePod
from trustplane.proof.turns import ProbeSlots
from trustplane.proof.verdict import ProofVerdict, Unclear, Unreachable

MAX_CONCURRENT_PROBES: Final = 32  # probes at a time in one cluster
PROBE_SECONDS: Final = 60.0  # seconds for one probe; a kubelet that works answers in 1 to 3
_EVENTS: Final = 50  # of one probe, the newest; a kubelet writes some ten

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ProbeTarget:
    """A registry to be proven.

    Attributes:
        host: `host` or `host:port`.
        image: An image of it to pull for real; without it, one that does not exist is asked for.
        pull_secret: Name of a pull secret in the probe's namespace.
    """

    host: str
    image: str | None = None
    pull_secret: str | None = None


ProbeJob: TypeAlias = tuple[str, ProbeTarget]  # the name of a Node, and what it is to prove


@dataclass(frozen=True)
class Proof:
    """What one node's kubelet said of one registry.

    Attributes:
        began: When the probe was asked for. Only a change of the node before that is proven.
        ended: When the verdict was there, or was given up.
    """

    node: str
    host: str
    verdict: ProofVerdict
    began: datetime
    ended: datetime


async def prove_nodes(
    client: Client,
    nodes: Iterable[str],
    registries: Iterable[ProbeTarget],
    *,
    concurrency: int = MAX_CONCURRENT_PROBES,
    timeout: float = PROBE_SECONDS,
) -> AsyncGenerator[Proof, None]:
    """Make the kubelet of every node pull from every registry, and yield what it says, as it comes.

    No pod of this run is left when the iteration ends, however it ends; those that a run left that was killed go when
    the next one begins. Close the iterator (`contextlib.aclosing`) when leaving it early.

    Args:
        client: Of the workload cluster.
        nodes: Names of Nodes.
        registries: What to prove.
        concurrency: Probes at a time.
        timeout: Seconds for one probe; without a verdict by then, it is Unclear.

    Raises:
        ApiError: The API server refuses probe pods altogether.
    """
    await ensure_probe_namespace(client)
    await sweep_probes(client, datetime.now(UTC))
    hosts = list(registries)
    jobs = JobQueue.closed_with((node, target) for node in nodes for target in hosts)
    async with aclosing(run_probes(client, jobs, concurrency=concurrency, timeout=timeout)) as run:
        async for proof in run:
            yield proof


async def run_probes(
    client: Client,
    jobs: JobQueue[ProbeJob],
    *,
    silent: Collection[str] = (),
    concurrency: int = MAX_CONCURRENT_PROBES,
    timeout: float = PROBE_SECONDS,
    window: float = math.inf,
) -> AsyncGenerator[Proof, None]:
    """Make kubelets pull as `prove` does, of each node from the registries that are named with it.

    The namespace is there (`prepare`), and nobody is swept.

    Args:
        client: Of the workload cluster.
        jobs: Names of Nodes, and what each is to prove; of each registry, in this order. Those that are added while the
            run goes on are taken up at once; it ends when the agenda is closed and nothing is left of it.
        silent: Hosts of registries that have answered nobody lately.
        concurrency: Probes at a time.
        timeout: Seconds for one probe.
        window: Seconds after which no further probe begins; those that did not are left out.

    Raises:
        ApiError: The API server refuses probe pods altogether.
    """
    run, clock = _Run(client, timeout), asyncio.get_running_loop().time
    turns: ProbeSlots[ProbeJob] = ProbeSlots((), places=concurrency, silent=silent)
    end = clock() + window
    running: set[asyncio.Task[Proof]] = set()
    done: set[asyncio.Task[Proof]] = set()
    news: asyncio.Task[None] = asyncio.create_task(jobs.wait())
    async with run.following():
        try:
            while True:
                for job in jobs.take():
                    turns.add(job[1].host, job)
                while clock() < end and (next_job := turns.begin()):
                    running.add(asyncio.create_task(run.probe(*next_job)))
                if not running and (jobs.is_closed or clock() >= end):
                    return
                if news.done() and not jobs.is_closed:
                    news = asyncio.create_task(jobs.wait())
                await asyncio.wait([*running, *_pending(news)], return_when=asyncio.FIRST_COMPLETED)
                done = {task for task in running if task.done()}
                running -= done
                for proof in [task.result() for task in done]:
                    turns.end(proof.host, answered=not isinstance(proof.verdict, Unclear | Unreachable))
                    yield proof
        finally:
            for task in (*running, news):
                task.cancel()
            await asyncio.gather(*running, *done, news, return_exceptions=True)


def _pending(task: asyncio.Task[None]) -> list[asyncio.Task[None]]:
    return [] if task.done() else [task]


async def ensure_probe_namespace(client: Client) -> None:
    """Make the namespace and the account of probe pods, where they are absent."""
    for resource, body in ((NAMESPACES, probe.probe_namespace()), (SERVICE_ACCOUNTS, probe.probe_service_account())):
        metadata = body["metadata"]
        if await client.find(resource, metadata["name"], metadata.get("namespace", "")) is None:
            with contextlib.suppress(AlreadyExistsError):
                await client.create(resource, body)


async def sweep_probes(client: Client, now: datetime) -> int:
    """Delete the probe pods of runs that are over, and return how many there were."""
    pods = await client.list(PROBE_PODS, probe.PROBE_NAMESPACE, labels=probe.PROBE_SELECTOR)
    left = [pod.metadata for pod in pods if probe.has_expired(pod.metadata.annotations.expires_at, now)]
    for metadata in left:
        await client.delete(PROBE_PODS, metadata.name, probe.PROBE_NAMESPACE, uid=metadata.uid)
    return len(left)


class _Latest:
    """The newest state of a pod that nobody has judged yet, and the last events about its pull.

    States before the newest are not kept, however many there were.
    """

    def __init__(self) -> None:
        self.events: deque[ProbeEvent] = deque(maxlen=_EVENTS)
        self._state: ProbePod | None = None
        self._is_new = False
        self._is_deleted = False
        self._changed = asyncio.Event()

    def put(self, state: ProbePod | None) -> None:
        """Replace the state; None: the pod is gone, and what was said last still counts."""
        if state is None:
            self._is_deleted = True
        else:
            self._state, self._is_new = state, True
        self._changed.set()

    def add(self, event: ProbeEvent) -> None:
        """Add an event, by which the state must be judged again."""
        self.events.append(event)
        if self._state is not None:
            self.put(self._state)

    async def get(self) -> ProbePod | None:
        """Wait for a state that is new, or None: the pod is gone."""
        await self._changed.wait()
        is_new, self._is_new = self._is_new, False
        if not self._is_deleted:
            self._changed.clear()
        return self._state if is_new else None


class _Run:
    """One run: an informer of its pods, a watch of their events, and who waits for which of them."""

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._label = secrets.token_hex(4)
        self._waiting: dict[str, _Latest] = {}
        selector = f"{probe.RUN_LABEL}={self._label}"
        self._informer: Informer[ProbePod] = Informer(
            client, PROBE_PODS, namespace=probe.PROBE_NAMESPACE, labels=selector
        )
        self._informer.subscribe(self._notice)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Keep informer and watch running within the block."""
        async with beside(self._informer.run(), self._follow_events()):
            yield

    async def _follow_events(self) -> None:
        """Receive the kubelets' events.

        A failed pull is an event at once, and in the pod's status only after the kubelet's next look at its containers,
        up to a second later. Without events the statuses suffice, so that a failure here ends nothing.
        """
        try:
            version = await self._version_of_events()
            while True:
                events = self._client.watch(PROBE_EVENTS, probe.PROBE_NAMESPACE, version=version, labels="")
                async with aclosing(events):
                    async for event in events:
                        version = read_identity(event.object).version or version
                        self._take(PROBE_EVENTS.decode(event.object))
        except TrustplaneError as error:
            _log.info("events of probes are not followed", error=str(error))

    async def _version_of_events(self) -> str:
        """Return from where to watch: what happened before is of earlier probes, and may be a lot."""
        async with aclosing(self._client.pages(PROBE_EVENTS, probe.PROBE_NAMESPACE, labels="", limit=1)) as pages:
            return (await anext(pages)).version

    def _take(self, event: ProbeEvent) -> None:
        latest = self._waiting.get(event.regarding.name)
        if latest is not None and probe.is_pull_event(event):
            latest.add(event)

    async def probe(self, node: str, target: ProbeTarget) -> Proof:
        """Prove one registry on one node."""
        nonce, began = secrets.token_hex(8), datetime.now(UTC)
        pod = probe.build_probe_pod(
            node,
            target.host,
            nonce,
            image=target.image,
            pull_secret=target.pull_secret,
            run=self._label,
            timeout=self._timeout,
            now=began,
        )
        return Proof(node, target.host, await self._ask(pod), began, datetime.now(UTC))

    async def _ask(self, pod: Json) -> ProofVerdict:
        name = pod["metadata"]["name"]
        self._waiting[name] = _Latest()
        try:
            await self._client.create(PROBE_PODS, pod)
            return await self._verdict(name)
        except TransientError as error:
            return Unclear(str(error))
        finally:
            del self._waiting[name]
            await self._delete(name)

    async def _verdict(self, name: str) -> ProofVerdict:
        last: ProofVerdict = Unclear(f"the kubelet said nothing within {self._timeout:g} s")
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    pod = await self._waiting[name].get()
                    if pod is None:
                        return Unclear("somebody deleted the probe pod")
                    found = await self._judge(pod, self._waiting[name].events)
                    if found is not None and (not isinstance(found, Unclear) or found.is_final):
                        return found
                    last = found or last
        except TimeoutError:
            return await self._at_last(name, last)

    async def _judge(self, pod: ProbePod, events: Iterable[ProbeEvent]) -> ProofVerdict | None:
        found = probe.probe_verdict(pod, events)
        if found is None and probe.has_failed_pull(pod):
            return probe.probe_verdict(pod, await self._events(pod.metadata.name))
        return found

    async def _at_last(self, name: str, last: ProofVerdict) -> ProofVerdict:
        pod = self._informer.get(Key(probe.PROBE_NAMESPACE, name))
        events = await self._events(name)
        found = probe.probe_verdict(pod, events) if pod else None
        if found is None and events and isinstance(last, Unclear):
            return Unclear(f"{last.detail}; last event: {events[-1].text}")
        return found or last

    async def _events(self, name: str) -> Sequence[ProbeEvent]:
        events = await self._client.list(PROBE_EVENTS, probe.PROBE_NAMESPACE, fields=f"regarding.name={name}")
        return sorted(events, key=lambda event: event.last_seen_at)[-_EVENTS:]

    async def _delete(self, name: str) -> None:
        try:
            await self._client.delete(PROBE_PODS, name, probe.PROBE_NAMESPACE)
        except TransientError as error:
            _log.warning("probe pod is left to the next run", pod=name, error=str(error))

    def _notice(self, change: Change[ProbePod]) -> None:
        latest = self._waiting.get(change.key.name)
        if latest is not None:
            latest.put(change.new)
