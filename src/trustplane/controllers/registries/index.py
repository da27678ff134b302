"""Index of each cluster's assessment of each registry, updated per cluster; a Registry only sums up.

The index is derived from the informers' caches, and rebuilt after a restart. A cluster with unreadable records counts
as unproven and is reported with an Event; it does not affect other clusters.
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
from trustplane.kube.controller import Result, Watch
from trustplane.kube.events import Recorder
from trustplane.kube.reconciler import Reconciler
from trustplane.reporting import risks, tally
from trustplane.reporting.registry_assessment import canonical_registry_host
from trustplane.reporting.risks import Risk
from trustplane.reporting.tally import RegistryTally

_SLICE: Final = 200  # clusters processed before yielding to other tasks
_log = structlog.get_logger(__name__)

PlaceT = TypeVar("PlaceT")
ValueT = TypeVar("ValueT")
_Report = tuple[tuple[PullFailure, ...], tuple[ImageSource, ...]]
_Entries = frozenset[tuple[str, str]]  # fingerprints and names of entries
_List = tuple[str, _Entries]  # owner and entries of a trust list


@dataclass(frozen=True)
class _Cluster:
    """The assessments and list of one cluster."""

    tallies: Mapping[str, RegistryTally] = field(
        default_factory=dict
    )  # by host of the Registries that select the cluster
    reports: Mapping[str, _Report] = field(default_factory=dict)  # by host in its ClusterTrust
    owner: str = ""  # owner of its desired list; empty: the service
    listed: _Entries = frozenset()

    @property
    def origin(self) -> _List:
        """The identity of its list; equal for all clusters with the service's list."""
        return self.owner, self.listed

    @property
    def fingerprints(self) -> set[str]:
        """The fingerprints of the listed certificates."""
        return {fingerprint for fingerprint, _ in self.listed}


_NOTHING: Final = _Cluster()


class RegistryIndex(Reconciler):
    """Index of clusters by their assessments of registries.

    Args:
        view: The view of clusters.
        recorder: Recorder of Events about unreadable clusters.
        changed: Called with each Registry with a changed assessment.
    """

    name = "registry-index"
    workers = 2

    def __init__(self, view: FleetView, recorder: Recorder, changed: Callable[[Key], None]) -> None:
        self._view = view
        self._recorder = recorder
        self._changed = changed
        self._clusters: dict[Key, _Cluster] = {}
        self._tallies: dict[str, dict[Key, RegistryTally]] = {}
        self._reporting: dict[str, dict[Key, bool]] = {}
        self._listing: dict[str, dict[_List, dict[Key, bool]]] = {}  # by fingerprint
        self._unreadable: set[Key] = set()

    def _watches(self) -> list[Watch[Any]]:
        view = self._view
        return [
            Watch(view.clusters),
            Watch(view.tkcs),
            Watch(view.trusts),
            view.watch_machines(),
            view.watch_registries(),
        ]

    @property
    def is_complete(self) -> bool:
        """Whether every cluster is indexed; until then, sums are too small."""
        return all(key in self._clusters for key in self._view.all_keys())

    async def reconcile(self, key: Key) -> Result:
        """Assess one cluster, and wake the Registries with a changed assessment."""
        try:
            now = await self._read(key)
        except TrustplaneError:
            if key not in self._clusters:  # otherwise the last assessment stays until the next success
                self._silence(key)
            raise
        except Exception:
            await self._set_aside(key)
            raise
        self._unreadable.discard(key)
        UNREADABLE_CLUSTERS.set(len(self._unreadable))
        self._put(key, now)
        return Result()

    async def tally(self, host: str) -> RegistryTally:
        """Return the sum of all clusters' assessments of a registry."""
        sums, tallies = [], self._tallies.get(host, {})
        for keys in _slices(sorted(tallies)):
            sums.append(tally.sum_tallies(tallies[key] for key in keys if key in tallies))
            await asyncio.sleep(0)
        return tally.sum_tallies(sums)

    def reporting(self, registry: Registry) -> list[ClusterTrust]:
        """Return the ClusterTrusts with failing pulls or untrusted images of a registry."""
        keys = sorted(self._reporting.get(canonical_registry_host(registry), ()))
        return [trust for trust in map(self._view.trusts.get, keys) if trust is not None]

    async def risks(self, registry: Registry, now: datetime) -> list[Risk]:
        """Return the risks of a registry, from its certificates and from the clusters' reports and lists."""
        registry_risks = list(risks.registry_risks(registry, now))
        keys = {key_of(trust) for trust in self.reporting(registry)}
        for fingerprint in _fingerprints(registry):
            keys |= {next(iter(clusters)) for clusters in self._listing.get(fingerprint, {}).values()}
        for part in _slices(sorted(keys)):
            for key in part:
                registry_risks += self._risks_of(key, registry, now)
            await asyncio.sleep(0)
        return registry_risks

    def _risks_of(self, key: Key, registry: Registry, now: datetime) -> list[Risk]:
        trust = self._view.trusts.get(key)
        try:
            return risks.cluster_risks(trust, [registry], now) if trust else []
        except Exception:  # noqa: BLE001  one cluster must not affect the others
            _log.exception("cannot read a cluster's reports on a registry", cluster=str(key))
            return []

    async def _read(self, key: Key) -> _Cluster | None:
        snapshot = await self._view.observe(key)
        cluster = self._view.clusters.get(key)
        if snapshot is None:
            return _NOTHING if cluster else None
        tallies = tally.tally_cluster(str(key), snapshot.nodes, snapshot.hosts)
        return _of_trust(tallies, snapshot.trust, key)

    def _silence(self, key: Key) -> None:
        if cluster := self._view.clusters.get(key):
            silence = tally.unreadable_tally(str(key), len(self._view.machines_of(key)))
            self._put(
                key, _Cluster(tallies={registry.spec.host: silence for registry in self._view.registries_of(cluster)})
            )

    async def _set_aside(self, key: Key) -> None:
        self._silence(key)
        about = self._view.trusts.get(key) or self._view.clusters.get(key)
        if about is not None and key not in self._unreadable:
            self._unreadable.add(key)
            message = "The trust records of this cluster cannot be read. See the manager's log"
            await self._recorder.event(about, "TrustUnreadable", message, warning=True)
        UNREADABLE_CLUSTERS.set(len(self._unreadable))

    def _put(self, key: Key, now: _Cluster | None) -> None:
        before, after = self._clusters.get(key, _NOTHING), now or _NOTHING
        for host in before.tallies:
            _remove(self._tallies, host, key)
        for host, total in after.tallies.items():
            self._tallies.setdefault(host, {})[key] = total
        for host in before.reports:
            _remove(self._reporting, host, key)
        for host in after.reports:
            self._reporting.setdefault(host, {})[key] = True
        for fingerprint in before.fingerprints:
            _remove(self._listing[fingerprint], before.origin, key)
            if not self._listing[fingerprint]:
                del self._listing[fingerprint]
        for fingerprint in after.fingerprints:
            self._listing.setdefault(fingerprint, {}).setdefault(after.origin, {})[key] = True
        if now is None:
            self._clusters.pop(key, None)
        else:
            self._clusters[key] = now
        self._notify(before, after)

    def _notify(self, before: _Cluster, after: _Cluster) -> None:
        hosts = _changed(before.tallies, after.tallies)
        reported = _changed(before.reports, after.reports)
        listed = {fingerprint for fingerprint, _ in before.listed ^ after.listed}
        if not hosts and not reported and not listed:
            return
        for registry in self._view.registries.items():
            if (
                registry.spec.host in hosts
                or canonical_registry_host(registry) in reported
                or listed & _fingerprints(registry)
            ):
                self._changed(key_of(registry))


def _of_trust(tallies: Mapping[str, RegistryTally], trust: ClusterTrust | None, key: Key) -> _Cluster:
    if trust is None:
        return _Cluster(tallies)
    status, desired = trust.status, trust.status.desired
    hosts = {failure.host for failure in status.failures}
    hosts |= {image.host for image in status.images if image.trust == NOT_TRUSTED}
    reports = {host: _report(trust, host) for host in hosts}
    if desired is None:
        return _Cluster(tallies, reports)
    owner = "" if desired.source == SERVICE else str(key)
    listed = frozenset((fingerprint, entry.name) for entry in desired.entries for fingerprint in entry.fingerprints)
    return _Cluster(tallies, reports, owner, listed)


def _report(trust: ClusterTrust, host: str) -> _Report:
    failures = tuple(failure for failure in trust.status.failures if failure.host == host)
    images = (image for image in trust.status.images if image.host == host)
    return failures, tuple(image for image in images if image.trust == NOT_TRUSTED)


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    return {host for host in before.keys() | after.keys() if before.get(host) != after.get(host)}


def _remove(index: dict[PlaceT, dict[Key, ValueT]], place: PlaceT, key: Key) -> None:
    """Remove a cluster from a place of an index, and empty places: tenants can name any number of them."""
    if (keys := index.get(place)) is not None:
        keys.pop(key, None)
        if not keys:
            del index[place]


def _fingerprints(registry: Registry) -> set[str]:
    anchor, chain = registry.status.anchor, registry.status.chain
    return ({certificate.fingerprint for certificate in chain} | ({anchor.fingerprint} if anchor else set())) - {""}


def _slices(keys: Iterable[Key]) -> Iterator[list[Key]]:
    rest = iter(keys)
    while part := list(islice(rest, _SLICE)):
        yield part
