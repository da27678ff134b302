"""Following the updates of clusters by watching the management cluster."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import ClusterTrust
from trustplane.api.keys import Key
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import CLUSTER_TRUSTS, CLUSTERS, TANZU_CLUSTERS
from trustplane.kube.tasks import beside
from trustplane.reporting.progress import (
    COMPLETED_STATES,
    UPDATE_NOT_PROVEN,
    UPDATE_REFUSED,
    UPDATE_STOPPED,
    UpdateProgress,
    add_proof_progress,
)

# The status may still report an error of a list that has just been corrected.
_REFUSAL_SECONDS = 5.0
# An update that only removes entries continues although a node does not trust a registry; waiting for a proof is then
# pointless. Replacing a machine, the longest time between two updated machines, takes less than this.
_STOPPED_SECONDS = 90.0


# Computes a cluster's progress from its TanzuKubernetesCluster, its Cluster and its ClusterTrust.
ReadProgress = Callable[[TanzuKubernetesCluster, Cluster | None, ClusterTrust | None], UpdateProgress]


class Follower:
    """Watches clusters until their updates are done.

    Args:
        client: to the management cluster.
        namespace: of the clusters; empty for all.
        show: called with each changed progress.
        prove: also wait for proofs.
    """

    def __init__(
        self, client: Client, namespace: str, show: Callable[[UpdateProgress], None], *, prove: bool = False
    ) -> None:
        self._show = show
        self._prove = prove
        self._stopped: dict[Key, tuple[int, float]] = {}  # machines up to date, and time of the last increase
        self._tkcs = Informer(client, TANZU_CLUSTERS, namespace=namespace)
        self._clusters = Informer(client, CLUSTERS, namespace=namespace)
        self._trusts = Informer(client, CLUSTER_TRUSTS, namespace=namespace)
        self._informers: tuple[Informer[Any], ...] = (self._tkcs, self._clusters, self._trusts)
        self._last: dict[Key, UpdateProgress] = {}

    async def follow(self, readers: Mapping[Key, ReadProgress], *, timeout: float) -> list[UpdateProgress]:
        """Wait until each cluster is current (and proven), refused or stopped, or the time is up; return the progress.

        Args:
            readers: computes the progress, by cluster.
            timeout: seconds.

        Raises:
            UserError: a cluster was deleted during the wait.
        """
        started = asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changes() as changed:
                while not self._all_done(readers, started):
                    # Not wait_for: before Python 3.12 it can swallow a cancellation, and with it Ctrl-C.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_REFUSAL_SECONDS):
                            await changed.wait()
                    changed.clear()
        return [self._last[key] for key in readers if key in self._last]

    @contextlib.asynccontextmanager
    async def _changes(self) -> AsyncIterator[asyncio.Event]:
        changed = asyncio.Event()
        for informer in self._informers:
            informer.subscribe(lambda _: changed.set())
        async with beside(*(informer.run() for informer in self._informers)):
            for informer in self._informers:
                await informer.synced.wait()
            yield changed

    def _all_done(self, readers: Mapping[Key, ReadProgress], started: float) -> bool:
        is_early = asyncio.get_running_loop().time() - started < _REFUSAL_SECONDS
        done = True
        for key, read in readers.items():
            last = self._last.get(key)
            if last is None or last.state not in COMPLETED_STATES:
                last = self._refresh(key, read)
            refused = last.state == UPDATE_REFUSED and not is_early
            done = done and (last.state in COMPLETED_STATES or refused or self._is_stopped(last))
        return done

    def _is_stopped(self, last: UpdateProgress) -> bool:
        if last.state == UPDATE_STOPPED:
            return True
        if last.state != UPDATE_NOT_PROVEN:
            self._stopped.pop(last.key, None)
            return False
        now = asyncio.get_running_loop().time()
        count, since = self._stopped.setdefault(last.key, (last.up_to_date, now))
        if count != last.up_to_date:
            self._stopped[last.key] = (last.up_to_date, now)
        return count == last.up_to_date and now - since > _STOPPED_SECONDS

    def _refresh(self, key: Key, read: ReadProgress) -> UpdateProgress:
        tkc = self._tkcs.get(key)
        if tkc is None:
            raise UserError(f"TanzuKubernetesCluster {key} no longer exists", why="it was deleted during its update")
        cluster, trust = self._clusters.get(key), self._trusts.get(key)
        now = read(tkc, cluster, trust)
        if self._prove and cluster:
            now = add_proof_progress(now, cluster.metadata.annotations, trust)
        last = self._last.get(key)
        self._last[key] = now
        if last is None or now.line != last.line:
            self._show(now)
        return now
