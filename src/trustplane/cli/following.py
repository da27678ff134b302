"""Follow the updates of clusters, driven by what changes in the management cluster."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import ClusterTrust
from trustplane.controllers.progress import DONE, NOT_PROVEN, REFUSED, STOPPED, Progress, proved
from trustplane.controllers.resources import CLUSTER_TRUSTS, CLUSTERS, TANZU_CLUSTERS
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.informer import Informer
from trustplane.kube.resource import Key
from trustplane.kube.tasks import beside

# A list that was corrected just now may still be reported as wrong.
_REFUSAL_SECONDS = 5.0
# An update that only removes goes on although a node does not trust a registry, and then there is nothing to wait for.
# In that time a machine is replaced, which is the longest that an update takes without another machine done.
_STOPPED_SECONDS = 90.0


# How far a cluster is, by its TanzuKubernetesCluster, its Cluster and its ClusterTrust.
Look = Callable[[TanzuKubernetesCluster, Cluster | None, ClusterTrust | None], Progress]


class Follower:
    """Watches clusters until their updates are done.

    Args:
        client: To the management cluster.
        namespace: Of the clusters; empty for all.
        show: Called with each progress that differs from the one before.
        prove: Wait until nodes have proven it, too.
    """

    def __init__(
        self, client: Client, namespace: str, show: Callable[[Progress], None], *, prove: bool = False
    ) -> None:
        self._show = show
        self._prove = prove
        self._stopped: dict[Key, tuple[int, float]] = {}  # machines up to date, and since when no more
        self._tkcs = Informer(client, TANZU_CLUSTERS, namespace=namespace)
        self._clusters = Informer(client, CLUSTERS, namespace=namespace)
        self._trusts = Informer(client, CLUSTER_TRUSTS, namespace=namespace)
        self._informers: tuple[Informer[Any], ...] = (self._tkcs, self._clusters, self._trusts)
        self._last: dict[Key, Progress] = {}

    async def follow(self, looks: Mapping[Key, Look], *, timeout: float) -> list[Progress]:
        """Wait until each cluster is current (and proven), refused or stopped, or the time is up; return where each is.

        Args:
            looks: By cluster, how far it is.
            timeout: Seconds.

        Raises:
            UserError: A cluster was deleted meanwhile.
        """
        started = asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changes() as changed:
                while not self._all_done(looks, started):
                    # Not wait_for: before Python 3.12 it can swallow a cancellation, and with it Ctrl-C.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_REFUSAL_SECONDS):
                            await changed.wait()
                    changed.clear()
        return [self._last[key] for key in looks if key in self._last]

    @contextlib.asynccontextmanager
    async def _changes(self) -> AsyncIterator[asyncio.Event]:
        changed = asyncio.Event()
        for informer in self._informers:
            informer.subscribe(lambda _: changed.set())
        async with beside(*(informer.run() for informer in self._informers)):
            for informer in self._informers:
                await informer.synced.wait()
            yield changed

    def _all_done(self, looks: Mapping[Key, Look], started: float) -> bool:
        patient = asyncio.get_running_loop().time() - started < _REFUSAL_SECONDS
        done = True
        for key, look in looks.items():
            last = self._last.get(key)
            if last is None or last.state not in DONE:
                last = self._look(key, look)
            refused = last.state == REFUSED and not patient
            done = done and (last.state in DONE or refused or self._is_stopped(last))
        return done

    def _is_stopped(self, last: Progress) -> bool:
        if last.state == STOPPED:
            return True
        if last.state != NOT_PROVEN:
            self._stopped.pop(last.key, None)
            return False
        now = asyncio.get_running_loop().time()
        count, since = self._stopped.setdefault(last.key, (last.up_to_date, now))
        if count != last.up_to_date:
            self._stopped[last.key] = (last.up_to_date, now)
        return count == last.up_to_date and now - since > _STOPPED_SECONDS

    def _look(self, key: Key, look: Look) -> Progress:
        tkc = self._tkcs.get(key)
        if tkc is None:
            raise UserError(f"TanzuKubernetesCluster {key} is gone", why="it was deleted during its update")
        cluster, trust = self._clusters.get(key), self._trusts.get(key)
        now = look(tkc, cluster, trust)
        if self._prove and cluster:
            now = proved(now, cluster.metadata.annotations, trust)
        last = self._last.get(key)
        self._last[key] = now
        if last is None or now.text != last.text:
            self._show(now)
        return now
