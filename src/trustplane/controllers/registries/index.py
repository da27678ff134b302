"""What each cluster says of each registry, kept current cluster by cluster, so that a Registry only adds up.

It is derived from what informers last saw, and holds no truth of its own: after a restart it is worked out once more.
A cluster of which nothing can be read counts as one that has proven nothing. It harms no other, and is told so.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

import structlog

from trustplane.api.clustertrust import NOT_TRUSTED, SERVICE, ClusterTrust, ImageSource, PullFailure
from trustplane.api.keys import Key, key_of
from trustplane.api.registry import Registry
from trustplane.controllers.metrics import UNREADABLE_CLUSTERS
from trustplane.errors import TrustplaneError
from trustplane.fleet.view import FleetView
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.events import Recorder
from trustplane.reporting import risks, tally
from trustplane.reporting.registry_assessment import registry_host
from trustplane.reporting.risks import Risk
from trustplane.reporting.tally import Tally

_SLICE: Final = 200  # clusters that are gone through before other tasks have their turn
_log = structlog.get_logger(__name__)

PlaceT = TypeVar("P")
ValueT = TypeVar("T")
_Report = tuple[tuple[PullFailure, ...], tuple[ImageSource, ...]]
_Entries = frozenset[tuple[str, str]]  # fingerprints and names
_List = tuple[str, _Entries]  # whose it is


@dataclass(frozen=True)
class _Cluster:
    """What counts of one cluster."""

    tallies: Mapping[str, Tally] = field(default_factory=dict)  # by host of the registries that select it
    reports: Mapping[str, _Report] = field(default_factory=dict)  # by host that its ClusterTrust names
    owner: str = ""  # whose list it is to have; empty: the service's
    listed: _Entries = frozenset()

    @property
    def origin(self) -> _List:
        """What is the same for all clusters with the service's list."""
        return self.owner, self.listed

    @property
    def fingerprints(self) -> set[str]:
        """Of the entries."""
        return {one for one, _ in self.listed}


_NOTHING: Final = _Cluster()


class RegistryIndex:
    """Clusters by what they say of registries.

    Args:
        view: What is seen of clusters.
        recorder: For events about clusters that cannot be read.
        changed: Called with each Registry about which something else is said now.
    """

    def __init__(self, view: FleetView, recorder: Recorder, changed: Callable[[Key], None]) -> None:
        self._view = view
        self._recorder = recorder
        self._changed = changed
        self._clusters: dict[Key, _Cluster] = {}
        self._tallies: dict[str, dict[Key, Tally]] = {}
        self._reporting: dict[str, dict[Key, bool]] = {}
        self._listing: dict[str, dict[_List, dict[Key, bool]]] = {}  # by fingerprint
        self._unreadable: set[Key] = set()

    def controller(self) -> Controller:
        """Return the controller that keeps it current."""
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.clusters),
            Watch(view.tkcs),
            Watch(view.trusts),
            view.watch_machines(),
            view.watch_registries(),
        ]
        return Controller("registry-index", self.reconcile, watches, workers=2)

    @property
    def is_complete(self) -> bool:
        """Whether every cluster has been looked at; before that, sums would be too small."""
        return all(key in self._clusters for key in self._view.all_keys())

    async def reconcile(self, key: Key) -> Result:
        """Look at one cluster, and tell the registries of which it says something else now."""
        try:
            now = await self._read(key)
        except TrustplaneError:
            if key not in self._clusters:  # what is known of it stays until it can be looked at again
                self._silence(key)
            raise
        except Exception:
            await self._set_aside(key)
            raise
        self._unreadable.discard(key)
        UNREADABLE_CLUSTERS.set(len(self._unreadable))
        self._put(key, now)
        return Result()

    async def tally(self, host: str) -> Tally:
        """Return what all clusters say of a registry."""
        sums, found = [], self._tallies.get(host, {})
        for keys in _slices(sorted(found)):
            sums.append(tally.total(found[key] for key in keys if key in found))
            await asyncio.sleep(0)
        return tally.total(sums)

    def reporting(self, registry: Registry) -> list[ClusterTrust]:
        """Return the ClusterTrusts that tell of failing pulls, or of untrusted images, of a registry."""
        keys = sorted(self._reporting.get(registry_host(registry), ()))
        return [one for one in map(self._view.trusts.get, keys) if one is not None]

    async def risks(self, registry: Registry, now: datetime) -> list[Risk]:
        """Return what is at risk of a registry, by its certificates and by what clusters say of it and list."""
        found = list(risks.of_registry(registry, now))
        keys = {key_of(one) for one in self.reporting(registry)}
        for fingerprint in _fingerprints(registry):
            keys |= {next(iter(having)) for having in self._listing.get(fingerprint, {}).values()}
        for part in _slices(sorted(keys)):
            for key in part:
                found += self._risks_of(key, registry, now)
            await asyncio.sleep(0)
        return found

    def _risks_of(self, key: Key, registry: Registry, now: datetime) -> list[Risk]:
        trust = self._view.trusts.get(key)
        try:
            return risks.of_cluster(trust, [registry], now) if trust else []
        except Exception:  # noqa: BLE001  one cluster is not to harm the others
            _log.exception("what a cluster says of a registry cannot be read", cluster=str(key))
            return []

    async def _read(self, key: Key) -> _Cluster | None:
        seen = await self._view.observe(key)
        cluster = self._view.clusters.get(key)
        if seen is None:
            return _NOTHING if cluster else None
        tallies = tally.of_cluster(str(key), seen.nodes, seen.hosts)
        return _of_trust(tallies, seen.trust, key)

    def _silence(self, key: Key) -> None:
        if cluster := self._view.clusters.get(key):
            silence = tally.unreadable(str(key), len(self._view.machines_of(key)))
            self._put(key, _Cluster(tallies={one.spec.host: silence for one in self._view.registries_of(cluster)}))

    async def _set_aside(self, key: Key) -> None:
        self._silence(key)
        about = self._view.trusts.get(key) or self._view.clusters.get(key)
        if about is not None and key not in self._unreadable:
            self._unreadable.add(key)
            words = "What is recorded of the trust of this cluster cannot be read: see the manager's log"
            await self._recorder.event(about, "TrustUnreadable", words, warning=True)
        UNREADABLE_CLUSTERS.set(len(self._unreadable))

    def _put(self, key: Key, now: _Cluster | None) -> None:
        before, after = self._clusters.get(key, _NOTHING), now or _NOTHING
        for host in before.tallies:
            _remove(self._tallies, host, key)
        for host, said in after.tallies.items():
            self._tallies.setdefault(host, {})[key] = said
        for host in before.reports:
            _remove(self._reporting, host, key)
        for host in after.reports:
            self._reporting.setdefault(host, {})[key] = True
        for one in before.fingerprints:
            _remove(self._listing[one], before.origin, key)
            if not self._listing[one]:
                del self._listing[one]
        for one in after.fingerprints:
            self._listing.setdefault(one, {}).setdefault(after.origin, {})[key] = True
        if now is None:
            self._clusters.pop(key, None)
        else:
            self._clusters[key] = now
        self._tell(before, after)

    def _tell(self, before: _Cluster, after: _Cluster) -> None:
        hosts = _changed(before.tallies, after.tallies)
        reported = _changed(before.reports, after.reports)
        listed = {one for one, _ in before.listed ^ after.listed}
        if not hosts and not reported and not listed:
            return
        for one in self._view.registries.items():
            if one.spec.host in hosts or registry_host(one) in reported or listed & _fingerprints(one):
                self._changed(key_of(one))


def _of_trust(tallies: Mapping[str, Tally], trust: ClusterTrust | None, key: Key) -> _Cluster:
    if trust is None:
        return _Cluster(tallies)
    status, desired = trust.status, trust.status.desired
    hosts = {one.host for one in status.failures}
    hosts |= {one.host for one in status.images if one.trust == NOT_TRUSTED}
    reports = {host: _report(trust, host) for host in hosts}
    if desired is None:
        return _Cluster(tallies, reports)
    owner = "" if desired.source == SERVICE else str(key)
    listed = frozenset((one, entry.name) for entry in desired.entries for one in entry.fingerprints)
    return _Cluster(tallies, reports, owner, listed)


def _report(trust: ClusterTrust, host: str) -> _Report:
    failures = tuple(one for one in trust.status.failures if one.host == host)
    return failures, tuple(one for one in trust.status.images if one.host == host and one.trust == NOT_TRUSTED)


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    return {one for one in before.keys() | after.keys() if before.get(one) != after.get(one)}


def _remove(found: dict[PlaceT, dict[Key, ValueT]], place: PlaceT, key: Key) -> None:
    """Forget a cluster in one place, and the place with the last of them: who names it may be anybody."""
    if (keys := found.get(place)) is not None:
        keys.pop(key, None)
        if not keys:
            del found[place]


def _fingerprints(registry: Registry) -> set[str]:
    anchor, chain = registry.status.anchor, registry.status.chain
    return ({one.fingerprint for one in chain} | ({anchor.fingerprint} if anchor else set())) - {""}


def _slices(keys: Iterable[Key]) -> Iterator[list[Key]]:
    rest = iter(keys)
    while part := list(islice(rest, _SLICE)):
        yield part
