"""Failing pulls of managed clusters: each pod is told the cause and the fix, each ClusterTrust what fails.

What is known comes from the workload cluster itself: kill this at any point, and the next look comes to the same end.
An Event's name follows from pod and cause, so that there is one, whoever writes it and however often.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from trustplane.api import clusterapi
from trustplane.api.clusterapi import kubeconfig_secret
from trustplane.api.clustertrust import KIND, PullFailure
from trustplane.api.crds.fitting import fitted
from trustplane.api.keys import Key, key_of
from trustplane.api.pod import PodMetadata
from trustplane.api.registry import Registry
from trustplane.clusterapi.readiness import is_condition_true
from trustplane.controllers.metrics import FAILING_PULLS
from trustplane.controllers.pulls import events
from trustplane.controllers.pulls.events import PullExplanation
from trustplane.controllers.pulls.watch import PullWatch
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import Evidence, explain
from trustplane.diagnosis.pulls import CauseCache, FailedPull
from trustplane.fleet.view import ClusterState, FleetView, truncate_to_seconds
from trustplane.fleet.workload import open_workload_and_report
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.kinds import CLUSTER_TRUSTS, SECRETS
from trustplane.kube.tasks import Pauses
from trustplane.reporting import pull_failures
from trustplane.reporting.cluster_trust import Sets
from trustplane.reporting.pull_failures import Failing, Failures
from trustplane.reporting.registry_assessment import Knowledge, knowledge, on_node, registry_named
from trustplane.trust.entries import TrustSet

PULLS_FIELD_MANAGER: Final = "trustplane-pulls"
# That nothing is known of a cause helps nobody, and a kubelet that limits itself tries again in a moment.
_NOT_TOLD: Final = frozenset({Code.UNKNOWN, Code.KUBELET_THROTTLED})
_MEMORY: Final = 4096  # registries, each with the sets of some clusters
_NEW_KINDS: Final = 200  # messages of one cluster that are explained in one look
_WORKERS: Final = 16  # clusters at a time: those that do not answer only wait
_LOOK_SECONDS: Final = 600.0  # after which the kubeconfig is read anew, and Events may have to be renewed
_ABSENT_SECONDS: Final = 30.0  # between looks at a cluster that cannot be followed yet


@dataclass
class _Followed:
    """A workload cluster that is followed."""

    uid: str
    version: str  # of the Secret with its kubeconfig
    checked: float  # when that was read
    task: "asyncio.Task[None] | None" = None
    watch: PullWatch | None = None  # None: its connection is being opened


class _Found(NamedTuple):
    """A pull that fails, and why."""

    pod: PodMetadata
    pull: FailedPull
    cause: Code
    evidence: tuple[Evidence, ...]
    known: Knowledge  # of its registry


@dataclass(frozen=True)
class _Look:
    """What a look at a cluster has found."""

    listed: list[PullFailure]
    more: int  # failing pods that are not in the list
    tellings: list[PullExplanation]  # one more than a batch at most


class PullReconciler:
    """Tells of pulls that fail in workload clusters.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
    """

    def __init__(self, client: Client, view: FleetView) -> None:
        self._client = client
        self._view = view
        self._followed: dict[Key, _Followed] = {}
        self._causes = CauseCache()
        self._known: dict[tuple[str, str, tuple[str, ...], datetime], Knowledge] = {}
        self._series: dict[Key, set[tuple[str, str]]] = {}  # hosts and causes in the metric, by cluster
        watches: list[Watch[Any]] = [
            Watch(view.clusters),
            Watch(view.trusts),
            Watch(view.registries, lambda _: self._failing()),
        ]
        self._controller = Controller("pulls", self.reconcile, watches, workers=_WORKERS, close=self._close)

    def controller(self) -> Controller:
        """Return the controller."""
        return self._controller

    async def reconcile(self, key: Key) -> Result:
        """Have one cluster followed, and tell what fails in it."""
        seen = await self._view.observe(key)
        if seen is None or not is_condition_true(seen.cluster, clusterapi.CONTROL_PLANE_INITIALIZED):
            await self._end(key)
            return Result()
        watch = await self._watch(key, seen)
        if watch is None or not watch.is_current:
            return Result(requeue_after=_ABSENT_SECONDS)
        is_known = await self._learn(watch)
        look = await self._look(seen, watch)
        await self._report(seen, look)
        await events.write_explanations(watch, look.tellings[: events.EVENT_BATCH])
        is_done = is_known and len(look.tellings) <= events.EVENT_BATCH
        return Result(requeue_after=_LOOK_SECONDS if is_done else events.BATCH_PAUSE)

    def _failing(self) -> list[Key]:
        return [key for key, one in self._followed.items() if one.watch and one.watch.pods]

    async def _watch(self, key: Key, seen: ClusterState) -> PullWatch | None:
        """Return what is followed of a cluster; begin anew where the cluster or its kubeconfig is another one."""
        now, followed = asyncio.get_running_loop().time(), self._followed.get(key)
        uid = seen.cluster.metadata.uid
        is_up = followed and followed.task and not followed.task.done()
        if followed and is_up and followed.uid == uid and now - followed.checked < _LOOK_SECONDS:
            return followed.watch
        secret = await self._client.find(SECRETS, kubeconfig_secret(key.name), key.namespace)
        version = secret.metadata.resource_version if secret else ""
        if followed and is_up and (followed.uid, followed.version) == (uid, version):
            followed.checked = now
            return followed.watch
        await self._end(key)
        if version:
            self._begin(key, _Followed(uid, version, now))
        return None

    def _begin(self, key: Key, followed: _Followed) -> None:
        async def follow() -> None:
            async with open_workload_and_report(self._client, key) as opened:
                followed.watch = PullWatch(opened, lambda: self._controller.wake(key))
                await followed.watch.run()

        followed.task = asyncio.create_task(follow())
        self._followed[key] = followed

    async def _end(self, key: Key) -> None:
        followed = self._followed.pop(key, None)
        if followed and followed.task:
            followed.task.cancel()
            await asyncio.gather(followed.task, return_exceptions=True)
        self._count(key, [], 0)

    async def _close(self) -> None:
        for key in list(self._followed):
            await self._end(key)

    async def _learn(self, watch: PullWatch) -> bool:
        """Explain messages of new kinds, a limited number in one go; return whether all are explained.

        A tenant may write any number of messages, each made to be slow: others have their turn after each of them. What
        kind a message is of is found here, too, once for each.
        """
        left, pauses = _NEW_KINDS, Pauses()
        for pod in list(watch.pods.values()):
            for pull in pod.pulls:
                await pauses.take()
                if self._causes.contains(pull):
                    continue
                if not left:
                    return False
                left -= 1
                self._causes.cause_of(pull)
                await asyncio.sleep(0)
        return True

    async def _look(self, seen: ClusterState, watch: PullWatch) -> _Look:
        """Count what fails by registry and cause, and choose the pods that are to be told.

        Nothing is kept of a pod that was told already: many objects a look would have the garbage collector run.
        """
        tellings: list[PullExplanation] = []
        counted, pauses, now = Failures(), Pauses(), asyncio.get_running_loop().time()
        for one in self._found(seen, watch):
            is_enough = one.cause in _NOT_TOLD or len(tellings) > events.EVENT_BATCH
            if not is_enough and watch.is_due(one.pod, one.cause, now):
                tellings.append(PullExplanation(one.pod, one.cause, _text(one)))
            counted.add(Failing(f"{one.pod.namespace}/{one.pod.name}", one.pull.host, one.cause))
            await pauses.take()
        before = seen.trust.status.failures if seen.trust else []
        listed, more = counted.report(before, truncate_to_seconds(datetime.now(UTC)))
        return _Look(listed, more + watch.untracked, tellings)

    def _found(self, seen: ClusterState, watch: PullWatch) -> Iterator[_Found]:
        """Yield each failing pull of now with its cause; pods may come and go between two of them."""
        service, nodes = self._view.service_list().trust, {one.node: one for one in seen.nodes}
        registries, now = self._view.registries.items(), datetime.now(UTC)
        known: dict[str, Knowledge] = {}
        evidence: dict[tuple[str, str], tuple[Evidence, ...]] = {}
        for one in list(watch.pods.values()):
            for pull in one.pulls:
                host = pull.host
                if host not in known:
                    known[host] = self._knowledge(host, registry_named(host, registries), seen.sets, service, now)
                place = (host, one.node)
                if place not in evidence:
                    more = on_node(nodes.get(one.node), seen.sets) if known[host].is_trusted else ()
                    evidence[place] = (*known[host].evidence, *more)
                # One that came just now, or is one of too many, is explained in the next look.
                is_known = self._causes.contains(pull)
                cause = self._causes.cause_of(pull, evidence[place]) if is_known else Code.UNKNOWN
                yield _Found(one.pod, pull, cause, evidence[place], known[host])

    def _knowledge(
        self, host: str, registry: Registry | None, sets: Sets, service: TrustSet, now: datetime
    ) -> Knowledge:
        """Return what is known of a registry; chains are verified when something has changed, or an hour is over."""
        digests = tuple(one.digest if one is not None else "" for one in (sets.in_force, sets.desired, service))
        version = registry.metadata.resource_version if registry else ""
        key = (host, version, digests, now.replace(minute=0, second=0, microsecond=0))
        if key not in self._known:
            if len(self._known) >= _MEMORY:
                self._known.clear()
            self._known[key] = knowledge(host, registry, sets, service, now)
        return self._known[key]

    async def _report(self, seen: ClusterState, look: _Look) -> None:
        trust = seen.trust
        if trust is None:
            return  # when it is made, we are woken
        self._count(key_of(seen.cluster), look.listed, look.more)
        if (look.listed, look.more) == (trust.status.failures, trust.status.more_failing_pods):
            return
        body = {
            "metadata": {"name": trust.metadata.name, "namespace": trust.metadata.namespace},
            "status": fitted(KIND, pull_failures.body(look.listed, look.more)),
        }
        try:
            await self._client.apply(CLUSTER_TRUSTS, body, manager=PULLS_FIELD_MANAGER, subresource="status")
        except NotFoundError:
            return  # deleted just now, which wakes us

    def _count(self, key: Key, listed: Sequence[PullFailure], more: int) -> None:
        """Set the metric of one cluster; what is not listed any longer is removed from it."""
        counts = {(one.host, one.cause): one.pods for one in listed} | ({("", ""): more} if more else {})
        for host, cause in self._series.pop(key, set()) - counts.keys():
            FAILING_PULLS.remove(key.namespace, key.name, host, cause)
        for (host, cause), pods in counts.items():
            FAILING_PULLS.labels(key.namespace, key.name, host, cause).set(pods)
        if counts:
            self._series[key] = set(counts)


def _text(found: _Found) -> Callable[[], str]:
    return lambda: pull_failures.note(found.pull.host, explain(found.pull.message, found.evidence), found.known)
