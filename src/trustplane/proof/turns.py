"""Fair order of probes under a concurrency limit. Pure.

Registries with waiting probes share the slots equally: a slow registry does not delay the others. All silent registries
together get a quarter of the slots, because each of their probes occupies a slot for a minute.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import Final, Generic, TypeVar

from trustplane.proof.schedule import SILENT_AFTER, is_silent

JobT = TypeVar("JobT")

_QUARTER: Final = 4


class ProbeSlots(Generic[JobT]):
    """Waiting probes, by registry.

    Args:
        jobs: Registry and job of each probe; the jobs of one registry begin in this order.
        places: Concurrent probes.
        silent: Registries known to be silent, until they answer.
    """

    def __init__(self, jobs: Iterable[tuple[str, JobT]], *, places: int, silent: Collection[str] = ()) -> None:
        self._waiting: dict[str, deque[JobT]] = {}
        for host, job in jobs:
            self.add(host, job)
        self._running: Counter[str] = Counter()
        self._places = places
        self._share = max(1, places // _QUARTER)
        self._answered = {host: deque([False] * SILENT_AFTER, SILENT_AFTER) for host in silent}

    def add(self, host: str, job: JobT) -> None:
        """Append a probe to the queue of its registry."""
        self._waiting.setdefault(host, deque()).append(job)

    def begin(self) -> JobT | None:
        """Return the next job to begin; None if all slots are taken or no job is waiting."""
        if self._running.total() >= self._places:
            return None
        hosts = [host for host in self._waiting if self._may_begin(host)]
        if not hosts:
            return None
        host = min(hosts, key=lambda host: self._running[host])  # a tie goes to the registry whose probe is due first
        job = self._waiting[host].popleft()
        if not self._waiting[host]:
            del self._waiting[host]
        self._running[host] += 1
        return job

    def end(self, host: str, *, answered: bool) -> None:
        """Free a slot.

        Args:
            host: The registry of the finished probe.
            answered: Whether the registry answered.
        """
        self._running[host] -= 1
        self._answered.setdefault(host, deque(maxlen=SILENT_AFTER)).append(answered)

    def _is_silent(self, host: str) -> bool:
        return is_silent(self._answered.get(host, ()))

    def _may_begin(self, host: str) -> bool:
        if not self._is_silent(host):
            return True
        return sum(count for other, count in self._running.items() if self._is_silent(other)) < self._share
