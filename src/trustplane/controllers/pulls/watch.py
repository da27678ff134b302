"""The failing pulls of one workload cluster, by one watch of its pods.

The watch covers pod statuses, not the kubelets' Events: kubelets send two or three Events per attempt, drop some due to
rate limits, and Events expire after an hour, whereas a status always shows current failures. Waiting pods can be in any
phase, so no field selector covers them; pods without failures are dropped as soon as they are decoded.
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

MAX_PODS: Final = 5000  # tracked concurrently per cluster; further pods are counted, and tracked when others recover
_REST: Final = 10.0  # seconds between two watches during many changes, such as those of thousands of pods
_PAUSE: Final = 1.0  # seconds to collect changes before a reconcile
_PAUSE_EACH: Final = 0.002  # more per failing pod: keeps the share of CPU time constant for any number


@dataclass(frozen=True)
class FailingPod:
    """A pod with failing image pulls."""

    pod: PodMetadata
    node: str
    pulls: tuple[FailedPull, ...]


@dataclass
class PullWatch:
    """The current failures in one workload cluster.

    Attributes:
        client: To the workload cluster.
        wake: Called some time after a change.
        pods: The failing pods, at most `MAX_PODS`, in the order of their first failure.
        told: When to renew an Event, by the pod's UID and the cause: seconds of the loop's clock.
    """

    client: Client
    wake: Callable[[], None]
    pods: dict[Key, FailingPod] = field(default_factory=dict)
    renewals: dict[str, dict[Code, float]] = field(default_factory=dict)
    _others: OrderedDict[Key, None] = field(default_factory=OrderedDict)  # failing pods beyond the limit
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self._informer: Informer[Pod] = Informer(self.client, WORKLOAD_PODS, pace=Pace(rest=_REST), keep=_is_failing)
        self._informer.subscribe(self._notice)

    @property
    def is_current(self) -> bool:
        """Whether the cluster answered the last request."""
        return self._informer.is_current

    @property
    def untracked(self) -> int:
        """The number of failing pods that are not tracked."""
        return len(self._others)

    def is_due(self, pod: PodMetadata, cause: Code, now: float) -> bool:
        """Return whether the pod's Event for a cause must be created or renewed now."""
        renewals = self.renewals.get(pod.uid)
        return renewals is None or renewals.get(cause, now) <= now

    def has_reported(self, pod: PodMetadata, cause: Code) -> bool:
        """Return whether this process has reported a cause on a pod."""
        return cause in self.renewals.get(pod.uid, {})

    def note_report(self, pod: PodMetadata, cause: Code, until: float) -> None:
        """Note that a cause was reported on a pod, if the pod still fails."""
        tracked = self.pods.get(Key(pod.namespace, pod.name))
        if tracked and tracked.pod.uid == pod.uid:
            self.renewals.setdefault(pod.uid, {})[cause] = until

    async def run(self) -> None:
        """Track the pods until cancelled."""
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
            self._track_others()
            self._schedule()
        elif change.key not in self.pods and len(self.pods) >= MAX_PODS:
            if change.key not in self._others:
                self._others[change.key] = None
                self._schedule()
        elif self._track(change.key, change.new):
            self._schedule()

    def _track_others(self) -> None:
        """Track further pods up to the limit, longest wait first."""
        while self._others and len(self.pods) < MAX_PODS:
            key, _ = self._others.popitem(last=False)
            pod = self._informer.get(key)
            if pod is not None:
                self._track(key, pod)

    def _track(self, key: Key, pod: Pod) -> bool:
        """Store the failures of a pod; return whether they changed."""
        before = self.pods.get(key)
        known = before.pulls if before and before.pod.uid == pod.metadata.uid else ()
        now = FailingPod(pod.metadata, pod.spec.node_name, retain_causes(known, failing_pulls(pod)))
        self.pods[key] = now
        return before is None or before.node != now.node or not have_same_failures(known, now.pulls)

    def _schedule(self) -> None:
        if self._timer is None and self._informer.synced.is_set():
            seconds = _PAUSE + _PAUSE_EACH * len(self.pods)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self.wake()


def _is_failing(pod: Pod) -> bool:
    return pod.metadata.namespace != probe.PROBE_NAMESPACE and bool(failing_pulls(pod))
