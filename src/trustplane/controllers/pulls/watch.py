"""The failing pulls of one workload cluster, followed by one watch of its pods.

Statuses of pods are watched, not the kubelets' Events: those come two or three an attempt, are dropped by the kubelets'
own limits, and are gone after an hour, while a status says at any time what fails now. A pod that waits may be in any
phase, so no field selector finds it; the pods on which nothing fails are dropped as soon as they are read.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from trustplane.api.keys import Key
from trustplane.api.pod import Pod, PodMetadata
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.pulls import FailedPull, failing_pulls, have_same_failures, retain_causes
from trustplane.kube.client import Client
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import WORKLOAD_PODS
from trustplane.kube.pace import Pace
from trustplane.proof import probe

MAX_PODS: Final = (
    5000  # that are followed at a time in one cluster; the others are counted, and come when there is room
)
_REST: Final = 10.0  # seconds between two watches while changes are many: those of thousands of pods
_PAUSE: Final = 1.0  # seconds in which changes are collected before anybody looks at them
_PAUSE_EACH: Final = 0.002  # and for each pod that fails, so that a look costs the same share of time for any number


@dataclass(frozen=True)
class FailingPod:
    """A pod that waits for images in vain."""

    pod: PodMetadata
    node: str
    pulls: tuple[FailedPull, ...]


@dataclass
class PullWatch:
    """What fails in one workload cluster, as last seen.

    Attributes:
        client: To the workload cluster.
        wake: Called some time after a change.
        pods: Those that fail, of which there are `MOST_PODS` at most, as they were first seen.
        told: When a pod's Event of a cause is to be renewed, by the pod's UID and cause: seconds of the loop's clock.
    """

    client: Client
    wake: Callable[[], None]
    pods: dict[Key, FailingPod] = field(default_factory=dict)
    renewals: dict[str, dict[Code, float]] = field(default_factory=dict)
    _others: OrderedDict[Key, None] = field(default_factory=OrderedDict)  # that fail, and for which there is no room
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self._informer: Informer[Pod] = Informer(
            self.client, WORKLOAD_PODS, pace=Pace(rest=_REST), keep=_is_of_interest
        )
        self._informer.subscribe(self._notice)

    @property
    def is_current(self) -> bool:
        """Whether the cluster answered when it was last asked."""
        return self._informer.is_current

    @property
    def untracked(self) -> int:
        """How many pods fail that are not followed."""
        return len(self._others)

    def is_due(self, pod: PodMetadata, cause: Code, now: float) -> bool:
        """Tell whether a pod is to be told of a cause by now."""
        told = self.renewals.get(pod.uid)
        return told is None or told.get(cause, now) <= now

    def has_reported(self, pod: PodMetadata, cause: Code) -> bool:
        """Tell whether a pod was told of a cause, as far as this process knows."""
        return cause in self.renewals.get(pod.uid, {})

    def note_report(self, pod: PodMetadata, cause: Code, until: float) -> None:
        """Note that a pod was told of a cause, unless it is gone meanwhile."""
        found = self.pods.get(Key(pod.namespace, pod.name))
        if found and found.pod.uid == pod.uid:
            self.renewals.setdefault(pod.uid, {})[cause] = until

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._informer.run())
                await self._informer.synced.wait()
                self.wake()
        finally:
            if self._timer:
                self._timer.cancel()

    def _notice(self, change: Change[Pod]) -> None:
        if change.new is None:
            self._others.pop(change.key, None)
            gone = self.pods.pop(change.key, None)
            self.renewals.pop(gone.pod.uid if gone else "", None)
            self._follow_others()
            self._plan()
        elif change.key not in self.pods and len(self.pods) >= MAX_PODS:
            if change.key not in self._others:
                self._others[change.key] = None
                self._plan()
        elif self._is_news(change.key, change.new):
            self._plan()

    def _follow_others(self) -> None:
        """Follow those that have waited for longest, as far as there is room."""
        while self._others and len(self.pods) < MAX_PODS:
            key, _ = self._others.popitem(last=False)
            pod = self._informer.get(key)
            if pod is not None:
                self._is_news(key, pod)

    def _is_news(self, key: Key, pod: Pod) -> bool:
        """Keep what fails on a pod; tell whether it is something else than before."""
        before = self.pods.get(key)
        known = before.pulls if before and before.pod.uid == pod.metadata.uid else ()
        now = FailingPod(pod.metadata, pod.spec.node_name, retain_causes(known, failing_pulls(pod)))
        self.pods[key] = now
        return before is None or before.node != now.node or not have_same_failures(known, now.pulls)

    def _plan(self) -> None:
        if self._timer is None and self._informer.synced.is_set():
            seconds = _PAUSE + _PAUSE_EACH * len(self.pods)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self.wake()


def _is_of_interest(pod: Pod) -> bool:
    return pod.metadata.namespace != probe.PROBE_NAMESPACE and bool(failing_pulls(pod))
