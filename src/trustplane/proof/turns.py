"""Whose turn it is when there are more probes than places. Pure.

Registries have the same number of places as long as they have probes that wait, so that one that takes long to answer
delays no other. Those that answer nobody share a quarter of the places: a probe of theirs has its place for a minute.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import Final, Generic, TypeVar

from trustplane.proof.schedule import SILENT_AFTER, is_silent

JobT = TypeVar("J")

_QUARTER: Final = 4


class ProbeSlots(Generic[JobT]):
    """Probes that wait, by registry.

    Args:
        jobs: The registry of each, and what is to be done; those of a registry have their turns in this order.
        places: Probes at a time.
        silent: Registries that are known to answer nobody, until they do.
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
        """Have another probe wait, behind those of its registry."""
        self._waiting.setdefault(host, deque()).append(job)

    def begin(self) -> JobT | None:
        """Return the next one that may begin; None while there is no place for one, or none is left."""
        if self._running.total() >= self._places:
            return None
        hosts = [host for host in self._waiting if self._may_begin(host)]
        if not hosts:
            return None
        host = min(hosts, key=lambda one: self._running[one])  # of several, the one whose first probe is due first
        job = self._waiting[host].popleft()
        if not self._waiting[host]:
            del self._waiting[host]
        self._running[host] += 1
        return job

    def end(self, host: str, *, answered: bool) -> None:
        """Give a place back.

        Args:
            host: The registry of the probe that has ended.
            answered: Whether the registry said anything.
        """
        self._running[host] -= 1
        self._answered.setdefault(host, deque(maxlen=SILENT_AFTER)).append(answered)

    def _is_silent(self, host: str) -> bool:
        return is_silent(self._answered.get(host, ()))

    def _may_begin(self, host: str) -> bool:
        if not self._is_silent(host):
            return True
        return sum(count for one, count in self._running.items() if self._is_silent(one)) < self._share
