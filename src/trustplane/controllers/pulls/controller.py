"""Controller of failing pulls: report cause and fix on each pod, and a summary on each ClusterTrust.

All state is in the workload cluster: after a kill at any point, the next reconcile converges to the same result. An
Event's name derives from pod and cause, so repeated writes, by any process, result in one Event.
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
from trustplane.kube.controller import Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.kinds import CLUSTER_TRUSTS, SECRETS
from trustplane.kube.reconciler import Reconciler
from trustplane.kube.tasks import Pauses
from trustplane.reporting import pull_failures
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.reporting.pull_failures import FailingPull, PullFailureGroups
from trustplane.reporting.registry_assessment import RegistryAssessment, assess_registry, find_registry, node_evidence
from trustplane.trust.entries import TrustSet

PULLS_FIELD_MANAGER: Final = "trustplane-pulls"
# An unknown cause does not help users, and a throttled kubelet retries soon.
_NOT_REPORTED: Final = frozenset({Code.UNKNOWN, Code.KUBELET_THROTTLED})
_MEMORY: Final = 4096  # combinations of a registry and the trust sets of a cluster
_NEW_KINDS: Final = 200  # messages of one cluster explained per reconcile
_CHECK_SECONDS: Final = 600.0  # until the kubeconfig is read again, and Events may need renewal
_ABSENT_SECONDS: Final = 30.0  # between reconciles of a cluster that cannot be watched yet


@dataclass
class _Followed:
    """A watched workload cluster."""

    uid: str
    version: str  # resource version of its kubeconfig Secret
    checked: float  # when the Secret was last read
    task: "asyncio.Task[None] | None" = None
    watch: PullWatch | None = None  # None while the connection is being opened


class _Failure(NamedTuple):
    """A failing pull with its cause."""

    pod: PodMetadata
    pull: FailedPull
    cause: Code
    evidence: tuple[Evidence, ...]
    known: RegistryAssessment  # about its registry


@dataclass(frozen=True)
class _Report:
    """The failures of a cluster at one time."""

    listed: list[PullFailure]
    more: int  # failing pods beyond the list
    tellings: list[PullExplanation]  # at most one more than a batch


class PullReconciler(Reconciler):
    """Report failing pulls in workload clusters.

    Args:
        client: To the management cluster.
        view: The view of clusters.
    """

    name = "pulls"
    workers = 16  # unresponsive clusters only wait

    def __init__(self, client: Client, view: FleetView) -> None:
        self._client = client
        self._view = view
        self._followed: dict[Key, _Followed] = {}
        self._causes = CauseCache()
        self._known: dict[tuple[str, str, tuple[str, ...], datetime], RegistryAssessment] = {}
        self._series: dict[Key, set[tuple[str, str]]] = {}  # hosts and causes of the metric, by cluster

    def _watches(self) -> list[Watch[Any]]:
        view = self._view
        return [Watch(view.clusters), Watch(view.trusts), Watch(view.registries, lambda _: self._failing())]

    async def reconcile(self, key: Key) -> Result:
        """Keep one cluster watched, and report its failures."""
        snapshot = await self._view.observe(key)
        if snapshot is None or not is_condition_true(snapshot.cluster, clusterapi.CONTROL_PLANE_INITIALIZED):
            await self._stop(key)
            return Result()
        watch = await self._watch(key, snapshot)
        if watch is None or not watch.is_current:
            return Result(requeue_after=_ABSENT_SECONDS)
        is_known = await self._learn(watch)
        failures = await self._summarise(snapshot, watch)
        await self._write(snapshot, failures)
        await events.write_explanations(watch, failures.tellings[: events.EVENT_BATCH])
        is_done = is_known and len(failures.tellings) <= events.EVENT_BATCH
        return Result(requeue_after=_CHECK_SECONDS if is_done else events.BATCH_PAUSE)

    def _failing(self) -> list[Key]:
        return [key for key, followed in self._followed.items() if followed.watch and followed.watch.pods]

    async def _watch(self, key: Key, snapshot: ClusterState) -> PullWatch | None:
        """Return the watch of a cluster; restart it if the cluster or its kubeconfig was replaced."""
        now, followed = asyncio.get_running_loop().time(), self._followed.get(key)
        uid = snapshot.cluster.metadata.uid
        is_up = followed and followed.task and not followed.task.done()
        if followed and is_up and followed.uid == uid and now - followed.checked < _CHECK_SECONDS:
            return followed.watch
        secret = await self._client.find(SECRETS, kubeconfig_secret(key.name), key.namespace)
        version = secret.metadata.resource_version if secret else ""
        if followed and is_up and (followed.uid, followed.version) == (uid, version):
            followed.checked = now
            return followed.watch
        await self._stop(key)
        if version:
            self._start(key, _Followed(uid, version, now))
        return None

    def _start(self, key: Key, followed: _Followed) -> None:
        async def follow() -> None:
            async with open_workload_and_report(self._client, key) as opened:
                followed.watch = PullWatch(opened, lambda: self.wake(key))
                await followed.watch.run()

        followed.task = asyncio.create_task(follow())
        self._followed[key] = followed

    async def _stop(self, key: Key) -> None:
        followed = self._followed.pop(key, None)
        if followed and followed.task:
            followed.task.cancel()
            await asyncio.gather(followed.task, return_exceptions=True)
        self._count(key, [], 0)

    async def close(self) -> None:
        """Stop watching all clusters."""
        for key in list(self._followed):
            await self._stop(key)

    async def _learn(self, watch: PullWatch) -> bool:
        """Explain new kinds of messages, up to a limit; return whether all are explained.

        A tenant can write any number of messages that are slow to explain, so other tasks run after each. This also
        determines the kind of each message, once.
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

    async def _summarise(self, snapshot: ClusterState, watch: PullWatch) -> _Report:
        """Count failures by registry and cause, and choose the pods that need an Event.

        Keep no objects for the other pods: many objects per reconcile would trigger the garbage collector.
        """
        tellings: list[PullExplanation] = []
        counted, pauses, now = PullFailureGroups(), Pauses(), asyncio.get_running_loop().time()
        for failure in self._failures(snapshot, watch):
            pod, cause = failure.pod, failure.cause
            is_skipped = cause in _NOT_REPORTED or len(tellings) > events.EVENT_BATCH
            if not is_skipped and watch.is_due(pod, cause, now):
                tellings.append(PullExplanation(pod, cause, _text(failure)))
            counted.add(FailingPull(f"{pod.namespace}/{pod.name}", failure.pull.host, cause))
            await pauses.take()
        before = snapshot.trust.status.failures if snapshot.trust else []
        listed, more = counted.report(before, truncate_to_seconds(datetime.now(UTC)))
        return _Report(listed, more + watch.untracked, tellings)

    def _failures(self, snapshot: ClusterState, watch: PullWatch) -> Iterator[_Failure]:
        """Yield each currently failing pull with its cause; the set of pods may change in between."""
        service, nodes = self._view.service_list().trust, {facts.node: facts for facts in snapshot.nodes}
        registries, now = self._view.registries.items(), datetime.now(UTC)
        known: dict[str, RegistryAssessment] = {}
        evidence: dict[tuple[str, str], tuple[Evidence, ...]] = {}
        for failing in list(watch.pods.values()):
            for pull in failing.pulls:
                host = pull.host
                if host not in known:
                    known[host] = self._knowledge(host, find_registry(host, registries), snapshot.sets, service, now)
                place = (host, failing.node)
                if place not in evidence:
                    more = node_evidence(nodes.get(failing.node), snapshot.sets) if known[host].is_trusted else ()
                    evidence[place] = (*known[host].evidence, *more)
                # New messages, and those beyond the limit, are explained in the next reconcile.
                is_known = self._causes.contains(pull)
                cause = self._causes.cause_of(pull, evidence[place]) if is_known else Code.UNKNOWN
                yield _Failure(failing.pod, pull, cause, evidence[place], known[host])

    def _knowledge(
        self, host: str, registry: Registry | None, sets: TrustSets, service: TrustSet, now: datetime
    ) -> RegistryAssessment:
        """Return the knowledge about a registry; chains are verified again after changes, and every hour."""
        trusts = (sets.in_force, sets.desired, service)
        digests = tuple(trust.digest if trust is not None else "" for trust in trusts)
        version = registry.metadata.resource_version if registry else ""
        key = (host, version, digests, now.replace(minute=0, second=0, microsecond=0))
        if key not in self._known:
            if len(self._known) >= _MEMORY:
                self._known.clear()
            self._known[key] = assess_registry(host, registry, sets, service, now)
        return self._known[key]

    async def _write(self, snapshot: ClusterState, failures: _Report) -> None:
        trust = snapshot.trust
        if trust is None:
            return  # its creation wakes the controller
        self._count(key_of(snapshot.cluster), failures.listed, failures.more)
        if (failures.listed, failures.more) == (trust.status.failures, trust.status.more_failing_pods):
            return
        body = {
            "metadata": {"name": trust.metadata.name, "namespace": trust.metadata.namespace},
            "status": fitted(KIND, pull_failures.failures_status(failures.listed, failures.more)),
        }
        try:
            await self._client.apply(CLUSTER_TRUSTS, body, manager=PULLS_FIELD_MANAGER, subresource="status")
        except NotFoundError:
            return  # deleted in between; the watch wakes the controller

    def _count(self, key: Key, listed: Sequence[PullFailure], more: int) -> None:
        """Set the metric of one cluster, and remove series that are no longer listed."""
        counts = {(failure.host, failure.cause): failure.pods for failure in listed} | (
            {("", ""): more} if more else {}
        )
        for host, cause in self._series.pop(key, set()) - counts.keys():
            FAILING_PULLS.remove(key.namespace, key.name, host, cause)
        for (host, cause), pods in counts.items():
            FAILING_PULLS.labels(key.namespace, key.name, host, cause).set(pods)
        if counts:
            self._series[key] = set(counts)


def _text(failure: _Failure) -> Callable[[], str]:
    pull = failure.pull
    return lambda: pull_failures.render_note(pull.host, explain(pull.message, failure.evidence), failure.known)
